"""What `--ckpt` names, and how its network wants its images.

A run of ours knows its data and its preprocessing. A stranger's file knows neither, so a person has
to say how its images were scaled, unless the network begins by scaling them itself.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deconvviz.config import DataConfig
from deconvviz.data.scalings import KINDS
from deconvviz.errors import ConfigError, DataError, DeconvvizError
from deconvviz.models.preflight import ModelFile, inspect_file, model_file
from deconvviz.training.rundir import RunDirectory
from deconvviz.training.small_files import RunRecord

if TYPE_CHECKING:
    from deconvviz.data import Preprocess
    from deconvviz.deconv.deconvnet import Deconvnet

_LARGEST = 4096


@dataclass(frozen=True)
class Checkpoint:
    """What `--ckpt` names: a run of ours, which knows its data, or a file, which knows nothing.

    Attributes:
        file: the model file, looked at and found sound.
        folder: where pictures of it go.
        run: the run's folder.
        data: a run's own data.
        seed: a run's seed.
    """

    file: ModelFile
    folder: Path
    run: Path | None = None
    data: DataConfig | None = None
    seed: int = 0

    @property
    def step(self) -> int | None:
        """The training step that the file was saved at; None where it does not say."""
        return self.file.step

    def record(self) -> RunRecord | None:
        """Read what a run says of itself; None for a file that belongs to none."""
        return RunDirectory.open(self.run).record() if self.run else None


def look_at(ckpt: Path) -> ModelFile:
    """Refuse what is no sound model file, before TensorFlow is imported."""
    return inspect_file(model_file(ckpt))


def run_of(ckpt: Path) -> Path | None:
    """Give the folder of the run that a run's folder, or a file in its checkpoints/, belongs to."""
    # "last.keras" and "../best.keras" do not spell their folders out, and a link has others.
    spelt = len(ckpt.parts) > 2 and ".." not in ckpt.parts
    folders = (ckpt, *((ckpt.parent.parent,) if spelt else ()), ckpt.resolve().parent.parent)
    return next((folder for folder in folders if os.path.isfile(folder / "config.toml")), None)


def answers(ckpt: Path, logdir: Path | None) -> Path:
    """Name the folder in which what is found out about a network goes.

    Args:
        ckpt: a run, whose own folder it is, or a file.
        logdir: where it goes instead; None takes logs/ for a file.

    Raises:
        DeconvvizError: where nothing can be written there.
    """
    run = run_of(ckpt)
    if run is not None and logdir is None:
        folder = run
    else:
        folder = (logdir or Path("logs")) / (run.resolve().name if run else ckpt.stem)
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        what = "cannot be written to" if os.path.isdir(there) else "is no folder"
        raise DeconvvizError(
            f"{there} {what}, and the answer was to go to {folder}. Give --logdir DIR, a folder "
            "that can be written; it is made where it lacks."
        )
    return folder


def checkpoint(ckpt: Path, file: ModelFile, folder: Path) -> Checkpoint:
    """Find out whose file it is; `folder` takes the answers."""
    run = run_of(ckpt)
    if run is None:
        return Checkpoint(file, folder)
    config = RunDirectory.open(run).config()
    return Checkpoint(file, folder, run, config.data, config.train.seed)


def preprocess(checkpoint: Checkpoint, name: str | None, net: "Deconvnet") -> "Preprocess":
    """Give the way from pixels to the network's input.

    Raises:
        ConfigError: for a stranger's file, where nobody said how its images were scaled.
    """
    from deconvviz.data import Preprocess

    data = checkpoint.data
    if data is not None:
        return Preprocess(name or data.preprocess, data.crop)
    if name is None and not net.scales_itself:
        path = checkpoint.file.path
        raise ConfigError(
            f"{path} belongs to no run, so nobody knows how its images were scaled. Say it with "
            f"--preprocess, one of {', '.join(KINDS)}, or mean=…,std=…. If you do not remember, "
            f"deconvviz inspect --ckpt {path} --dataset … shows its accuracy under each."
        )
    return Preprocess(name or "raw")


def input_shape(
    checkpoint: Checkpoint, net: "Deconvnet", size: tuple[int, int] | None
) -> tuple[int, int, int]:
    """Give the height, width and channels that images are made into before preprocessing.

    Raises:
        ConfigError: for a network of open size, where no size was asked for.
        DataError: for a network that takes no single image that can be drawn.
    """
    shapes: list[Any] = [tuple(tensor.shape[1:]) for tensor in net.model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] not in (1, 3):
        raise DataError(
            f"The network takes {' and '.join(map(str, shapes))}; the command line shows networks "
            "of one image with 1 or 3 channels, the channels last. From Python, "
            "deconvviz.Deconvnet takes any."
        )
    if checkpoint.data is not None:
        return checkpoint.data.size, checkpoint.data.size, shapes[0][2]
    height, width, channels = shapes[0]
    open_size = height is None or width is None
    example = f"{height or 224}x{width or 224}"
    remedy = f"Give --size {example}, for one." if open_size else "Leave --size out."
    if size is not None and (height not in (None, size[0]) or width not in (None, size[1])):
        raise ConfigError(
            f"--size got {size[0]}x{size[1]}, but the network takes images {height or 'any'} "
            f"pixels high and {width or 'any'} wide. {remedy}"
        )
    if size is not None and max(size) > _LARGEST:
        raise ConfigError(
            f"--size got {size[0]}x{size[1]}; at most {_LARGEST} pixels a side are taken, since "
            "all activations of an image lie in memory together."
        )
    if size is None and open_size:
        raise ConfigError(
            f"The network takes images {height or 'any'} pixels high and {width or 'any'} wide: "
            f"choose their size, such as --size {example}."
        )
    return size[0] if size else height, size[1] if size else width, channels

"""The images that a command is asked to show: a person's own, or those of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from deconvviz.cli.checkpoint import Checkpoint
from deconvviz.cli.command import refuse
from deconvviz.cli.data_options import NO_FOLDER, NO_IMAGES
from deconvviz.cli.progress import waiting
from deconvviz.config import DataConfig
from deconvviz.errors import ConfigError
from deconvviz.listing import counted
from deconvviz.wording import escaped

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deconvviz.data import Dataset, Preprocess
    from deconvviz.drawings.rows import Pictured

Fit = Literal["resize", "crop"]
Shape = tuple[int, int, int]


def require_sound(files: tuple[Path, ...]) -> None:
    """Refuse the first file that is no sound picture, which takes no network and no TensorFlow."""
    from deconvviz.data.fitting import Target
    from deconvviz.data.pictures import read_image

    for file in files:
        read_image(file, Target(1))


def own_images(files: tuple[Path, ...], shape: Shape, fit: Fit) -> "Pictured":
    """Read a person's own pictures, fitted to a network's height, width and channels."""
    from deconvviz.data import read_images
    from deconvviz.drawings.rows import Pictured

    height, width, channels = shape
    images = read_images(files, (height, width), grey=channels == 1, fit=fit)
    return Pictured("images", images, tuple(escaped(file.stem) for file in files))


def data_set(
    dataset: "Dataset", split: str, limit: int | None, shape: Shape, fit: Fit
) -> "Pictured":
    """Take a data set's first images, or all, fitted to a network's height, width and channels."""
    from deconvviz.data import fit_images
    from deconvviz.drawings.rows import Pictured

    height, width, channels = shape
    part = dataset.split(split)
    labels = tuple(dataset.classes[label] for label in part.labels[:limit])
    images = fit_images(part.images[:limit], (height, width), grey=channels == 1, fit=fit)
    return Pictured(dataset.name, images, labels, split)


def mean_colour(inputs: "npt.NDArray[np.float32]", scaling: "Preprocess") -> "float | list[float]":
    """Give images' mean colour in network-input space, what stands where nothing is to be seen."""
    if scaling.name == "standardize":
        return 0.0  # each image's own mean
    colour: list[float] = inputs.mean(axis=(0, 1, 2), dtype=float).tolist()
    return colour


def load(
    checkpoint: Checkpoint,
    name: str | None,
    data_dir: Path | None,
    side: int,
    skip_broken: bool = False,
) -> "Dataset":
    """Load the run's own data set, as its training said, or another one, and say what was taken.

    Args:
        checkpoint: a run, which knows its own, or a file, which knows none.
        name: the data set that was asked for.
        data_dir: where it lies.
        side: the size at which photographs and folders are read for a file that is no run's.
        skip_broken: leave out pictures of a folder that cannot be read.
    """
    from deconvviz.data import load_dataset

    config = _config(checkpoint.data, name, data_dir, side, skip_broken)
    with waiting(f"loading {config.name}"):
        dataset = load_dataset(config, checkpoint.seed)
    if name or data_dir:
        say_taken(dataset)
    return dataset


def refuse_fit(dataset: "Dataset", shape: Shape) -> None:
    """Refuse `--fit` where a data set's images come at the network's size."""
    if dataset.test.images.shape[1:3] == shape[:2]:
        refuse(f"The images of {dataset.name} come at the network's size", "fit")


def say_taken(dataset: "Dataset", *, err: bool = True) -> None:
    """Say what was taken for what, and what was left out, where that is no matter of course."""
    if dataset.note:
        click.echo(dataset.note, err=err)
    if dataset.skipped:
        click.echo(f"Left out {counted(dataset.skipped, 'file')} that cannot be read.", err=err)


def own_config(own: DataConfig, data_dir: Path | None, skip_broken: bool) -> DataConfig:
    """Give a run's own data, where they lie now."""
    skip_broken = skip_broken or own.skip_broken
    return own.model_copy(update={"dir": data_dir or own.dir, "skip_broken": skip_broken})


def _config(
    own: DataConfig | None, name: str | None, data_dir: Path | None, side: int, skip_broken: bool
) -> DataConfig:
    if own is not None and name in (None, own.name):
        return own_config(own, data_dir, skip_broken)
    if name is None:
        raise ConfigError(NO_IMAGES)
    if name == "folder" and data_dir is None:
        raise ConfigError(NO_FOLDER)
    size = own.size if own else side
    return DataConfig.model_validate(
        {"name": name, "dir": data_dir, "size": size, "crop": 0, "skip_broken": skip_broken}
    )

"""`deconvviz reconstruct`: a trained network and images to rows of reconstructions."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.tensorboard import EVERY_STEP
from deconvviz.config import DataConfig
from deconvviz.errors import ConfigError

if TYPE_CHECKING:
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.rows import Pictured

_PREPROCESS = ("standardize", "signed", "unit", "raw")


@dataclass(frozen=True)
class _Checkpoint:
    """What `--ckpt` names: a run of ours, which knows its data, or a file, which knows nothing."""

    folder: Path
    data: DataConfig | None = None
    seed: int = 0
    step: int | None = None


@click.command()
@click.option(
    "--ckpt",
    type=click.Path(path_type=Path),
    required=True,
    metavar="RUN_OR_FILE",
    help="A run's folder, such as logs/classic-1, or a .keras file.",
)
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Which images to show.  [default: the run's own]",
)
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the data set lies.")
@click.option(
    "--images",
    "image",
    type=click.Path(path_type=Path),
    metavar="PATH…",
    help="Pictures of your own instead: one path or several.",
)
@click.argument("more_images", nargs=-1, type=click.Path(path_type=Path), metavar="")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="How many images of a data set.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATH",
    help="A layer's name, or its path through nested models; may be repeated.  "
    "[default: every max pool]",
)
@click.option(
    "--rules",
    type=click.Choice(["deconvnet", "classic", "guided", "gradient"]),
    default="deconvnet",
    show_default=True,
    help="How each layer is reversed.",
)
@click.option(
    "--preprocess",
    type=click.Choice(_PREPROCESS),
    help="What the network was trained on.  [default: the run's own]",
)
@click.option(
    "--logdir",
    type=click.Path(path_type=Path),
    default=Path("logs"),
    show_default=True,
    help="Where a file that belongs to no run gets its folder.",
)
@click.option("--verbose", is_flag=True, help="Let TensorFlow's own messages through.")
def reconstruct(
    ckpt: Path,
    dataset: str | None,
    split: str,
    data_dir: Path | None,
    image: Path | None,
    more_images: tuple[Path, ...],
    limit: int,
    layers: tuple[str, ...],
    rules: str,
    preprocess: str | None,
    logdir: Path,
    verbose: bool,
) -> None:
    """Run a trained network's layers back to pixels: original | layer 1 | layer 2.

    Every image becomes one row, as a PNG and in TensorBoard, in the run's folder under
    reconstructions/.
    """
    if more_images and not image:
        raise click.UsageError(f"Unexpected {more_images[0]}; pictures go behind --images.")
    if image and (dataset or data_dir):
        raise click.UsageError("--images shows your own pictures; leave out --dataset, --data-dir.")
    import_tensorflow(verbose)
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.models.files import load_model
    from deconvviz.rows import ON_THE_PAGE, reconstruct_rows, write_rows

    net = Deconvnet(load_model(ckpt), rules=rules)
    checkpoint = _checkpoint(ckpt, logdir)
    way_in = _preprocess(checkpoint, preprocess, net, ckpt)
    files = (image, *more_images) if image else ()
    pictured = (
        _own_images(files, checkpoint, net)
        if files
        else _data_set(checkpoint, dataset, data_dir, split, limit)
    )
    layers = layers or _pools(net)
    rows = reconstruct_rows(net, pictured.images, way_in, layers, rules)
    folder = checkpoint.folder / "reconstructions" / _name(pictured, rules, layers)
    sheet = write_rows(folder, rows, pictured, checkpoint.step, {"checkpoint": str(ckpt)})
    click.echo(
        f"{len(pictured.images)} rows, original | {' | '.join(layers)}: {folder}\n"
        f"On one page, the first {ON_THE_PAGE} at most: {sheet}\n"
        f"In TensorBoard: tensorboard --logdir {checkpoint.folder.parent} {EVERY_STEP}"
    )


def _checkpoint(ckpt: Path, logdir: Path) -> _Checkpoint:
    from deconvviz.training.rundir import RunDirectory
    from deconvviz.training.state import saved_step

    for folder in (ckpt, ckpt.parent.parent):  # a run, or a file in a run's checkpoints/
        if (folder / "config.toml").is_file():
            run = RunDirectory.open(folder)
            config = run.config()
            # The saved state is the last checkpoint's; nothing says when the best one was saved.
            last = ckpt == folder or ckpt.name == run.last.name
            step = saved_step(run.state) if last else None
            return _Checkpoint(folder, config.data, config.train.seed, step)
    return _Checkpoint(logdir / ckpt.stem)


def _preprocess(checkpoint: _Checkpoint, name: str | None, net: "Deconvnet", ckpt: Path) -> Any:
    from deconvviz.data import Preprocess

    data = checkpoint.data
    if name is None and data is None:
        raise ConfigError(
            f"{ckpt} belongs to no run, so nobody knows how its images were scaled. Say it with "
            f"--preprocess, one of {', '.join(_PREPROCESS)}."
        )
    if data is not None:
        return Preprocess(name or data.preprocess, data.crop)
    return Preprocess(str(name), net.model.inputs[0].shape[1] or 0)


def _pools(net: "Deconvnet") -> tuple[str, ...]:
    pools = tuple(layer.path for layer in net.layers if layer.rule == "unpooling")
    if not pools:
        raise ConfigError(
            "The network has no max pool to start from by itself. Choose with --layer, one of "
            f"{', '.join(layer.path for layer in net.layers)}."
        )
    return pools


def _own_images(files: tuple[Path, ...], checkpoint: _Checkpoint, net: "Deconvnet") -> "Pictured":
    from deconvviz.data import read_images
    from deconvviz.rows import Pictured

    size = checkpoint.data.size if checkpoint.data else net.model.inputs[0].shape[1]
    names = tuple(file.stem for file in files)
    return Pictured("images", read_images(files, size), names)


def _data_set(
    checkpoint: _Checkpoint, name: str | None, data_dir: Path | None, split: str, limit: int
) -> "Pictured":
    from deconvviz.data import load_dataset
    from deconvviz.rows import Pictured

    dataset = load_dataset(_data_config(checkpoint.data, name, data_dir), checkpoint.seed)
    part = dataset.test if split == "test" else dataset.train
    labels = tuple(dataset.classes[label] for label in part.labels[:limit])
    return Pictured(dataset.name, part.images[:limit], labels, split)


def _data_config(own: DataConfig | None, name: str | None, data_dir: Path | None) -> DataConfig:
    """The run's own data, unless another is asked for."""
    if own is not None and name in (None, own.name):
        return own.model_copy(update={"dir": data_dir or own.dir})
    if name is None:
        raise ConfigError(
            "Say which images to show: --dataset cifar10 or photos, or --images PATH…."
        )
    if name == "folder" and data_dir is None:
        raise ConfigError("--dataset folder needs --data-dir, the directory of class directories.")
    size = own.size if own else DataConfig().size
    return DataConfig.model_validate({"name": name, "dir": data_dir, "size": size, "crop": 0})


def _name(pictured: "Pictured", rules: str, layers: tuple[str, ...]) -> str:
    chosen = "+".join(layer.replace("/", ".") for layer in layers)
    return "-".join(part for part in (pictured.source, pictured.split, rules, chosen) if part)

"""`deconvviz invariance`: how far features move when what an image shows is moved."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from deconvviz.cli import options
from deconvviz.cli.checkpoint import checkpoint as find_out
from deconvviz.cli.checkpoint import input_shape, look_at, run_of
from deconvviz.cli.checkpoint import preprocess as way_in
from deconvviz.cli.pictures import NO_IMAGES, Fit, data_set, load, own_images, require_sound
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.tensorboard import EVERY_STEP
from deconvviz.data.scalings import parse_scaling
from deconvviz.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deconvviz.data import Preprocess

_COLOURS = 6  # of the curves, told apart by everybody


@click.command()
@options.CKPT
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Which images to move.  [default: the run's own]",
)
@options.SPLIT
@options.DATA_DIR
@click.option(
    "--images",
    "image",
    type=click.Path(path_type=Path),
    metavar="PATH…",
    help="Pictures of your own instead: one path or several. Their class is the one that the "
    "network finds in them.",
)
@click.argument("more_images", nargs=-1, type=click.Path(path_type=Path), metavar="")
@click.option(
    "--limit",
    type=click.IntRange(1, _COLOURS),
    default=5,
    show_default=True,
    help="How many images of a data set.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATH",
    help="A layer's name, or its path through nested models; may be repeated, the lowest first.  "
    "[default: the first layer of features and the last]",
)
@click.option(
    "--preprocess",
    metavar="NAME",
    help="How images are scaled for the network: raw, unit, signed, standardize, caffe, torch, or "
    "mean=…,std=….  [default: the run's own]",
)
@options.FIT
@options.SIZE
@click.option(
    "--logdir",
    type=click.Path(path_type=Path),
    default=Path("logs"),
    show_default=True,
    help="Where a file that belongs to no run gets its folder.",
)
@options.VERBOSE
def invariance(
    ckpt: Path,
    dataset: str | None,
    split: str,
    data_dir: Path | None,
    image: Path | None,
    more_images: tuple[Path, ...],
    limit: int,
    layers: tuple[str, ...],
    preprocess: str | None,
    fit: Fit,
    size: tuple[int, int] | None,
    logdir: Path,
    verbose: bool,
) -> None:
    """Move, enlarge and turn images, and see how far a low and a high layer's features go.

    One figure: variants of the images, the distances in each layer, and the probability of each
    image's class, as a PNG and in TensorBoard, in the run's folder under invariance/.
    """
    if more_images and not image:
        raise click.UsageError(f"Unexpected {more_images[0]}; pictures go behind --images.")
    if image and (dataset or data_dir):
        raise click.UsageError("--images shows your own pictures; leave out --dataset, --data-dir.")
    files = (image, *more_images) if image else ()
    if len(files) > _COLOURS:
        raise click.UsageError(f"--images takes {_COLOURS} pictures at most, each a colour.")
    if preprocess is not None:
        parse_scaling(preprocess)
    file = look_at(ckpt)
    if not (files or dataset or run_of(ckpt)):
        raise ConfigError(NO_IMAGES)
    require_sound(files)
    import_tensorflow(verbose)
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.invariance import write_invariance
    from deconvviz.experiments.invariance import low_and_high, measure_invariance
    from deconvviz.models.files import load_model

    checkpoint = find_out(ckpt, file, logdir)
    net = Deconvnet(load_model(ckpt))
    layers = tuple(dict.fromkeys(layers)) or low_and_high(net)
    scaling = way_in(checkpoint, preprocess, net)
    shape = input_shape(checkpoint, net, size)
    labels = None
    if files:
        pictured = own_images(files, shape, fit)
    else:
        data = load(checkpoint, dataset, data_dir, max(shape[:2]))
        pictured = data_set(data, split, limit, shape, fit)
        labels = (data.test if split == "test" else data.train).labels[:limit]
    inputs = scaling(pictured.images)
    with Console(stderr=True).status(f"transforming {len(inputs)} images"):
        record = measure_invariance(net, inputs, labels, layers, fill=_mean_colour(scaling, inputs))
    parts = (
        pictured.source,
        pictured.split,
        "+".join(layer.replace("/", ".") for layer in layers)[:120],
        "" if preprocess is None else re.sub(r"[^\w.]+", "_", preprocess),
        "{}x{}".format(*size) if size else "",
        "crop" if fit == "crop" else "",
    )
    folder = checkpoint.folder / "invariance" / "-".join(part for part in parts if part)
    about = {"checkpoint": str(ckpt), "sha256": file.sha256, "preprocess": scaling.name}
    path = write_invariance(folder, record, pictured, scaling, checkpoint.step, about)
    click.echo(f"{len(inputs)} images, {' and '.join(layers)}: {path}")
    logs = shlex.quote(str(checkpoint.folder.parent))
    click.echo(f"In TensorBoard: tensorboard --logdir {logs} {EVERY_STEP}")


def _mean_colour(scaling: "Preprocess", inputs: "npt.NDArray[np.float32]") -> "float | list[float]":
    """Give what stands outside the images: their mean colour, which standardising makes 0."""
    if scaling.name == "standardize":
        return 0.0
    colour: list[float] = inputs.mean(axis=(0, 1, 2), dtype=float).tolist()
    return colour

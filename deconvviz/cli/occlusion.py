"""`deconvviz occlusion`: what a network loses when a square hides a part of the image."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import track

from deconvviz.cli import options
from deconvviz.cli.checkpoint import Checkpoint, input_shape, look_at, run_of
from deconvviz.cli.checkpoint import checkpoint as find_out
from deconvviz.cli.checkpoint import preprocess as way_in
from deconvviz.cli.pictures import (
    NO_IMAGES,
    Fit,
    Shape,
    data_set,
    load,
    own_images,
    require_sound,
)
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.tensorboard import EVERY_STEP
from deconvviz.data.scalings import parse_scaling
from deconvviz.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deconvviz.data import Preprocess
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.occlusion import OccludedImage
    from deconvviz.drawings.rows import Pictured


@click.command()
@options.CKPT
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Which images to hide parts of.  [default: the run's own]",
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
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="How many images of a data set.",
)
@click.option(
    "--layer",
    metavar="PATH",
    help="The layer whose feature map is watched.  [default: the last max pool]",
)
@click.option(
    "--feature",
    type=click.IntRange(0),
    metavar="K",
    help="The feature map to watch.  [default: in each image the one with the largest activation]",
)
@click.option(
    "--square",
    type=click.IntRange(1),
    metavar="N",
    help="The square's side in pixels.  [default: a quarter of the image, at most 64]",
)
@click.option(
    "--stride",
    type=click.IntRange(1),
    metavar="N",
    help="How far it goes each time, in pixels.  [default: a quarter of its side]",
)
@options.RULES
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
def occlusion(
    ckpt: Path,
    dataset: str | None,
    split: str,
    data_dir: Path | None,
    image: Path | None,
    more_images: tuple[Path, ...],
    limit: int,
    layer: str | None,
    feature: int | None,
    square: int | None,
    stride: int | None,
    rules: str,
    preprocess: str | None,
    fit: Fit,
    size: tuple[int, int] | None,
    logdir: Path,
    verbose: bool,
) -> None:
    """Slide a grey square over images, and see what the network loses at each place.

    One figure an image: the image, what its strongest feature map shows, how active that map still
    is, how probable the image's class still is, and which class is the most probable. As a PNG and
    in TensorBoard, in the run's folder under occlusion/.
    """
    if more_images and not image:
        raise click.UsageError(f"Unexpected {more_images[0]}; pictures go behind --images.")
    if image and (dataset or data_dir):
        raise click.UsageError("--images shows your own pictures; leave out --dataset, --data-dir.")
    if preprocess is not None:
        parse_scaling(preprocess)
    file = look_at(ckpt)
    if not (image or dataset or run_of(ckpt)):
        raise ConfigError(NO_IMAGES)
    files = (image, *more_images) if image else ()
    require_sound(files)
    import_tensorflow(verbose)
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.occlusion import write_occlusions
    from deconvviz.drawings.rows import max_pools
    from deconvviz.models.files import load_model

    checkpoint = find_out(ckpt, file, logdir)
    net = Deconvnet(load_model(ckpt), rules=rules)
    layer = layer or max_pools(net)[-1]
    net.require(layer)
    scaling = way_in(checkpoint, preprocess, net)
    shape = input_shape(checkpoint, net, size)
    source = (
        _own(files, _classes_of(ckpt), shape, fit)
        if files
        else _data(checkpoint, dataset, data_dir, split, limit, shape, fit)
    )
    asked = _Asked(layer, feature, square, stride, rules)
    parts = (
        source.pictured.source,
        source.pictured.split,
        rules,
        layer.replace("/", ".")[:120],
        "" if feature is None else f"feature{feature}",
        "" if square is None else f"square{square}",
        "" if stride is None else f"stride{stride}",
        "" if preprocess is None else re.sub(r"[^\w.]+", "_", preprocess),
        "{}x{}".format(*size) if size else "",
        "crop" if fit == "crop" else "",
    )
    folder = checkpoint.folder / "occlusion" / "-".join(part for part in parts if part)
    about = {"checkpoint": str(ckpt), "sha256": file.sha256}
    done = _occluded(net, scaling, source, asked)
    for path in write_occlusions(folder, done, checkpoint.step, about):
        click.echo(path)
    logs = shlex.quote(str(checkpoint.folder.parent))
    click.echo(f"In TensorBoard: tensorboard --logdir {logs} {EVERY_STEP}")


@dataclass(frozen=True)
class _Source:
    """Images, their true classes where they are known, and the mean colour of their kind."""

    pictured: "Pictured"
    labels: tuple[int | None, ...]
    classes: tuple[str, ...]
    mean: "npt.NDArray[np.uint8]"  # [H, W, C], one colour


@dataclass(frozen=True)
class _Asked:
    """What is to be watched, and how."""

    layer: str
    feature: int | None
    square: int | None
    stride: int | None
    rules: str


def _own(files: tuple[Path, ...], classes: tuple[str, ...], shape: Shape, fit: Fit) -> _Source:
    pictured = own_images(files, shape, fit)
    return _Source(pictured, (None,) * len(files), classes, _mean_colour(pictured.images))


def _classes_of(ckpt: Path) -> tuple[str, ...]:
    """Name the classes that a run was trained on; a stranger's file does not say."""
    from deconvviz.training.rundir import RunDirectory

    folder = run_of(ckpt)
    return tuple(RunDirectory.open(folder).record()["data"]["classes"]) if folder else ()


def _data(
    checkpoint: Checkpoint,
    name: str | None,
    data_dir: Path | None,
    split: str,
    limit: int,
    shape: Shape,
    fit: Fit,
) -> _Source:
    from deconvviz.data import fit_images

    data = load(checkpoint, name, data_dir, max(shape[:2]))
    pictured = data_set(data, split, limit, shape, fit)
    part = data.test if split == "test" else data.train
    mean = fit_images(
        _mean_colour(data.train.images)[None], shape[:2], grey=shape[2] == 1, fit=fit
    )[0]
    return _Source(pictured, tuple(part.labels[:limit].tolist()), data.classes, mean)


def _mean_colour(images: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.uint8]":
    """Make an image of nothing but the images' mean colour: what a square shows that hides."""
    import numpy as np

    colour = images.mean(axis=(0, 1, 2)).round().astype(np.uint8)
    return np.broadcast_to(colour, images.shape[1:]).copy()


def _occluded(
    net: "Deconvnet", scaling: "Preprocess", source: _Source, asked: _Asked
) -> Iterator["OccludedImage"]:
    from deconvviz.drawings.occlusion import OccludedImage, project_watched, watched_rules
    from deconvviz.experiments.occlusion import occlude, square_for

    pictured, screen = source.pictured, Console(stderr=True)
    inputs, windows = scaling(pictured.images), scaling.window(pictured.images)
    # A standardised image has its own mean at 0; else the data's mean colour, scaled like them.
    value = 0.0 if scaling.name == "standardize" else scaling(source.mean[None])[0, 0, 0]
    square = square_for(inputs.shape[1:], value, asked.square, asked.stride)
    known = source.classes if len(source.classes) == net.model.outputs[0].shape[-1] else ()
    of = f"{pictured.source} ({pictured.split})" if pictured.split else pictured.source
    for index in track(
        range(len(inputs)),
        "hiding parts",
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ):
        record = occlude(
            net, inputs[index], source.labels[index], asked.layer, square, asked.feature
        )
        yield OccludedImage(
            record=record,
            window=windows[index],
            projection=project_watched(net, pictured.images[index], scaling, record),
            rules=watched_rules(net, asked.layer, asked.rules),
            preprocess=scaling.name,
            data=of,
            name=pictured.labels[index],
            classes=known,
        )

"""`deconvviz reconstruct`: a trained network and images to rows of reconstructions."""

import hashlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from deconvviz.data import Preprocess
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.rows import Pictured
    from deconvviz.render.compose import Rows

_LONGEST = 120  # characters of a folder's name that the layers may take


@click.command()
@options.CKPT
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Which images to show.  [default: the run's own]",
)
@options.SPLIT
@options.DATA_DIR
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
    "--feature",
    "features",
    type=click.IntRange(0),
    multiple=True,
    metavar="K",
    help="One feature map alone (of a dense layer, one unit); may be repeated.",
)
@options.AT
@options.RULES
@click.option(
    "--nonlinear",
    type=click.Choice(["refuse", "gradient"]),
    default="refuse",
    show_default=True,
    help="What to do with a layer that the rules do not define: refuse it, or take its gradient, "
    "which the caption then says.",
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
def reconstruct(
    ckpt: Path,
    dataset: str | None,
    split: str,
    data_dir: Path | None,
    image: Path | None,
    more_images: tuple[Path, ...],
    limit: int,
    layers: tuple[str, ...],
    features: tuple[int, ...],
    at: str | tuple[int, int] | None,
    rules: str,
    nonlinear: str,
    preprocess: str | None,
    fit: Fit,
    size: tuple[int, int] | None,
    logdir: Path,
    verbose: bool,
) -> None:
    """Run a trained network's layers back to pixels: original | layer 1 | layer 2.

    Every image becomes one row, as a PNG and in TensorBoard, in the run's folder under
    reconstructions/. With --feature and --at, a row is one unit: the piece of the image that it
    sees, and its reconstruction.
    """
    if more_images and not image:
        raise click.UsageError(f"Unexpected {more_images[0]}; pictures go behind --images.")
    if image and (dataset or data_dir):
        raise click.UsageError("--images shows your own pictures; leave out --dataset, --data-dir.")
    if at and not features:
        raise click.UsageError("--at chooses a unit of a feature map: say which with --feature.")
    if preprocess is not None:
        parse_scaling(preprocess)
    file = look_at(ckpt)
    if not (image or dataset or run_of(ckpt)):
        raise ConfigError(NO_IMAGES)
    files = (image, *more_images) if image else ()
    require_sound(files)
    import_tensorflow(verbose)
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.rows import ON_THE_PAGE, max_pools, write_rows
    from deconvviz.models.files import load_model

    checkpoint = find_out(ckpt, file, logdir)
    net = Deconvnet(load_model(ckpt), rules=rules, nonlinear=nonlinear)
    layers = tuple(dict.fromkeys(layers)) or max_pools(net)
    for layer in layers:
        net.require(layer)
    scaling = way_in(checkpoint, preprocess, net)
    shape = input_shape(checkpoint, net, size)
    pictured = (
        own_images(files, shape, fit)
        if files
        else data_set(load(checkpoint, dataset, data_dir, max(shape[:2])), split, limit, shape, fit)
    )
    own = checkpoint.data is not None and preprocess is None
    asked = _Asked(layers, features, at, rules, nonlinear, scaling.name, own, fit, size)
    record = {
        "checkpoint": str(ckpt),
        "sha256": file.sha256,
        **asdict(asked),
        "approximated": {layer: list(net.approximated(layer)) for layer in layers},
    }
    _note_sameness(net, asked)
    with Console(stderr=True).status(f"reconstructing {len(pictured.images)} images"):
        drawings = list(_drawings(net, pictured, scaling, asked))
    for drawing in drawings:
        folder = checkpoint.folder / "reconstructions" / asked.folder(pictured, drawing.layers)
        page = write_rows(
            folder, drawing.rows, drawing.pictured, checkpoint.step, record, drawing.details
        )
        click.echo(
            f"{len(drawing.pictured.labels)} rows, {' | '.join(drawing.rows.names)}: {folder}\n"
            f"On one page, the first {ON_THE_PAGE} at most: {page}"
        )
    logs = shlex.quote(str(checkpoint.folder.parent))
    click.echo(f"In TensorBoard: tensorboard --logdir {logs} {EVERY_STEP}")


@dataclass(frozen=True)
class _Asked:
    """What is to be drawn, and how."""

    layers: tuple[str, ...]
    features: tuple[int, ...]
    at: str | tuple[int, int] | None
    rules: str
    nonlinear: str
    preprocess: str
    own_preprocess: bool  # the run's own, of which a folder's name need not speak
    fit: Fit
    size: tuple[int, int] | None

    def folder(self, pictured: "Pictured", layers: tuple[str, ...]) -> str:
        """Name a folder by all that makes its pictures differ from another call's."""
        chosen = "+".join(layer.replace("/", ".") for layer in layers)
        if len(chosen) > _LONGEST:  # a folder's name has 255 bytes at most
            digest = hashlib.sha256(chosen.encode()).hexdigest()[:8]
            chosen = f"{chosen[: _LONGEST - 9]}-{digest}"
        parts = (
            pictured.source,
            pictured.split,
            self.rules,
            chosen,
            f"feature{'+'.join(map(str, self.features))[:40]}" if self.features else "",
            "y{}x{}".format(*self.at) if isinstance(self.at, tuple) else self.at,
            "" if self.own_preprocess else re.sub(r"[^\w.]+", "_", self.preprocess),
            "{}x{}".format(*self.size) if self.size else "",
            "crop" if self.fit == "crop" else "",
            "nonlinear" if self.nonlinear == "gradient" else "",
        )
        return "-".join(part for part in parts if part)


@dataclass(frozen=True)
class _Drawing:
    """Rows that lie in one folder, and what is recorded of each."""

    layers: tuple[str, ...]
    rows: "Rows"
    pictured: "Pictured"
    details: list[dict[str, Any]]


def _drawings(
    net: "Deconvnet", pictured: "Pictured", scaling: "Preprocess", asked: _Asked
) -> Iterator[_Drawing]:
    """Draw all layers side by side; single units a layer at a time, since their sizes differ."""
    from deconvviz.drawings.rows import reconstruct_rows
    from deconvviz.drawings.units import reconstruct_units

    images, features = pictured.images, asked.features
    if asked.at is None:
        rows = reconstruct_rows(
            net, images, scaling, asked.layers, asked.rules, features=asked.features
        )
        yield _Drawing(asked.layers, rows, pictured, [])
        return
    for layer in asked.layers:
        rows, units = reconstruct_units(
            net, images, scaling, layer, asked.rules, features, asked.at
        )
        labels = tuple(
            f"{label}-feature{feature}" for label in pictured.labels for feature in features
        )
        details = [unit.record() for unit in units]
        yield _Drawing((layer,), rows, replace(pictured, labels=labels), details)


def _note_sameness(net: "Deconvnet", asked: _Asked) -> None:
    for layer in asked.layers if asked.at else ():
        if not net.depends_on_image(layer):
            click.echo(
                f"Note: there is no max pool below {layer}, so by these rules the picture of one "
                "unit is the same for every image, but for its strength.",
                err=True,
            )

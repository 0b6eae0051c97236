"""`deconvviz reconstruct`: a trained network and images to rows of reconstructions."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from deconvviz.cli import options
from deconvviz.cli.asked import Asked, Opened, ask, folder_words
from deconvviz.cli.command import command
from deconvviz.cli.progress import working
from deconvviz.cli.stopping import if_stopped
from deconvviz.listing import counted

if TYPE_CHECKING:
    from deconvviz.drawings.rows import Pictured
    from deconvviz.render.compose import Rows


@command()
@ask
@options.SOURCE
@options.IMAGES
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="How many images of a data set.",
)
@options.LAYERS
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
@options.NONLINEAR
@options.PREPARED
def reconstruct(
    asked: Asked,
    limit: int,
    layers: tuple[str, ...],
    features: tuple[int, ...],
    at: str | tuple[int, int] | None,
    rules: str,
    nonlinear: str,
) -> None:
    """Run a trained network's layers back to pixels: original | layer 1 | layer 2.

    Every image becomes one row, as a PNG and in TensorBoard, in the run's folder under
    reconstructions/. With --feature and --at, a row is one unit: the piece of the image that it
    sees, and its reconstruction.
    """
    if at and not features:
        raise click.UsageError("--at chooses a unit of a feature map: say which with --feature.")
    opened = asked.open(rules, nonlinear, layers)
    from deconvviz.drawings.rows import max_pools

    layers = tuple(dict.fromkeys(layers)) or max_pools(opened.net)
    for layer in layers:
        opened.net.require(layer)
    of = _Units(layers, tuple(dict.fromkeys(features)), at, rules)
    pictured = opened.pictured(opened.dataset(), limit)
    if at:
        _note_sameness(opened, layers)
    with working(f"reconstructing {counted(len(pictured.images), 'image')}"):
        drawings = list(_drawings(opened, pictured, of))
    for reason in dict.fromkeys(reason for each in drawings for reason in each.rows.empty):
        click.echo(f"Note: {reason}", err=True)
    with if_stopped(
        "Stopped. Folders that were named are complete; the same command makes the others."
    ):
        _write(opened, drawings, of)
    opened.say_where()


def _write(opened: Opened, drawings: "list[_Drawing]", of: "_Units") -> None:
    from deconvviz.drawings.rows import ON_THE_PAGE, write_rows

    record = {**opened.record(), **of.record(opened)}
    for drawing in drawings:
        words = of.folder_words(drawing.pictured, drawing.layers)
        folder = opened.folder("reconstructions", *words)
        page = write_rows(
            folder, drawing.rows, drawing.pictured, opened.checkpoint.step, record, drawing.details
        )
        click.echo(
            f"{counted(len(drawing.pictured.labels), 'row')}, {' | '.join(drawing.rows.names)}: "
            f"{folder}\nOn one page, the first {ON_THE_PAGE} at most: {page}"
        )


@dataclass(frozen=True)
class _Units:
    """What is to be reconstructed: whole layers, feature maps, or single units; by which rules."""

    layers: tuple[str, ...]
    features: tuple[int, ...]
    at: str | tuple[int, int] | None
    rules: str

    def record(self, opened: Opened) -> dict[str, Any]:
        approximated = {layer: list(opened.net.approximated(layer)) for layer in self.layers}
        return {**asdict(self), "approximated": approximated}

    def folder_words(self, pictured: "Pictured", layers: tuple[str, ...]) -> tuple[str, ...]:
        return (
            pictured.source,
            pictured.split,
            self.rules,
            folder_words(layers),
            f"feature{'+'.join(map(str, self.features))[:40]}" if self.features else "",
            "y{}x{}".format(*self.at) if isinstance(self.at, tuple) else self.at or "",
        )


@dataclass(frozen=True)
class _Drawing:
    """Rows that lie in one folder, and what is recorded of each."""

    layers: tuple[str, ...]
    rows: "Rows"
    pictured: "Pictured"
    details: list[dict[str, Any]]


def _drawings(opened: Opened, pictured: "Pictured", of: _Units) -> Iterator[_Drawing]:
    """Draw all layers side by side; single units a layer at a time, since their sizes differ."""
    from deconvviz.drawings.rows import reconstruct_rows
    from deconvviz.drawings.units import reconstruct_units

    net, images, scaling = opened.net, pictured.images, opened.scaling
    if of.at is None:
        rows = reconstruct_rows(net, images, scaling, of.layers, of.rules, features=of.features)
        yield _Drawing(of.layers, rows, pictured, [])
        return
    for layer in of.layers:
        rows, units = reconstruct_units(net, images, scaling, layer, of.rules, of.features, of.at)
        labels = tuple(
            f"{label}-feature{feature}" for label in pictured.labels for feature in of.features
        )
        details = [unit.record() for unit in units]
        yield _Drawing((layer,), rows, replace(pictured, labels=labels), details)


def _note_sameness(opened: Opened, layers: tuple[str, ...]) -> None:
    for layer in layers:
        if not opened.net.depends_on_image(layer):
            click.echo(
                f"Note: there is no max pool below {layer}, so by these rules the picture of one "
                "unit is the same for every image, but for its strength.",
                err=True,
            )

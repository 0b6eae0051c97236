"""`deconvviz correspondence`: does a network change alike when the same part is hidden?"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Table

from deconvviz.cli import options
from deconvviz.cli.asked import Asked, Opened, ask, folder_words
from deconvviz.cli.command import command, refuse
from deconvviz.cli.data_options import DATA_OPTIONS
from deconvviz.cli.parts import MarkedImage, picture_size, read_parts, seen_box
from deconvviz.cli.pictures import mean_colour, own_images
from deconvviz.cli.progress import each
from deconvviz.errors import DataError
from deconvviz.wording import escaped

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deconvviz.data import Dataset
    from deconvviz.experiments.correspondence import Correspondence, Step

_REPETITIONS = 10
_WIDE = 140  # columns, where no terminal says how many there are


@command()
@ask
@options.SOURCE
@click.option(
    "--parts",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help='A TOML file: for each image [[image]] with file = "a.png" or index = 0, and '
    "[image.parts] with name = [top, left, height, width] in the picture's pixels.",
)
@options.LAYERS
@click.option(
    "--repetitions",
    type=click.IntRange(1),
    default=_REPETITIONS,
    show_default=True,
    help="How often random boxes of the same sizes are laid, as the control.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Decides the random places.",
)
@options.PREPARED
def correspondence(
    asked: Asked, parts: Path, layers: tuple[str, ...], repetitions: int, seed: int
) -> None:
    """Hide the same parts in several images, and compare how the network's layers change.

    A part that the network knows changes its layers alike in every image: its Δ is lower than that
    of random boxes. As a table, and as a figure in the run's folder under correspondence/.
    """
    marked = read_parts(parts)
    indexed = any(one.index is not None for one in marked)
    if not indexed:
        refuse(f"{parts} names files and no index", *DATA_OPTIONS)
    files = tuple(one.file for one in marked if one.file)
    asked = replace(asked, files=files, mixed=indexed)
    opened = asked.open(layers=layers, forward_only=True)
    from deconvviz.drawings.correspondence import ComparedImages, write_correspondence
    from deconvviz.drawings.rows import max_pools
    from deconvviz.experiments.correspondence import correspond

    net, scaling = opened.net, opened.scaling
    layers = tuple(dict.fromkeys(layers)) or max_pools(net)
    data = opened.dataset()
    pictures = _Pictures.read(opened, marked, data)
    inputs = scaling(pictures.images)
    value = mean_colour(inputs, scaling)
    control = {"repetitions": repetitions, "seed": seed}
    record = correspond(net, inputs, pictures.boxes, layers, value=value, watch=_watched, **control)
    source = f"{data.name} ({asked.split})" if data else "pictures"
    windows = scaling.window(pictures.images)
    shown = ComparedImages(record, windows, pictures.names, scaling.name, source)
    of = f"{data.name}-{asked.split}" if data else ""
    chosen = (
        f"repetitions{repetitions}" if repetitions != _REPETITIONS else "",
        f"seed{seed}" if seed else "",
    )
    folder = opened.folder("correspondence", escaped(parts.stem), of, folder_words(layers), *chosen)
    about = {**opened.record(), "parts_file": str(parts)}
    path = write_correspondence(folder, shown, opened.checkpoint.step, about)
    _print_table(record)
    click.echo(f"The figure: {path}")
    opened.say_where()


@dataclass(frozen=True)
class _Pictures:
    """Images that were marked, fitted to the network, and each part's boxes in what it sees."""

    names: tuple[str, ...]
    images: "npt.NDArray[np.uint8]"
    boxes: dict[str, list[tuple[int, int, int, int]]]

    @classmethod
    def read(
        cls, opened: Opened, marked: Sequence[MarkedImage], data: "Dataset | None"
    ) -> "_Pictures":
        import numpy as np

        fitted = [_fitted(opened, one, data) for one in marked]
        boxes = {
            name: [
                seen_box(
                    one.parts[name],
                    size,
                    opened.shape,
                    opened.asked.fit,
                    opened.scaling,
                    f"{name!r} in {one.name}",
                )
                for one, (_, size) in zip(marked, fitted, strict=True)
            ]
            for name in marked[0].parts
        }
        names = tuple(escaped(one.file.stem) if one.file else str(one.index) for one in marked)
        return cls(names, np.concatenate([pixels for pixels, _ in fitted]), boxes)


def _fitted(
    opened: Opened, one: MarkedImage, data: "Dataset | None"
) -> "tuple[npt.NDArray[np.uint8], tuple[int, int]]":
    """Give an image fitted to the network, uint8 `[1, h, w, C]`, and its own height and width."""
    from deconvviz.data import fit_images

    shape, asked = opened.shape, opened.asked
    if one.file is not None:
        return own_images((one.file,), shape, asked.fit).images, picture_size(one.file)
    assert data is not None  # loaded where any image goes by its index
    assert one.index is not None
    images = data.split(asked.split).images
    if one.index >= len(images):
        raise DataError(
            f"The data set's split has images 0 to {len(images) - 1}; the file of parts asks for "
            f"{one.index}."
        )
    own = images[one.index : one.index + 1]
    return fit_images(own, shape[:2], grey=shape[2] == 1, fit=asked.fit), own.shape[1:3]


def _watched(steps: "Sequence[Step]") -> "Iterable[Step]":
    return each(steps, "hiding parts")


def _print_table(record: "Correspondence") -> None:
    from deconvviz.drawings.correspondence import HEADINGS, table

    width = None if sys.stdout.isatty() else _WIDE
    console = Console(width=width, markup=False, emoji=False)  # parts may be called [b] or :a:
    drawn = Table(box=box.SIMPLE, pad_edge=False)
    for index, heading in enumerate(HEADINGS):
        drawn.add_column(heading, justify="right" if index > 1 else "left", overflow="fold")
    for row in table(record):
        drawn.add_row(*row)
    console.print(drawn)
    console.print(
        "Δ: share of entries whose change has another sign in another image, mean and deviation "
        "over pairs; lower is more alike.",
        highlight=False,
        soft_wrap=True,
    )

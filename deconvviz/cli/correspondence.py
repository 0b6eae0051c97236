"""`deconvviz correspondence`: does a network change alike when the same part is hidden?"""

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from deconvviz.cli import options
from deconvviz.cli.checkpoint import checkpoint as find_out
from deconvviz.cli.checkpoint import input_shape, look_at, run_of
from deconvviz.cli.checkpoint import preprocess as way_in
from deconvviz.cli.parts import MarkedImage, picture_size, read_parts, seen_box
from deconvviz.cli.pictures import Fit, Shape, load, own_images, require_sound
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.tensorboard import EVERY_STEP
from deconvviz.data.scalings import parse_scaling
from deconvviz.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deconvviz.data import Split
    from deconvviz.experiments.correspondence import Correspondence, Step

_WIDE = 140  # columns, where no terminal says how many there are


@click.command()
@options.CKPT
@click.option(
    "--parts",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help='A TOML file: for each image [[image]] with file = "a.png" or index = 0, and '
    "[image.parts] with name = [top, left, height, width] in the picture's pixels.",
)
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Which images an index counts.  [default: the run's own]",
)
@options.SPLIT
@options.DATA_DIR
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATH",
    help="A layer's name, or its path through nested models; may be repeated.  "
    "[default: every max pool]",
)
@click.option(
    "--repetitions",
    type=click.IntRange(1),
    default=10,
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
def correspondence(
    ckpt: Path,
    parts: Path,
    dataset: str | None,
    split: str,
    data_dir: Path | None,
    layers: tuple[str, ...],
    repetitions: int,
    seed: int,
    preprocess: str | None,
    fit: Fit,
    size: tuple[int, int] | None,
    logdir: Path,
    verbose: bool,
) -> None:
    """Hide the same parts in several images, and compare how the network's layers change.

    A part that the network knows changes its layers alike in every image: its Δ is lower than that
    of random boxes. As a table, and as a figure in the run's folder under correspondence/.
    """
    marked = read_parts(parts)
    if preprocess is not None:
        parse_scaling(preprocess)
    file = look_at(ckpt)
    indexed = any(one.index is not None for one in marked)
    if indexed and not (dataset or run_of(ckpt)):
        raise ConfigError(f"{parts} gives images by index: say of which data set with --dataset.")
    require_sound(tuple(one.file for one in marked if one.file))
    import_tensorflow(verbose)
    import numpy as np

    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.correspondence import ComparedImages, write_correspondence
    from deconvviz.drawings.rows import max_pools
    from deconvviz.experiments.correspondence import correspond
    from deconvviz.models.files import load_model

    checkpoint = find_out(ckpt, file, logdir)
    net = Deconvnet(load_model(ckpt))
    layers = tuple(dict.fromkeys(layers)) or max_pools(net)
    scaling = way_in(checkpoint, preprocess, net)
    shape = input_shape(checkpoint, net, size)
    data = load(checkpoint, dataset, data_dir, max(shape[:2])) if indexed else None
    part = None if data is None else data.test if split == "test" else data.train
    pictures = [_picture(one, part, shape, fit) for one in marked]
    boxes = {
        name: [
            seen_box(one.parts[name], sides, shape, fit, scaling, f"{name!r} in {one.name}")
            for one, (_, sides) in zip(marked, pictures, strict=True)
        ]
        for name in marked[0].parts
    }
    images = np.concatenate([pixels for pixels, _ in pictures])
    inputs = scaling(images)
    # A standardised image has its own mean at 0; else the images' mean colour, scaled like them.
    value = 0.0 if scaling.name == "standardize" else inputs.mean(axis=(0, 1, 2), dtype=float)
    record = correspond(
        net, inputs, boxes, layers, value=value, repetitions=repetitions, seed=seed, watch=_watched
    )
    source = f"{data.name} ({split})" if data else "pictures"
    names = tuple(one.file.stem if one.file else str(one.index) for one in marked)
    shown = ComparedImages(record, scaling.window(images), names, scaling.name, source)
    settings = (
        parts.stem,
        f"{data.name}-{split}" if data else "",
        "+".join(layer.replace("/", ".") for layer in layers)[:120],
        "" if preprocess is None else re.sub(r"[^\w.]+", "_", preprocess),
        "{}x{}".format(*size) if size else "",
        "crop" if fit == "crop" else "",
    )
    folder = checkpoint.folder / "correspondence" / "-".join(one for one in settings if one)
    about = {"checkpoint": str(ckpt), "sha256": file.sha256, "parts_file": str(parts)}
    path = write_correspondence(folder, shown, checkpoint.step, about)
    _print_table(record)
    click.echo(f"The figure: {path}")
    logs = shlex.quote(str(checkpoint.folder.parent))
    click.echo(f"In TensorBoard: tensorboard --logdir {logs} {EVERY_STEP}")


def _picture(
    one: MarkedImage, part: "Split | None", shape: Shape, fit: Fit
) -> "tuple[npt.NDArray[np.uint8], tuple[int, int]]":
    """Give an image fitted to the network, uint8 `[1, h, w, C]`, and its own height and width."""
    from deconvviz.data import fit_images

    if one.file is not None:
        return own_images((one.file,), shape, fit).images, picture_size(one.file)
    assert part is not None  # loaded where any image goes by its index
    assert one.index is not None
    if one.index >= len(part.images):
        raise DataError(
            f"The data set's split has images 0 to {len(part.images) - 1}; the file of parts asks "
            f"for {one.index}."
        )
    own = part.images[one.index : one.index + 1]
    return fit_images(own, shape[:2], grey=shape[2] == 1, fit=fit), own.shape[1:3]


def _watched(steps: "Sequence[Step]") -> "Iterable[Step]":
    screen = Console(stderr=True)
    return track(
        steps, "hiding parts", console=screen, transient=True, disable=not screen.is_terminal
    )


def _print_table(record: "Correspondence") -> None:
    from deconvviz.drawings.correspondence import HEADINGS, table

    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
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

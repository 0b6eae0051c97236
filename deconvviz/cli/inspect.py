"""`deconvviz inspect`: what a model file is, what its layers are, and how it wants its images."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from deconvviz.cli import options
from deconvviz.cli.checkpoint import Checkpoint, input_shape, look_at
from deconvviz.cli.checkpoint import checkpoint as find_out
from deconvviz.cli.pictures import load
from deconvviz.cli.quiet import import_tensorflow

if TYPE_CHECKING:
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.deconv.survey import LayerInfo

_WIDE = 200  # columns, where no terminal says how many there are
_LEGEND = (
    "what a unit sees: height x width of its receptive field in pixels, how far it goes from one "
    "unit to the next, and where it begins for the first unit (in the padding, below 0)"
)


@click.command()
@options.CKPT
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Labelled images: show the accuracy on them under each known preprocessing.",
)
@options.SPLIT
@options.DATA_DIR
@click.option("--limit", type=click.IntRange(1), help="Only so many images.  [default: all]")
@options.RULES
@options.FIT
@options.SIZE
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@options.VERBOSE
def inspect(
    ckpt: Path,
    dataset: str | None,
    split: str,
    data_dir: Path | None,
    limit: int | None,
    rules: str,
    fit: str,
    size: tuple[int, int] | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """See what a model file holds: its layers, what each unit sees, which rule reverses it.

    With --dataset, also how accurate it is under each way to scale the images, so that you can tell
    which one it was trained with.
    """
    file = look_at(ckpt)
    import_tensorflow(verbose)
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.models.files import load_model

    net = Deconvnet(load_model(ckpt), rules=rules)
    record: dict[str, Any] = {
        "file": str(file.path),
        "format": file.format,
        "sha256": file.sha256,
        "inputs": [list(tensor.shape[1:]) for tensor in net.model.inputs],
        "outputs": [list(tensor.shape[1:]) for tensor in net.model.outputs],
        "parameters": net.model.count_params(),
        "rules": rules,
        "layers": [asdict(layer) for layer in net.layers],
    }
    if not as_json:
        _print_layers(record, net.layers)
    if dataset is not None:
        checkpoint = find_out(ckpt, file, Path())
        asked = (dataset, split, data_dir, limit, fit, size)
        record["accuracy"] = _accuracy(net, checkpoint, *asked)
        if not as_json:
            _print_accuracy(record["accuracy"])
    if as_json:
        click.echo(json.dumps(record, indent=2))


def _accuracy(
    net: "Deconvnet",
    checkpoint: Checkpoint,
    name: str,
    split: str,
    data_dir: Path | None,
    limit: int | None,
    fit: Any,
    size: tuple[int, int] | None,
) -> dict[str, Any]:
    from deconvviz.data import Preprocess, Split, fit_images
    from deconvviz.experiments.accuracy import accuracies, scalings_for

    height, width, channels = input_shape(checkpoint, net, size)
    dataset = load(checkpoint, name, data_dir, max(height, width))
    part = dataset.test if split == "test" else dataset.train
    images = fit_images(part.images[:limit], (height, width), grey=channels == 1, fit=fit)
    crop = checkpoint.data.crop if checkpoint.data else 0
    ways = [Preprocess(kind, crop) for kind in scalings_for(channels)]
    measured = accuracies(net.model, Split(images, part.labels[:limit]), ways, len(dataset.classes))
    screen = Console(stderr=True)
    each = track(
        measured,
        "accuracy under each preprocessing",
        total=len(ways),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    return {
        "dataset": dataset.name,
        "split": split,
        "images": len(images),
        "preprocess": {way.name: accuracy for way, accuracy in each},
    }


def _print_layers(record: dict[str, Any], layers: tuple["LayerInfo", ...]) -> None:
    console = _console()
    console.print(f"{record['file']}: {record['format']}", highlight=False, soft_wrap=True)
    console.print(f"sha256 {record['sha256']}", highlight=False, soft_wrap=True)
    shapes = " and ".join(_shape(shape) for shape in record["inputs"])
    console.print(f"takes {shapes}; {record['parameters']:,} parameters", highlight=False)
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("layer", "kind", "output", "a unit sees", "stride", "offset"):
        table.add_column(heading, overflow="fold")
    table.add_column(f"rule ({record['rules']})", overflow="fold")
    table.add_column("parameters", justify="right")
    for layer in layers:
        table.add_row(
            layer.path,
            layer.kind,
            _shape(layer.output_shape),
            *_field(layer),
            layer.rule or layer.reason or "",
            f"{layer.parameters:,}",
        )
    console.print(table)
    console.print(_LEGEND, highlight=False)


def _print_accuracy(measured: dict[str, Any]) -> None:
    console = _console()
    of = f"{measured['images']:,} {measured['split']} images of {measured['dataset']}"
    console.print(f"\nHow accurate it is on {of}:", highlight=False)
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("--preprocess")
    table.add_column("accuracy", justify="right")
    ranked = sorted(measured["preprocess"].items(), key=lambda pair: -pair[1])
    for name, accuracy in ranked:
        table.add_row(name, f"{accuracy:.3f}")
    console.print(table)


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


def _shape(shape: Any) -> str:
    return "x".join("any" if size is None else str(size) for size in shape)


def _field(layer: "LayerInfo") -> tuple[str, str, str]:
    field = layer.receptive_field
    if field is None:
        return "the whole", "", ""
    return (
        "{}x{}".format(*field.size),
        "{:g}, {:g}".format(*field.stride),
        "{}, {}".format(*field.offset),
    )

"""`deconvviz inspect`: what a model file is, how it wants its images, and what ails its layers."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from deconvviz.cli import options
from deconvviz.cli.checkpoint import checkpoint as find_out
from deconvviz.cli.checkpoint import input_shape, look_at
from deconvviz.cli.classes import require_own_classes
from deconvviz.cli.command import command, refuse
from deconvviz.cli.data_options import DATA_OPTIONS, refuse_meaningless, require_images
from deconvviz.cli.diagnosis import diagnosis_record, print_diagnosis
from deconvviz.cli.layer_table import print_layers
from deconvviz.cli.pictures import load, refuse_fit
from deconvviz.cli.progress import counting, each
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.config import DataConfig
from deconvviz.listing import counted

if TYPE_CHECKING:
    from deconvviz.data import Dataset, Split
    from deconvviz.deconv.deconvnet import Deconvnet

_WIDE = 200  # columns, where no terminal says how many there are


@command()
@options.CKPT
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Labelled images: show the accuracy on them under each known preprocessing, and what "
    "the network's filters and feature maps suffer from.",
)
@options.SPLIT
@options.DATA_DIR
@options.SKIP_BROKEN
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
    skip_broken: bool,
    limit: int | None,
    rules: str,
    fit: str,
    size: tuple[int, int] | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """See what a model file holds: its layers, what each unit sees, which rule reverses it.

    With --dataset, also how accurate it is under each way to scale the images, so that you can tell
    which one it was trained with; and a diagnosis: feature maps that never respond, filters that
    drown the others, the frequencies and colours of the first filters, lattices and aliasing.
    """
    if dataset is None:
        refuse("Without --dataset no image is looked at", "limit", "fit", "size", *DATA_OPTIONS)
    else:
        refuse_meaningless(ckpt, dataset)
        require_images(ckpt, dataset, data_dir)
    file = look_at(ckpt)
    import_tensorflow(verbose)
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.models.files import open_model

    net = Deconvnet(open_model(file), rules=rules)
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
        print_layers(_console(), record, net.layers)
    if dataset is not None:
        found = find_out(ckpt, file, Path())
        shape = input_shape(found, net, size)
        data = load(found, dataset, data_dir, max(shape[:2]), skip_broken)
        refuse_fit(data, shape)
        require_own_classes(found, data, split)
        labelled = _labelled(found.data, data, shape, fit)
        part = labelled.take(split, limit)
        record["accuracy"] = _accuracy(net, labelled, part, split)
        if not as_json:
            _print_accuracy(record["accuracy"])
        _diagnose(net, labelled, part, record, as_json)
    if as_json:
        click.echo(json.dumps(record, indent=2))


@dataclass(frozen=True)
class _Labelled:
    """A data set, and how the network wants its images.

    Attributes:
        dataset: the data set.
        shape: height, width and channels that images are fitted to.
        fit: how they are.
        crop: the side of the window that the network sees; 0 for the whole image.
        preprocess: a run's own scaling; None where nobody knows it.
    """

    dataset: "Dataset"
    shape: tuple[int, int, int]
    fit: Any
    crop: int
    preprocess: str | None

    def take(self, split: str, limit: int | None) -> "Split":
        """Give the first images of a split, fitted to the network's size."""
        from deconvviz.data import Split, fit_images

        part = self.dataset.split(split)
        height, width, channels = self.shape
        size, grey = (height, width), channels == 1
        images = fit_images(part.images[:limit], size, grey=grey, fit=self.fit)
        return Split(images, part.labels[:limit])


def _labelled(
    own: DataConfig | None, dataset: "Dataset", shape: tuple[int, int, int], fit: Any
) -> _Labelled:
    crop, preprocess = (own.crop, own.preprocess) if own else (0, None)
    return _Labelled(dataset, shape, fit, crop, preprocess)


def _accuracy(net: "Deconvnet", labelled: _Labelled, part: "Split", split: str) -> dict[str, Any]:
    from deconvviz.data import Preprocess
    from deconvviz.experiments.accuracy import accuracies, chance, scalings_for

    ways = [Preprocess(kind, labelled.crop) for kind in scalings_for(labelled.shape[2])]
    measured = accuracies(net.model, part, ways, len(labelled.dataset.classes))
    measured = each(measured, "accuracy under each preprocessing", len(ways))
    share, plainly = chance(part.labels)
    return {
        "dataset": labelled.dataset.name,
        "split": split,
        "images": len(part.images),
        "preprocess": (found := {way.name: accuracy for way, accuracy in measured}),
        "chance": share,
        "above_chance": max(found.values()) > plainly,
    }


def _diagnose(
    net: "Deconvnet", labelled: _Labelled, part: "Split", record: dict[str, Any], as_json: bool
) -> None:
    """Look it over on images scaled as the run did, or else as it is right most often.

    Where no scaling is better than chance, nobody knows which is the network's, and what its maps
    do under a wrong one would say nothing of it.
    """
    from deconvviz.data import Preprocess
    from deconvviz.experiments.diagnosis import diagnose

    accuracy = record["accuracy"]["preprocess"]
    name = labelled.preprocess
    if name is None and record["accuracy"]["above_chance"]:
        name = max(accuracy, key=accuracy.get)
    way = None if name is None else Preprocess(name, labelled.crop)
    with counting("what the feature maps do", len(part.images)) as done:
        found = diagnose(net, part.images, way, done)
    record["diagnosis"] = diagnosis_record(found)
    if not as_json:
        print_diagnosis(_console(), found, _images(record["accuracy"]))


def _print_accuracy(measured: dict[str, Any]) -> None:
    console = _console()
    console.print(f"\nHow accurate it is on {_images(measured)}:", highlight=False)
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("--preprocess")
    table.add_column("accuracy", justify="right")
    ranked = sorted(measured["preprocess"].items(), key=lambda pair: -pair[1])
    for name, accuracy in ranked:
        table.add_row(name, f"{accuracy:.3f}")
    console.print(table)
    if not measured["above_chance"]:
        console.print(
            f"These images cannot tell which scaling it wants: none is plainly above "
            f"{measured['chance']:.3f}, what naming the commonest class each time gives. Use more "
            "images, or those of the classes that it was trained on; what its feature maps do is "
            "told only under a known scaling.",
            highlight=False,
        )


def _images(measured: dict[str, Any]) -> str:
    return f"{counted(measured['images'], measured['split'] + ' image')} of {measured['dataset']}"


def _console() -> Console:
    width = None if sys.stdout.isatty() else _WIDE
    return Console(width=width, markup=False, emoji=False)  # layers may be called [b] or :a:

"""`deconvviz features`: what each feature map of a trained network responds to most."""

import hashlib
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress

from deconvviz.cli import options
from deconvviz.cli.checkpoint import Checkpoint, input_shape, look_at, run_of
from deconvviz.cli.checkpoint import checkpoint as find_out
from deconvviz.cli.checkpoint import preprocess as way_in
from deconvviz.cli.pictures import NO_IMAGES, Fit, data_set, load, own_images, require_sound
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.tensorboard import EVERY_STEP
from deconvviz.data.scalings import parse_scaling
from deconvviz.errors import ConfigError, DataError, DeconvvizError, UnsupportedLayerError

if TYPE_CHECKING:
    from deconvviz.data import Preprocess
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.features import Features
    from deconvviz.drawings.rows import Pictured
    from deconvviz.experiments.top import TopActivations

_BATCH = 128
_LONGEST = 120  # characters of a folder's name that a layer may take
_K = 9


class _Numbers(click.ParamType):
    """Whole numbers and ranges of them: 3 or 0-15 or 0-3,9."""

    name = "K|K-K,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        chosen: list[int] = []
        for part in value.split(","):
            found = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", part)
            first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
            if last < first:
                self.fail(f"got {value!r}; it takes numbers and ranges, as 3 or 0-15,40.", param)
            chosen += range(first, last + 1)
        return tuple(dict.fromkeys(chosen))


@click.command()
@options.CKPT
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Which images to look through.  [default: the run's own]",
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
    "--limit", type=click.IntRange(1), help="How many images of a data set.  [default: all]"
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATH",
    help="A layer's name, or its path through nested models; may be repeated.  "
    "[default: every convolution and max pool]",
)
@click.option(
    "--features",
    "chosen",
    type=_Numbers(),
    help="Which feature maps to draw, as 0-15 or 3,17.  [default: all]",
)
@click.option(
    "-k",
    "k",
    type=click.IntRange(1, 400),
    default=_K,
    show_default=True,
    help="How many units of each feature map, one an image.",
)
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
def features(
    ckpt: Path,
    dataset: str | None,
    split: str,
    data_dir: Path | None,
    image: Path | None,
    more_images: tuple[Path, ...],
    limit: int | None,
    layers: tuple[str, ...],
    chosen: tuple[int, ...] | None,
    k: int,
    rules: str,
    nonlinear: str,
    preprocess: str | None,
    fit: Fit,
    size: tuple[int, int] | None,
    logdir: Path,
    verbose: bool,
) -> None:
    """Show what each feature map responds to: its strongest image patches, reconstructed.

    Looks through the images once for all layers, and draws for every feature map the k units that
    fired most, each from another image: the image patches, and beside them their reconstructions
    (Zeiler & Fergus 2013, Figure 2). Stopped half way, the same command goes on from there.
    """
    if more_images and not image:
        raise click.UsageError(f"Unexpected {more_images[0]}; pictures go behind --images.")
    if image and (dataset or data_dir or limit):
        raise click.UsageError(
            "--images looks through your own pictures; leave out --dataset, --data-dir, --limit."
        )
    if preprocess is not None:
        parse_scaling(preprocess)
    file = look_at(ckpt)
    if not (image or dataset or run_of(ckpt)):
        raise ConfigError(NO_IMAGES)
    files = (image, *more_images) if image else ()
    require_sound(files)
    import_tensorflow(verbose)
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.features import Features
    from deconvviz.models.files import load_model

    checkpoint = find_out(ckpt, file, logdir)
    net = Deconvnet(load_model(ckpt), rules=rules, nonlinear=nonlinear)
    layers = tuple(dict.fromkeys(layers)) or _all_layers(net)
    for layer in layers:
        _require_features(net, layer, chosen)
    scaling = way_in(checkpoint, preprocess, net)
    shape = input_shape(checkpoint, net, size)
    if files:
        pictured = own_images(files, shape, fit)
    else:
        images = load(checkpoint, dataset, data_dir, max(shape[:2]))
        pictured = data_set(images, split, limit or _all_of(images, split), shape, fit)
    if k > len(pictured.images):
        raise DataError(
            f"-k asks for {k} images a feature map, and there are {len(pictured.images)}: each "
            f"counts once. Give -k of at most {len(pictured.images)}, or more images."
        )
    own = checkpoint.data is not None and preprocess is None
    asked = _Asked(
        layers, chosen, k, limit, rules, nonlinear, scaling.name, own, fit, size, data_dir
    )
    tops = _strongest(net, pictured, scaling, asked, checkpoint)
    record = {"checkpoint": str(ckpt), "sha256": file.sha256, **asked.record()}
    for layer, top in tops.items():
        of = Features(net, top, pictured, scaling, rules)
        folder = checkpoint.folder / "features" / asked.folder(pictured, layer)
        _draw(of, folder, asked, checkpoint.step, record)
    logs = shlex.quote(str(checkpoint.folder.parent))
    click.echo(f"In TensorBoard: tensorboard --logdir {logs} {EVERY_STEP}")


@dataclass(frozen=True)
class _Asked:
    """What is sought and drawn, and how."""

    layers: tuple[str, ...]
    features: tuple[int, ...] | None
    k: int
    limit: int | None
    rules: str
    nonlinear: str
    preprocess: str
    own_preprocess: bool  # the run's own, of which a folder's name need not speak
    fit: Fit
    size: tuple[int, int] | None
    data_dir: Path | None

    def record(self) -> dict[str, Any]:
        """Give what decides the pictures beside the layer, as plain JSON values."""
        asked = ("limit", "nonlinear", "preprocess", "fit", "size")
        return {name: getattr(self, name) for name in asked}

    def folder(self, pictured: "Pictured", layer: str) -> str:
        """Name a layer's folder by all that makes its pictures differ from another call's."""
        name = layer.replace("/", ".")
        if len(name) > _LONGEST:  # a folder's name has 255 bytes at most
            name = f"{name[: _LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        parts = (
            pictured.source,
            pictured.split,
            self.rules,
            name,
            _chosen_words(self.features),
            f"k{self.k}" if self.k != _K else "",
            f"first{self.limit}" if self.limit else "",
            "" if self.own_preprocess else re.sub(r"[^\w.]+", "_", self.preprocess),
            "{}x{}".format(*self.size) if self.size else "",
            "crop" if self.fit == "crop" else "",
            "nonlinear" if self.nonlinear == "gradient" else "",
        )
        return "-".join(part for part in parts if part)

    def kept(self, pictured: "Pictured", checkpoint: Checkpoint) -> Path:
        """Name the file of what was found so far by all that decides what is found."""
        sought = (
            checkpoint.file.sha256, self.layers, self.k, self.limit, self.preprocess, self.fit,
            self.size, self.data_dir, pictured.source, pictured.split, pictured.labels,
        )  # fmt: skip
        digest = hashlib.sha256(repr(sought).encode()).hexdigest()[:8]
        return checkpoint.folder / "features" / f"strongest-{digest}.npz"


def _chosen_words(features: tuple[int, ...] | None) -> str:
    if features is None:
        return ""
    if features == tuple(range(features[0], features[-1] + 1)):
        return f"maps{features[0]}-{features[-1]}"
    words = "+".join(map(str, features))
    if len(words) > 40:
        words = f"{words[:31]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
    return f"maps{words}"


def _all_layers(net: "Deconvnet") -> tuple[str, ...]:
    """Name every convolution and max pool that can be reconstructed from."""
    from deconvviz.deconv.arguments import some_of

    layers = tuple(
        layer.path
        for layer in net.layers
        if len(layer.output_shape) == 3
        and ("Conv" in layer.kind or layer.kind.startswith("MaxPooling"))
        and _is_reversible(net, layer.path)
    )
    if not layers:
        raise DeconvvizError(
            "The network has no convolution and no max pool that the rules can reverse. Choose a "
            f"layer with --layer, one of {some_of([layer.path for layer in net.layers])}."
        )
    return layers


def _is_reversible(net: "Deconvnet", layer: str) -> bool:
    try:
        net.require(layer)
    except UnsupportedLayerError:
        return False
    return True


def _require_features(net: "Deconvnet", layer: str, chosen: tuple[int, ...] | None) -> None:
    count = net.require(layer)[-1] or 0
    beyond = [feature for feature in chosen or () if feature >= count]
    if beyond:
        raise DeconvvizError(
            f"Layer {layer!r} has features 0 to {count - 1}; --features asked for {beyond[0]}."
        )


def _all_of(dataset: Any, split: str) -> int:
    return len((dataset.test if split == "test" else dataset.train).labels)


def _strongest(
    net: "Deconvnet",
    pictured: "Pictured",
    scaling: "Preprocess",
    asked: _Asked,
    checkpoint: Checkpoint,
) -> "dict[str, TopActivations]":
    import numpy as np

    from deconvviz.data import Split, evaluation_batches
    from deconvviz.experiments.strongest import strongest_activations

    count = len(pictured.images)
    split = Split(pictured.images, np.zeros(count, np.int64))
    batches = evaluation_batches(split, scaling, _BATCH)
    keep = asked.kept(pictured, checkpoint)
    with _progress(count) as progress:
        return strongest_activations(
            net, batches, asked.layers, asked.k, keep=keep, progress=progress
        )


@contextmanager
def _progress(count: int) -> Iterator[Any]:
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as live:
        task = live.add_task(f"looking through {count} images", total=count)
        try:
            yield lambda done: live.update(task, completed=done)
        except KeyboardInterrupt:
            click.echo(
                "Stopped. What was found so far is kept: the same command goes on from there.",
                err=True,
            )
            raise


def _draw(
    of: "Features", folder: Path, asked: _Asked, step: int | None, record: dict[str, Any]
) -> None:
    from deconvviz.drawings.features import listed, write_features

    layer, alive = of.top.layer, of.alive(asked.features)
    dead = sum(of.top.dead)
    words = f"{layer}: {dead} of {len(of.top.dead)} feature maps dead"
    if of.alike:
        words += f", near-duplicates {listed([f'{a}={b}' for a, b, _ in of.alike])}"
    if not alive:
        click.echo(f"{words}; nothing to draw.")
        return
    pages = write_features(folder, of, asked.features, step, record)
    count = "1 page" if len(pages) == 1 else f"{len(pages)} pages"
    click.echo(f"{words}. {len(alive)} drawn on {count}: {folder}")

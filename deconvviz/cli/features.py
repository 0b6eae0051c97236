"""`deconvviz features`: what each feature map of a trained network responds to most."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deconvviz.cli import options
from deconvviz.cli.asked import Asked, Opened, ask, folder_words
from deconvviz.cli.command import command
from deconvviz.cli.progress import counting, kept_when_stopped
from deconvviz.errors import DeconvvizError
from deconvviz.listing import counted, listed
from deconvviz.wording import quoted

if TYPE_CHECKING:
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.deconv.survey import LayerInfo
    from deconvviz.drawings.features import Features
    from deconvviz.drawings.rows import Pictured
    from deconvviz.experiments.top import TopActivations

_BATCH = 128
_K = 9


class _Numbers(click.ParamType):
    """Whole numbers and ranges of them: 3 or 0-15 or 0-3,9."""

    name = "K|K-K,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        chosen: dict[int, None] = {}
        for part in value.split(","):
            found = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", part)
            first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
            if last < first:
                self.fail(
                    f"got {quoted(value)}; it takes numbers and ranges, as 3 or 0-15,40.", param
                )
            chosen |= dict.fromkeys(range(first, last + 1))
        return tuple(chosen)


@command()
@ask
@options.SOURCE
@options.IMAGES
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
@options.NONLINEAR
@options.PREPARED
def features(
    asked: Asked,
    limit: int | None,
    layers: tuple[str, ...],
    chosen: tuple[int, ...] | None,
    k: int,
    rules: str,
    nonlinear: str,
) -> None:
    """Show what each feature map responds to: its strongest image patches, reconstructed.

    Looks through the images once for all layers, and draws for every feature map the k units that
    fired most, each from another image: the image patches, and beside them their reconstructions
    (Zeiler & Fergus 2013, Figure 2). Stopped half way, the same command goes on from there.
    """
    opened = asked.open(rules, nonlinear, layers)
    from deconvviz.drawings.features import Features

    left_out: dict[str, str] = {}
    if not layers:
        layers, left_out = _all_layers(opened.net)
        _say_left_out(left_out)
    for layer in layers:
        _require_features(opened.net, layer, chosen)
    pictured = opened.pictured(opened.dataset(), limit)
    k = _as_many_as(len(pictured.images), k)
    search = _Search(layers, chosen, k, limit, rules)
    record = {**opened.record(), "limit": limit, "left_out": left_out}
    with kept_when_stopped():
        for layer, top in _strongest(opened, pictured, search).items():
            of = Features(opened.net, top, pictured, opened.scaling, rules)
            folder = opened.folder("features", *search.folder_words(pictured, layer))
            _draw(of, folder, chosen, opened.checkpoint.step, record)
    opened.say_where()


def _as_many_as(images: int, k: int) -> int:
    """Take no more units of a feature map than there are images, and say so."""
    if images < k:
        click.echo(
            f"There {'is' if images == 1 else 'are'} {counted(images, 'image')}, so {images} in "
            f"place of {k} (-k) of each feature map are shown, each from another image.",
            err=True,
        )
    return min(images, k)


@dataclass(frozen=True)
class _Search:
    """What is sought, and which of it is drawn."""

    layers: tuple[str, ...]
    features: tuple[int, ...] | None
    k: int
    limit: int | None
    rules: str

    def folder_words(self, pictured: "Pictured", layer: str) -> tuple[str, ...]:
        return (
            pictured.source,
            pictured.split,
            self.rules,
            folder_words([layer]),
            _chosen_words(self.features),
            f"k{self.k}" if self.k != _K else "",
            f"first{self.limit}" if self.limit else "",
        )

    def kept(self, opened: Opened, pictured: "Pictured") -> Path:
        """Name the file of what was found so far by all that decides what is found."""
        asked, checkpoint = opened.asked, opened.checkpoint
        sought = (
            checkpoint.file.sha256, self.layers, self.k, self.limit, opened.scaling.name, asked.fit,
            asked.size, asked.data_dir, pictured.source, pictured.split, pictured.labels,
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


def _all_layers(net: "Deconvnet") -> tuple[tuple[str, ...], dict[str, str]]:
    """Name every convolution and max pool to reconstruct from; and why not the others."""
    named = [
        layer for layer in net.layers if "Conv" in layer.kind or layer.kind.startswith("MaxPooling")
    ]
    why = {layer.path: _why_not(net, layer) for layer in named}
    layers = tuple(path for path, reason in why.items() if not reason)
    left_out = {path: reason for path, reason in why.items() if reason}
    if not layers:
        reasons = "; ".join(dict.fromkeys(left_out.values())) or "it has none"
        raise DeconvvizError(
            "The network has no convolution and no max pool that the rules can reverse "
            f"({reasons[:160]}). Choose a layer with --layer, one of "
            f"{listed([layer.path for layer in net.layers])}, or try --nonlinear gradient."
        )
    return layers, left_out


def _why_not(net: "Deconvnet", layer: "LayerInfo") -> str:
    """Say why a layer's features cannot be shown; nothing where they can."""
    if len(layer.output_shape) != 3:
        return "no feature maps [height, width, features]"
    missing = net.without_rule(layer.path)
    return f"no rule for {missing[-1]}" if missing else ""


def _say_left_out(left_out: dict[str, str]) -> None:
    for reason in dict.fromkeys(left_out.values()):
        layers = listed([layer for layer, why in left_out.items() if why == reason])
        advice = " --nonlinear gradient takes its gradient." if "rule" in reason else ""
        click.echo(f"Left out: {layers}: {reason}.{advice}", err=True)


def _require_features(net: "Deconvnet", layer: str, chosen: tuple[int, ...] | None) -> None:
    count = net.require(layer)[-1] or 0
    last = max(chosen or (0,))
    if last >= count:
        raise DeconvvizError(
            f"Layer {layer!r} has features 0 to {count - 1}; --features asked for {last}."
        )


def _strongest(
    opened: Opened, pictured: "Pictured", search: _Search
) -> "dict[str, TopActivations]":
    import numpy as np

    from deconvviz.data import Split, evaluation_batches
    from deconvviz.experiments.strongest import strongest_activations

    count = len(pictured.images)
    split = Split(pictured.images, np.zeros(count, np.int64))
    batches = evaluation_batches(split, opened.scaling, _BATCH)
    keep = search.kept(opened, pictured)
    with counting(f"looking through {counted(count, 'image')}", count) as progress:
        return strongest_activations(
            opened.net, batches, search.layers, search.k, keep=keep, progress=progress
        )


def _draw(
    of: "Features",
    folder: Path,
    chosen: tuple[int, ...] | None,
    step: int | None,
    record: dict[str, Any],
) -> None:
    from deconvviz.drawings.features import listed as first_of
    from deconvviz.drawings.features import write_features
    from deconvviz.experiments.silence import dead_or_silent

    layer, alive = of.top.layer, of.alive(chosen)
    silent, count = sum(of.top.dead), len(of.top.dead)
    words = f"{layer}: {silent} of {count} feature maps {dead_or_silent(of.top.images)}"
    if of.alike:
        words += f", near-duplicates {first_of([f'{a}={b}' for a, b, _ in of.alike])}"
    if not alive:
        click.echo(f"{words}; nothing to draw.")
        return
    pages = write_features(folder, of, chosen, step, record)
    click.echo(f"{words}. {len(alive)} drawn on {counted(len(pages), 'page')}: {folder}")

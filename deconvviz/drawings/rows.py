"""One picture for a batch of images: each beside the reconstructions of its layers.

This is where the rooms meet: the network's input from `data`, the maps from `deconv`, the stitching
and the files from `render`. Training draws its rows here, and so does `deconvviz reconstruct`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.drawings.anew import drawn_anew
from deconvviz.drawings.emptiness import why_empty
from deconvviz.errors import DeconvvizError
from deconvviz.listing import listed
from deconvviz.render.compose import WHOLE_LAYER, Rows, classic_rows, deconvnet_rows
from deconvviz.render.png import write_picture, write_sheet
from deconvviz.render.tensorboard import EventLog

ON_THE_PAGE = 16


@dataclass(frozen=True)
class Pictured:
    """Images to show, and what to call them.

    Attributes:
        source: the data set's name, or "images" for a person's own.
        images: uint8 `[n, H, W, C]`.
        labels: one an image: its class, or its file's name.
        split: "test", "train", or "" where there is none.
    """

    source: str
    images: npt.NDArray[np.uint8]
    labels: tuple[str, ...]
    split: str = ""

    @property
    def origin(self) -> str:
        """Where the images come from, in words that go after "of" or "from"."""
        return f"{self.source} ({self.split})" if self.split else "one's own"


def reconstruct_rows(
    net: Deconvnet,
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    layers: Sequence[str],
    rules: str,
    scales: Sequence[float] | None = None,
    features: Sequence[int] = (),
) -> Rows:
    """Reconstruct layers from a batch of images, and stitch original | layer | layer …

    Args:
        net: with the rules that `rules` names.
        images: uint8 `[n, H, W, C]`, before preprocessing.
        preprocess: what makes them the network's input.
        layers: the layers' paths.
        rules: "classic" draws as the classic program did, one scale for a row; all others draw
            each map by itself, symmetric around zero.
        scales: the |value| drawn as full black or white, one a layer; None: each map's largest.
        features: one feature map of each layer at a time, a panel each; none: whole layers.

    Returns:
        The stitched rows, uint8, and how they are scaled.
    """
    inputs = preprocess(images)
    chosen: list[tuple[str, int | None]] = [
        (layer, feature) for layer in layers for feature in features or (None,)
    ]
    with why_empty(others=True) as reasons:
        of_feature = {
            feature: net.reconstruct(inputs, layers, feature) for feature in features or (None,)
        }
    maps = [preprocess.maps(of_feature[feature][layer]) for layer, feature in chosen]
    names = [layer if feature is None else f"{layer} {feature}" for layer, feature in chosen]
    start = "one feature map's activations, all others 0" if features else WHOLE_LAYER
    words = {
        "rules": rule_words(net, layers, rules),
        "start": start,
        "notes": " ".join(reasons),
    }
    if rules == "classic":
        rows = classic_rows(preprocess.maps(inputs), maps, names, **words)
    else:
        rows = deconvnet_rows(preprocess.window(images), maps, names, scales, **words)
    return replace(rows, empty=tuple(reasons))


def max_pools(net: Deconvnet) -> tuple[str, ...]:
    """Name every max pool of a network: what is shown where nobody names layers.

    Raises:
        DeconvvizError: where it has none; it names the layers that there are.
    """
    pools = tuple(layer.path for layer in net.layers if layer.kind.startswith("MaxPooling"))
    if not pools:
        raise DeconvvizError(
            "The network has no max pool to start from by itself. Choose a layer, one of "
            f"{listed([layer.path for layer in net.layers])}."
        )
    return pools


def rule_words(net: Deconvnet, layers: Sequence[str], rules: str) -> str:
    """Say by which rules layers were reversed, the approximations among them by name."""
    words = {"classic": "classic (bias subtracted, no rectification)"}.get(rules, rules)
    gradients = dict.fromkeys(step for layer in layers for step in net.approximated(layer))
    if gradients:
        words += f", with the gradient in place of a rule at {', '.join(gradients)}"
    return words


def write_rows(
    folder: Path,
    rows: Rows,
    pictured: Pictured,
    step: int | None,
    record: dict[str, Any],
    details: Sequence[dict[str, Any]] = (),
) -> Path:
    """Write rows as one PNG each, as one page, and for TensorBoard under `source/<data set>`.

    Args:
        folder: everything goes there, in place of what an earlier call wrote.
        rows: from `reconstruct_rows`.
        pictured: the images that they were made from.
        step: the network's training step; None where nobody knows it (TensorBoard then shows 0).
        record: what to keep beside each picture, as JSON.
        details: what to keep beside it of each row alone; or none.

    Returns:
        The page's path.

    Raises:
        DeconvvizError: where the folder cannot be written.
    """
    page = folder / "all.png"
    with drawn_anew(folder, "[0-9]*-*") as paths:
        paths += _write_each(folder, rows, pictured, {**record, "step": step}, details)
        shown = replace(
            rows,
            pixels=rows.pixels[:ON_THE_PAGE],
            scales=rows.scales[:ON_THE_PAGE],
            saturated=rows.saturated[:ON_THE_PAGE],
        )
        write_sheet(
            page,
            shown.pixels,
            shown.caption(),
            {**record, "step": step, **shown.record()},
            rows.names,
            [f"{index} {label}" for index, label in enumerate(pictured.labels[:ON_THE_PAGE])],
        )
        with EventLog(folder) as log:
            log.images(f"source/{pictured.source}", rows.pixels, step or 0, rows.caption())
    return page


def _write_each(
    folder: Path,
    rows: Rows,
    pictured: Pictured,
    record: dict[str, Any],
    details: Sequence[dict[str, Any]],
) -> Iterator[Path]:
    screen, own = Console(stderr=True), details or [{}] * len(pictured.labels)
    for index, label in track(
        list(enumerate(pictured.labels)),
        "writing rows",
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ):
        path = folder / f"{index:04d}-{label}.png"
        about = {**record, "label": label, **own[index], **rows.record(index)}
        write_picture(path, rows.pixels[index], rows.caption(index), about, rows.names)
        yield path

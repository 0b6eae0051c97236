"""Stitch images and their maps into rows, and first-layer filters into a grid.

Every picture leaves here as uint8, with a record of the scales that were used, so that its caption
can say what a grey level means. Pure functions on numpy arrays; how a value becomes a grey level is
in `scaling`, how pixels become files is in `png` and `tensorboard`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.errors import DeconvvizError
from deconvviz.render.scaling import (
    Pixels,
    refuse_channels,
    refuse_non_finite,
    saturated_share,
    symmetric,
    tf1_image_summary,
    tf1_range,
    three_channels,
)

WHOLE_LAYER = "the whole layer's activations"
CAVEAT = (
    "Deconvnet and guided maps partly recover the input whatever the network decided "
    "(Nie et al. 2018)."
)


@dataclass(frozen=True)
class Rows:
    """Stitched rows, one an image: the image itself, then one map a layer.

    Attributes:
        pixels: uint8 `[n, h, panels*w, 3]`.
        names: the panels' headings, left to right.
        scales: float `[n, panels-1]`, the |value| of each map that is drawn as full black or white.
        saturated: float `[n, panels-1]`, in [0, 1], the share of a map's values beyond its scale.
        description: what the panels are and how they are scaled, in words that hold for every
            image and step.
        shared: whether all panels of a row have one scale, which then stands under each map.
        empty: why some maps show nothing; the description says it too.
    """

    pixels: Pixels
    names: tuple[str, ...]
    scales: npt.NDArray[np.float64]
    saturated: npt.NDArray[np.float64]
    description: str
    shared: bool = False
    empty: tuple[str, ...] = ()

    def caption(self, image: int | None = None) -> str:
        """Say the description and the scales of one row; of all rows, their range, for None."""
        chosen = slice(None) if image is None else slice(image, image + 1)
        names = ("the row",) if self.shared else self.names[1:]
        each = zip(names, self.scales[chosen].T, self.saturated[chosen].T, strict=not self.shared)
        return f"{self.description} Scale: {', '.join(_scale_words(*one) for one in each)}."

    def record(self, image: int | None = None) -> dict[str, Any]:
        """Give names, scales and saturated shares, of one row or of all, as plain JSON values."""
        chosen = slice(None) if image is None else image
        return {
            "panels": list(self.names),
            "description": self.description,
            "show_nothing": list(self.empty),
            "scales": self._by_name(self.scales[chosen]),
            "saturated": self._by_name(self.saturated[chosen]),
        }

    def _by_name(self, values: npt.NDArray[np.float64]) -> dict[str, Any]:
        return dict(zip(self.names[1:], values.T.tolist(), strict=True))


@dataclass(frozen=True)
class FilterGrid:
    """The filters of a first layer side by side, all on one scale.

    Attributes:
        pixels: uint8 `[rows*(kh+1)-1, columns*(kw+1)-1, 3]`.
        scale: the |weight| drawn as full black or white.
        description: how the filters are shown, in words that hold for every step.
    """

    pixels: Pixels
    scale: float
    description: str

    @property
    def caption(self) -> str:
        """Say the description and the scale."""
        return f"{self.description} Scale: {self.scale:.3g}."


def deconvnet_rows(
    originals: Pixels,
    maps: Sequence[npt.ArrayLike],
    names: Sequence[str],
    scales: Sequence[float] | None = None,
    *,
    first: str = "original",
    rules: str = "deconvnet",
    start: str = WHOLE_LAYER,
    notes: str = "",
) -> Rows:
    """Stitch images and their maps into rows, each map on its own scale with zero at grey.

    Args:
        originals: uint8 `[n, h, w, C]`, C 1 or 3, shown as they are.
        maps: one float `[n, h, w, C]` a layer.
        names: one a layer, the panels' headings.
        scales: the |value| drawn as full black or white, one a layer, the same for all images and
            steps, so that rows compare; None scales each map by its own largest |value|.
        first: the heading of the originals.
        rules: the backward rules, for the description.
        start: the start signal, for the description.
        notes: whatever else the description has to say.

    Raises:
        DeconvvizError: for maps that hold NaN or infinity, or that do not fit the images.
    """
    if np.asarray(originals).dtype != np.uint8:
        raise DeconvvizError(
            f"The originals are {np.asarray(originals).dtype}; they are shown as they are, so give "
            "pixels, uint8."
        )
    panels = _fitting(originals, maps, names)
    fixed = [None] * len(panels) if scales is None else scales
    drawn = [_draw(*each) for each in zip(panels, names, fixed, strict=True)]
    how = (
        "Each reconstruction is scaled by its own largest |value|"
        if scales is None
        else "Each layer has one scale for all images and steps, values beyond it saturate"
    )
    return Rows(
        np.concatenate([three_channels(originals), *(pixels for pixels, _, _ in drawn)], axis=2),
        (first, *names),
        np.stack([used for _, used, _ in drawn], axis=1),
        np.stack([beyond for _, _, beyond in drawn], axis=1),
        f"{first} | {' | '.join(names)}. Rules: {rules}. Start signal: {start}. {how}; zero is "
        f"grey (128). {notes}{' ' if notes else ''}{CAVEAT}",
    )


def classic_rows(
    inputs: npt.ArrayLike,
    maps: Sequence[npt.ArrayLike],
    names: Sequence[str],
    *,
    first: str = "input",
    rules: str = "classic (bias subtracted, no rectification)",
    start: str = WHOLE_LAYER,
    notes: str = "",
) -> Rows:
    """Stitch network inputs and their maps into rows, each row on one scale, as TF1 drew them.

    Args:
        inputs: float `[n, h, w, C]`, C 1 or 3, the network's input, not its pixels.
        maps: one float `[n, h, w, C]` a layer.
        names: one a layer, the panels' headings.
        first: the heading of the inputs.
        rules: the backward rules, for the description.
        start: the start signal, for the description.
        notes: whatever else the description has to say.

    Raises:
        DeconvvizError: for maps that do not fit the inputs.
    """
    panels = _fitting(inputs, maps, names)
    stitched = np.concatenate([inputs, *panels], axis=2).astype(np.float32)
    largest = np.array([[tf1_range(row)[1]] for row in stitched], np.float64)
    return Rows(
        np.stack([three_channels(tf1_image_summary(row)) for row in stitched]),
        (first, *names),
        np.repeat(largest, len(panels), axis=1),
        np.zeros((len(stitched), len(panels))),
        f"{first} | {' | '.join(names)}. Rules: {rules}. Start signal: {start}. Each row, the "
        "network's input included, has one scale, its largest |value| (TensorFlow 1's image "
        "summary); zero is grey (128), or black in a row without negative values; what is not "
        f"finite is red.{' ' if notes else ''}{notes}",
        shared=True,
    )


def filter_grid(kernels: npt.ArrayLike) -> FilterGrid:
    """Lay a first layer's filters side by side, with one scale for all and zero at grey.

    One scale for all keeps their strengths comparable: a dead filter is plain grey, and one that
    dominates is seen to (Zeiler & Fergus 2013, Sec. 4.1, Fig. 6a).

    Args:
        kernels: float `[kh, kw, C, n]`, C 1 or 3, finite.

    Raises:
        DeconvvizError: for other channel counts, whose filters have no colours, and for weights
            that are not finite.
    """
    filters = np.moveaxis(np.asarray(kernels, np.float64), -1, 0)
    refuse_channels(filters.shape[-1], "a filter grid")
    refuse_non_finite(filters, "the filters")
    count, height, width, _ = filters.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    scale = float(np.abs(filters).max())
    pixels = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), 255, np.uint8)
    for index, one in enumerate(filters):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        pixels[top : top + height, left : left + width] = symmetric(one, scale or None)[0]
    return FilterGrid(
        pixels,
        scale,
        f"The first layer's {count} filters, {height}x{width}, row by row. All have one scale, the "
        "largest |weight| of any; zero is grey (128).",
    )


def enlarge(pixels: Pixels, factor: int) -> Pixels:
    """Make each pixel of `[..., h, w, C]` a block of factor x factor, without smoothing."""
    return pixels.repeat(factor, axis=-3).repeat(factor, axis=-2)


def cut(
    image: npt.NDArray[Any], top: int, left: int, height: int, width: int, beyond: float
) -> npt.NDArray[Any]:
    """Cut a window out of `[H, W, C]`; where it reaches past the image it holds `beyond`."""
    window = np.full((height, width, image.shape[2]), beyond, image.dtype)
    inside = image[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    y, x = max(-top, 0), max(-left, 0)
    window[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return window


def _fitting(
    images: npt.ArrayLike, maps: Sequence[npt.ArrayLike], names: Sequence[str]
) -> list[npt.NDArray[Any]]:
    shape = np.shape(images)
    panels = [np.asarray(one) for one in maps]
    if len(names) != len(panels) or any(panel.shape != shape for panel in panels):
        raise DeconvvizError(
            f"Maps of shapes {[panel.shape for panel in panels]} named {list(names)} do not fit "
            f"images of shape {shape}: give one map a name, each of the images' shape."
        )
    refuse_channels(shape[-1], "a row")
    return panels


def _draw(
    panel: npt.NDArray[Any], name: str, scale: float | None
) -> tuple[Pixels, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    refuse_non_finite(panel, f"the map of {name}")
    drawn = [symmetric(one, scale) for one in panel]
    beyond = [saturated_share(one, used) for one, (_, used) in zip(panel, drawn, strict=True)]
    pixels = np.stack([pixels for pixels, _ in drawn])
    return pixels, np.array([used for _, used in drawn]), np.array(beyond)


def _scale_words(
    name: str, scales: npt.NDArray[np.float64], saturated: npt.NDArray[np.float64]
) -> str:
    low, high, most = f"{scales.min():.3g}", f"{scales.max():.3g}", float(saturated.max())
    words = f"{name} {low}" if low == high else f"{name} {low} to {high}"
    upto = "up to " if len(scales) > 1 else ""
    return f"{words} ({upto}{most:.2%} of its values saturated)" if most > 0 else words

"""Curves of how far features move, beside the images that moved (Zeiler & Fergus's Figure 5).

A row for each transformation: some of the images' variants, the distances in each layer, and the
probability of the image's class. An image's frame has the colour of its curves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator
from PIL import Image

from deconvviz.data import Preprocess
from deconvviz.drawings.anew import drawn_anew
from deconvviz.drawings.rows import Pictured
from deconvviz.experiments.invariance import Curves, Invariance
from deconvviz.experiments.transforming import transformed
from deconvviz.listing import counted
from deconvviz.render.compose import enlarge
from deconvviz.render.figures import (
    INK,
    PALETTE,
    QUIET,
    figure_pixels,
    new_figure,
    own_style,
    quiet_axes,
)
from deconvviz.render.png import write_picture
from deconvviz.render.scaling import Pixels, three_channels
from deconvviz.render.tensorboard import EventLog

_SHOWN = 5  # variants of each image
_TILE, _FRAME, _GAP = 48, 3, 4  # pixels: an image at about this size, its frame, what is between
_LEFT, _BEFORE_PLOT, _PLOT, _ABOVE, _BELOW, _LEAST = 92, 66, 236, 46, 50, 200


def write_invariance(
    folder: Path,
    record: Invariance,
    pictured: Pictured,
    preprocess: Preprocess,
    step: int | None,
    about: dict[str, Any],
) -> Path:
    """Write the figure as PNG with its JSON, and for TensorBoard under `invariance/<layers>`.

    Args:
        folder: everything goes there, in place of what an earlier call wrote.
        record: what was measured.
        pictured: the images that it was measured on.
        preprocess: what made them the network's input.
        step: the network's training step; None where nobody knows it (TensorBoard then shows 0).
        about: whatever else to keep in the JSON.

    Returns:
        The PNG's path.

    Raises:
        DeconvvizError: where the folder cannot be written.
    """
    path, pixels = folder / "invariance.png", draw(record, pictured, preprocess)
    caption = describe(record, pictured, preprocess)
    about = {**about, "step": step, **_as_json(record, pictured)}
    with drawn_anew(folder):
        write_picture(path, pixels, caption, about)
        with EventLog(folder) as log:
            log.images(f"invariance/{'+'.join(record.layers)}", pixels[None], step or 0, caption)
    return path


@own_style()
def draw(record: Invariance, pictured: Pictured, preprocess: Preprocess) -> Pixels:
    """Draw a row a transformation: variants, a plot of distances a layer, the probabilities.

    Returns:
        uint8 `[h, w, 3]`; the images' own pixels, enlarged or reduced by whole numbers.
    """
    mosaics = [_mosaic(record, curves, pictured, preprocess) for curves in record.curves]
    tall, wide = mosaics[0].shape[:2]
    row = _ABOVE + max(tall, _LEAST) + _BELOW
    across = _LEFT + wide + (len(record.layers) + 1) * (_BEFORE_PLOT + _PLOT) + 20
    figure = new_figure(across / 100, len(mosaics) * row / 100)
    # Every place is given by hand, in whole pixels, so that no image is resampled.
    figure.set_layout_engine("none")
    sheet = _Sheet(figure, across, len(mosaics) * row)
    for number, (curves, mosaic) in enumerate(zip(record.curves, mosaics, strict=True)):
        top = number * row + _ABOVE
        _show_variants(sheet.axes(_LEFT, top, wide, tall), mosaic, curves, pictured.labels)
        _plot_row(sheet, top, _LEFT + wide + _BEFORE_PLOT, record, curves)
    return figure_pixels(figure)


def describe(record: Invariance, pictured: Pictured, preprocess: Preprocess) -> str:
    """Say what the figure shows, of what data, and which choices the paper leaves open."""
    which = "true class" if record.true_classes else "class that is found in it as it is"
    fill = ", ".join(f"{value:.3g}" for value in dict.fromkeys(record.fill))
    applied = ", by a softmax of the network's scores" if record.softmax else ""
    data, count = pictured.origin, len(pictured.images)
    return (
        f"Feature invariance: {counted(count, 'image')} of {data} {'is' if count == 1 else 'are'} "
        "moved, enlarged and turned. Left, some of the variants. Then, for "
        f"{', '.join(record.layers)}: the Euclidean distance of a variant's features from those of "
        "the image as it is, in norms of the latter; the image as it is has exactly 0. "
        f"Right, the probability of the image's {which}{applied}. A frame has the colour of its "
        f"curves. Transformed in the network's input space, after preprocessing ({preprocess.name})"
        f"; what comes in from outside is {fill} there; bilinear, but whole pixels and quarter "
        "turns are moved without resampling. After Zeiler & Fergus 2013, "
        "Figure 5; fill, interpolation and the ranges are not the paper's."
    )


@dataclass(frozen=True)
class _Sheet:
    figure: Figure
    width: int
    height: int

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Place a plot by its pixels from the top left."""
        bottom = self.height - top - height
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)


def _mosaic(
    record: Invariance, curves: Curves, pictured: Pictured, preprocess: Preprocess
) -> Pixels:
    """Lay out a row an image and a column a variant."""
    kind = curves.transformation.kind
    inputs = preprocess(pictured.images)
    columns = [
        preprocess.inverse(transformed(inputs, kind, amount, record.fill), pictured.images)
        for amount in _shown(curves)
    ]
    rows = [
        np.concatenate([_framed(column[index], index) for column in columns], axis=1)
        for index in range(len(pictured.images))
    ]
    return np.concatenate(rows)[:-_GAP, :-_GAP]


def _shown(curves: Curves) -> list[float]:
    amounts = curves.transformation.amounts
    places = np.linspace(0, len(amounts) - 1, min(_SHOWN, len(amounts))).round().astype(int)
    return [amounts[place] for place in places]


def _framed(image: Pixels, index: int) -> Pixels:
    """Enlarge an image by whole pixels, or reduce it, and frame it in its colour."""
    pixels = three_channels(image)
    factor = -(-max(pixels.shape[:2]) // _TILE)
    reduced = np.asarray(Image.fromarray(pixels).reduce(factor))
    tile = enlarge(reduced, max(1, _TILE // max(reduced.shape[:2])))
    colour = [int(_colour(index)[place : place + 2], 16) for place in (1, 3, 5)]
    height, width = tile.shape[0] + 2 * _FRAME, tile.shape[1] + 2 * _FRAME
    framed = np.full((height + _GAP, width + _GAP, 3), 255, np.uint8)
    framed[:height, :width] = colour
    framed[_FRAME : height - _FRAME, _FRAME : width - _FRAME] = tile
    return framed


def _colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _show_variants(axes: Axes, mosaic: Pixels, curves: Curves, labels: Sequence[str]) -> None:
    axes.imshow(mosaic, interpolation="nearest", aspect="auto")
    quiet_axes(axes, curves.transformation.kind)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    amounts = _shown(curves)
    across, down = mosaic.shape[1] / len(amounts), mosaic.shape[0] / len(labels)
    axes.set_xticks([(n + 0.5) * across for n in range(len(amounts))], map("{:g}".format, amounts))
    axes.set_xlabel(curves.transformation.unit)
    axes.set_yticks(
        [(n + 0.5) * down for n in range(len(labels))], [_short(label, 11) for label in labels]
    )
    for index, words in enumerate(axes.get_yticklabels()):
        words.set_color(_colour(index))


def _plot_row(sheet: _Sheet, top: int, left: int, record: Invariance, curves: Curves) -> None:
    relative = record.relative(curves)
    highest = np.nanmax(relative, initial=0) * 1.05 or 1
    height = sheet.height / len(record.curves) - _ABOVE - _BELOW
    lines: list[tuple[str, str, npt.NDArray[Any], float]] = [
        (_short(layer, 26), "distance / norm", one, highest)
        for layer, one in zip(record.layers, relative, strict=True)
    ]
    who = "the true class" if record.true_classes else "the class found"
    lines.append(("the network's answer", f"probability of {who}", curves.probability, 1.05))
    for number, (title, measure, values, limit) in enumerate(lines):
        axes = sheet.axes(left + number * (_PLOT + _BEFORE_PLOT), top, _PLOT, height)
        for index, of_image in enumerate(values):
            axes.plot(curves.transformation.amounts, of_image, color=_colour(index), linewidth=1.6)
        axes.set_ylim(0, limit)
        if curves.transformation.unit == "degrees":
            axes.xaxis.set_major_locator(MultipleLocator(90))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.margins(x=0.02)
        axes.grid(axis="y", color=QUIET, alpha=0.2, linewidth=0.6)
        axes.set_xlabel(f"{curves.transformation.kind}, {curves.transformation.unit}", color=INK)
        axes.set_ylabel(measure)
        quiet_axes(axes, title)


def _short(name: str, longest: int) -> str:
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def _as_json(record: Invariance, pictured: Pictured) -> dict[str, Any]:
    return {
        "layers": list(record.layers),
        "labels": list(pictured.labels),
        "classes": record.classes.tolist(),
        "true_classes": record.true_classes,
        "softmax_applied": record.softmax,
        "fill": list(record.fill),
        "interpolation": "bilinear; whole pixels and quarter turns without",
        "norm": dict(zip(record.layers, record.norm.tolist(), strict=True)),
        "transformations": [_curves_as_json(record, curves) for curves in record.curves],
    }


def _curves_as_json(record: Invariance, curves: Curves) -> dict[str, Any]:
    return {
        "kind": curves.transformation.kind,
        "unit": curves.transformation.unit,
        "amounts": list(curves.transformation.amounts),
        "distance": dict(zip(record.layers, curves.distance.tolist(), strict=True)),
        "probability": curves.probability.tolist(),
    }

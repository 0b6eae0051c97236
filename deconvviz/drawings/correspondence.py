"""Correspondence as a table and as a figure (Zeiler & Fergus's Table 1).

Above, the images with the boxes that were hidden; below, for each layer, every part's Δ with its
deviation over the pairs, beside the random boxes of the same sizes: a part corresponds where it
lies to the left of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from deconvviz.drawings.anew import drawn_anew
from deconvviz.experiments.correspondence import Correspondence
from deconvviz.listing import counted
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

_ACROSS, _IMAGE, _ROW = 10.0, 1.9, 0.36  # inches of 100 pixels: the figure, an image, a part's line
_IN_A_ROW, _PLOTS = 5, 3  # images, and plots

HEADINGS = ("layer", "part", "Δ", "±", "random Δ", "±", "changed", "random changed")


@dataclass(frozen=True)
class ComparedImages:
    """What was compared, and where it comes from.

    Attributes:
        record: what was measured.
        windows: uint8 `[n, H, W, C]`, what the network sees, in pixels.
        names: one an image.
        preprocess: the scaling's name, in whose space the boxes were filled.
        data: where the images come from, in words.
    """

    record: Correspondence
    windows: Pixels
    names: tuple[str, ...]
    preprocess: str
    data: str


def table(record: Correspondence) -> list[tuple[str, ...]]:
    """Give a row for each layer and part, under `HEADINGS`, as words."""
    random = record.random_delta.mean(axis=1)
    columns = (record.delta, record.deviation, random, record.random_deviation)
    shares = (record.changed, record.random_changed)
    return [
        (
            layer,
            part,
            *(f"{column[p, index]:.3f}" for column in columns),
            *(f"{share[p, index]:.1%}" for share in shares),
        )
        for index, layer in enumerate(record.layers)
        for p, part in enumerate(record.parts)
    ]


@own_style()
def draw_correspondence(shown: ComparedImages) -> Pixels:
    """Draw the images with their boxes, and Δ of each part beside its control, a plot a layer.

    Returns:
        uint8 `[h, 1000, 3]`.
    """
    record = shown.record
    strips = -(-len(shown.windows) // _IN_A_ROW)
    rows = -(-len(record.layers) // _PLOTS)
    plot = 1.1 + _ROW * len(record.parts)
    figure = new_figure(_ACROSS, strips * (_IMAGE + 0.25) + rows * plot)
    grid = figure.add_gridspec(2, 1, height_ratios=(strips * (_IMAGE + 0.25), rows * plot))
    above, below = (figure.add_subfigure(grid[half]) for half in range(2))
    for index, axes in enumerate(np.ravel(above.subplots(strips, _IN_A_ROW))):
        axes.axis("off")
        if index < len(shown.windows):
            _show_image(axes, shown, index)
    columns = -(-len(record.layers) // rows)
    plots = np.ravel(below.subplots(rows, columns, sharey=True, squeeze=False))
    for index, axes in enumerate(plots):
        if index < len(record.layers):
            _plot(axes, record, index)
        else:
            axes.axis("off")
    return figure_pixels(figure)


def describe(shown: ComparedImages) -> str:
    """Say what the figure shows, of what data, and which choices the paper leaves open."""
    record = shown.record
    value = ", ".join(f"{one:.3g}" for one in dict.fromkeys(record.value.tolist()))
    mean = "the image's mean" if shown.preprocess == "standardize" else "the images' mean colour"
    repetitions = record.random_boxes.shape[1]
    return (
        f"Correspondence of {', '.join(record.parts)} in {len(shown.windows)} images "
        f"({shown.data}), layers {', '.join(record.layers)}. Each box is hidden by {value} in the "
        f"network's input space, after preprocessing ({shown.preprocess}): {mean}. Delta: the "
        "share of a layer's entries whose change has another sign (-1, 0 or 1) in one image than "
        "in another, averaged over all pairs of images; bars: the standard deviation over pairs. "
        "Lower is more alike. Grey: boxes of the same sizes at random, another place in every "
        f"image, one dot for each of {counted(repetitions, 'repetition')} (seed {record.seed}), a "
        "tick at their mean. Two things make a "
        "part's delta smaller than theirs and say nothing of what the network knows: that a part "
        "of well-aligned images lies at about the same place in each, and that hiding it changes "
        "few entries of the layer (the table has the shares). After Zeiler & Fergus 2013, Section "
        "4.3, whose sum over pairs is normalised here, as its Table 1 must be."
    )


def write_correspondence(
    folder: Path, shown: ComparedImages, step: int | None, about: dict[str, Any]
) -> Path:
    """Write the figure as PNG with its JSON, and figure and table for TensorBoard.

    Args:
        folder: everything goes there, in place of what an earlier call wrote.
        shown: what was compared.
        step: the network's training step; None where nobody knows it (TensorBoard then shows 0).
        about: whatever else to keep in the JSON.

    Returns:
        The PNG's path.

    Raises:
        DeconvvizError: where the folder cannot be written.
    """
    path, caption = folder / "correspondence.png", describe(shown)
    pixels = draw_correspondence(shown)
    with drawn_anew(folder):
        write_picture(path, pixels, caption, {**about, "step": step, **as_json(shown)})
        with EventLog(folder) as log:
            log.images("correspondence/figure", pixels[None], step or 0, caption)
            log.text("correspondence/table", _markdown(shown.record), step or 0)
    return path


def as_json(shown: ComparedImages) -> dict[str, Any]:
    """Give the whole record as plain JSON values."""
    record = shown.record
    return {
        "images": list(shown.names),
        "data": shown.data,
        "preprocess": shown.preprocess,
        "value": record.value.tolist(),
        "seed": record.seed,
        "repetitions": record.random_boxes.shape[1],
        "boxes": dict(zip(record.parts, record.boxes.tolist(), strict=True)),
        "random_boxes": dict(zip(record.parts, record.random_boxes.tolist(), strict=True)),
        "results": [
            {
                "layer": layer,
                "part": part,
                "delta": record.delta[p, index],
                "deviation": record.deviation[p, index],
                "raw_sum": int(record.total[p, index]),
                "entries": int(record.entries[index]),
                "changed": record.changed[p, index],
                "random_delta": record.random_delta[p, :, index].tolist(),
                "random_deviation": record.random_deviation[p, index],
                "random_changed": record.random_changed[p, index],
            }
            for index, layer in enumerate(record.layers)
            for p, part in enumerate(record.parts)
        ],
    }


def _show_image(axes: Axes, shown: ComparedImages, index: int) -> None:
    axes.imshow(three_channels(shown.windows[index]), interpolation="nearest")
    axes.set_title(_short(shown.names[index]), loc="left", fontsize=9, color=INK)
    for part, boxes in enumerate(shown.record.boxes):
        top, left, height, width = boxes[index].tolist()
        for colour, line in (("#ffffff", 3.0), (_colour(part), 1.8)):
            corner = (left - 0.5, top - 0.5)
            axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, lw=line))


def _plot(axes: Axes, record: Correspondence, layer: int) -> None:
    for part in range(len(record.parts)):
        random = record.random_delta[part, :, layer]
        axes.plot(random, [part] * len(random), "o", color="#bbbbbb", markersize=4)
        axes.plot(random.mean(), part, "|", color=QUIET, markersize=16, markeredgewidth=2)
        delta, deviation = record.delta[part, layer], record.deviation[part, layer]
        axes.errorbar(
            delta, part, xerr=deviation, fmt="o", color=_colour(part), markersize=7, capsize=3
        )
    axes.set_yticks(range(len(record.parts)), [_short(part) for part in record.parts])
    axes.set_ylim(len(record.parts) - 0.5, -0.5)
    high = (record.delta + record.deviation).max(), record.random_delta.max()
    axes.set_xlim(0, 1.05 * max(*high, 1e-3))  # one scale for all layers
    axes.set_xlabel("delta; lower: more alike", fontsize=9)
    axes.grid(axis="x", color=QUIET, alpha=0.2, linewidth=0.6)
    quiet_axes(axes, _short(record.layers[layer]))


def _markdown(record: Correspondence) -> str:
    lines = [HEADINGS, ("---",) * len(HEADINGS), *table(record)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _colour(part: int) -> str:
    return PALETTE[part % len(PALETTE)]


def _short(text: str) -> str:
    return text if len(text) <= 22 else f"{text[:10]}…{text[-10:]}"

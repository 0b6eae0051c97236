"""Every likeness as a dot beside the gradient's, and what covering does to the units, as bars."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from deconvviz.experiments.findings import EDGES, Row, Sanity, mean
from deconvviz.render.figures import (
    INK,
    PALETTE,
    QUIET,
    figure_pixels,
    new_figure,
    own_style,
    quiet_axes,
)
from deconvviz.render.scaling import Pixels

TITLES = {
    "calibration": "calibration",
    "floor": "floor",
    "baseline": "likeness to",
    "cascade": "new weights down to",
    "independent": "new weights in one layer",
    "selectivity": "selectivity",
    "switches": "other switches",
}
"""What each group of comparisons is called, in the order in which they are shown."""

_WIDTH, _ROW_HEIGHT, _ABOVE = 11.5, 0.3, 1.3  # inches of 100 pixels


@own_style()
def draw(sanity: Sanity) -> Pixels:
    """Draw every comparison's ranks, |map| and signed, and the units' falls.

    Returns:
        uint8 `[h, w, 3]`.
    """
    lines = in_order(sanity)
    figure = new_figure(_WIDTH, _ABOVE + _ROW_HEIGHT * len(lines))
    left, middle, right = figure.subplots(1, 3, width_ratios=(4, 4, 3))
    _dots(left, sanity, lines, "spearman_abs", "rank correlation of |map|")
    _dots(middle, sanity, lines, "spearman", "rank correlation, signed")
    middle.set_yticklabels([])
    _label(left, lines)
    _falls(right, sanity)
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=4, frameon=False, labelcolor=INK)
    return figure_pixels(figure)


def in_order(sanity: Sanity) -> list[Row]:
    """The chosen rules' comparisons, group by group."""
    groups = list(TITLES)
    own = [row for row in sanity.rows if row.rule == sanity.rules[0]]
    return sorted(own, key=lambda row: groups.index(row.group))


def _dots(axes: Axes, sanity: Sanity, lines: Sequence[Row], metric: str, title: str) -> None:
    for number, rule in enumerate(sanity.rules):
        rows = [sanity.row(row.group, rule, row.name) for row in lines]
        means = [math.nan if row is None else row.mean(metric) for row in rows]
        spreads = [math.nan if row is None else row.spread(metric) for row in rows]
        places = np.arange(len(lines)) + (number - (len(sanity.rules) - 1) / 2) * 0.3
        colour = PALETTE[number]
        axes.errorbar(
            means,
            places,
            xerr=spreads,
            fmt="o",
            label=rule,
            color=colour,
            markersize=5,
            elinewidth=1,
        )
        floor = sanity.floor(rule, metric)
        if not math.isnan(floor):
            axes.axvline(floor, color=colour, linestyle=":", linewidth=1.2)
    quiet_axes(axes, title)
    axes.set_xlim(-0.5, 1.08)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks(range(len(lines)))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=QUIET, alpha=0.2, linewidth=0.6)
    for at in range(1, len(lines)):
        if lines[at].group != lines[at - 1].group:
            axes.axhline(at - 0.5, color=QUIET, alpha=0.3, linewidth=0.6)


def _label(axes: Axes, lines: Sequence[Row]) -> None:
    names = [row.name.split(" to ")[-1] for row in lines]  # of a cascade, how far down it went
    words = [f"{TITLES[row.group]}: {name}" for row, name in zip(lines, names, strict=True)]
    axes.set_yticklabels(words, color=INK)


def _falls(axes: Axes, sanity: Sanity) -> None:
    names = [*sanity.rules, EDGES]
    own = [mean(sanity.covering[name].drop) for name in names]
    elsewhere = [mean(sanity.covering[name].elsewhere) for name in names]
    colours = [*PALETTE[: len(sanity.rules)], PALETTE[-1]]
    axes.bar(np.arange(len(names)) - 0.2, own, 0.38, color=colours)
    axes.bar(np.arange(len(names)) + 0.2, elsewhere, 0.38, color=colours, alpha=0.35)
    quiet_axes(axes, "share lost when covered")
    axes.set_xticks(range(len(names)), [name.removeprefix("the image's ") for name in names])
    axes.set_xlabel("full: the strongest part\npale: elsewhere")
    axes.axhline(0, color=QUIET, linewidth=0.8)
    axes.grid(axis="y", color=QUIET, alpha=0.2, linewidth=0.6)

"""Curves and heat maps as uint8 pixels, all in one hand: quiet axes, no frame, one palette.

Matplotlib draws them off screen, without its global state, so that nothing depends on a display or
on what else the caller draws.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, QUIET, PAPER = "#222222", "#777777", "#ffffff"
PALETTE = ("#0b6e99", "#d9730d", "#448361", "#9065b0", "#c14c8a", "#787774")
"""Told apart by people who see no red or no green, and in this order."""

_DPI = 100


@contextmanager
def own_style() -> Iterator[None]:
    """Draw by Matplotlib's own defaults, whatever style the caller or a matplotlibrc has set.

    Example:
        @own_style()
        def draw(...) -> Pixels:
    """
    # The font comes with Matplotlib: the same anywhere.
    with style.context("default"), rc_context({"font.family": "DejaVu Sans"}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure; its parts are laid out so that no label overlaps another.

    Args:
        width, height: in inches of 100 pixels.
    """
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor=PAPER)


def quiet_axes(axes: Axes, title: str = "") -> None:
    """Take the frame off a plot but for its two axes, and give it a title."""
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def figure_pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """Draw a figure.

    Returns:
        uint8 `[100 * height, 100 * width, 3]`.
    """
    with own_style():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()

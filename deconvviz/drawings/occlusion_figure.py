"""The figure of an occluded image: all panels lie on the image's own pixels.

A map's value stands where the centre of the square was, so that it can be seen whether the feature
map falls silent where its reconstruction says that it looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle

from deconvviz.experiments.occlusion import Occlusion
from deconvviz.render.figures import INK, PALETTE, figure_pixels, new_figure, own_style, quiet_axes
from deconvviz.render.scaling import Pixels, symmetric, three_channels

_PANEL, _ACROSS, _DOWN, _LEFT, _TOP = 300, 380, 350, 16, 34  # pixels: a panel, and where it lies
_WIDTH, _HEIGHT = 3 * _ACROSS + 30, 2 * _DOWN  # the last scale has the longest numbers
_NAMED = 6  # classes that get a colour of their own
_OTHERS = "#dddddd"


@dataclass(frozen=True)
class OccludedImage:
    """One image and all that its figure shows.

    Attributes:
        record: what was measured.
        window: uint8 `[H, W, C]`, what the network sees, in pixels.
        projection: float `[H, W, C]`, the watched map's reconstruction, in the images' channels.
        rules: by which it was made, in words.
        preprocess: the scaling's name, in whose space the square has its value.
        data: where the image comes from, in words.
        name: its label or its file's name.
        classes: the classes' names; none where nobody knows them.
        empty: why the projection shows nothing; none where it shows something.
    """

    record: Occlusion
    window: Pixels
    projection: npt.NDArray[np.float32]
    rules: str
    preprocess: str
    data: str
    name: str
    classes: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    def class_name(self, index: int) -> str:
        """Name a class, by its number where nobody knows the names."""
        return self.classes[index] if self.classes else f"class {index}"


@own_style()
def draw_occlusion(shown: OccludedImage) -> Pixels:
    """Draw image, projection, activity, probability and most probable class of one image.

    Returns:
        uint8 `[700, 1170, 3]`.
    """
    record = shown.record
    figure = new_figure(_WIDTH / 100, _HEIGHT / 100)
    figure.set_layout_engine("none")  # six panels of one size, whichever has a scale beside it
    image, projection, activity, probability, guess, legend = (
        figure.add_axes(_place(row, column)) for row in range(2) for column in range(3)
    )
    _show_image(image, shown)
    drawn, _ = symmetric(shown.projection)
    _show(projection, drawn, f"projection of {_short(record.layer)}, map {record.feature}")
    active = (*record.activity.flat, record.activity_without)
    _heat(activity, shown, record.activity, (min(active), max(active)), record.activity_without)
    quiet_axes(activity, f"total activity of map {record.feature}")
    _heat(probability, shown, record.probability, (0, 1), record.probability_without)
    quiet_axes(probability, f"probability of {_short(shown.class_name(record.label))}")
    _show_guesses(guess, legend, shown)
    for axes in (image, projection, activity, probability, guess):
        _frame(axes, shown.window.shape)
    return figure_pixels(figure)


def _show(axes: Axes, pixels: Pixels, title: str) -> None:
    axes.imshow(three_channels(pixels), interpolation="nearest")
    quiet_axes(axes, title)


def _show_image(axes: Axes, shown: OccludedImage) -> None:
    _show(axes, shown.window, _short(shown.name))
    corner, side = (-0.5, -0.5), shown.record.square.size
    for colour, width in (("#ffffff", 3.0), (INK, 1.2)):  # seen on dark and on bright
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, lw=width))


def _heat(
    axes: Axes,
    shown: OccludedImage,
    values: npt.NDArray[np.float32],
    limits: tuple[float, float],
    without: float,
) -> None:
    low, high = limits
    high = high if high > low else low + 1  # a map that never fires
    heat = axes.imshow(
        values, interpolation="nearest", extent=_extent(shown.record), vmin=low, vmax=high
    )
    _show_faintly(axes, shown)
    bar = heat.axes.figure.colorbar(heat, cax=axes.inset_axes((1.03, 0, 0.045, 1)))
    bar.ax.axhline(without, color="#ffffff", linewidth=4)
    bar.ax.axhline(without, color=INK, linewidth=2)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, length=2)


def _show_guesses(axes: Axes, legend: Axes, shown: OccludedImage) -> None:
    guess = shown.record.guess
    found, counts = np.unique(guess, return_counts=True)
    ranked = found[np.argsort(-counts, kind="stable")].tolist()
    named = ranked if len(ranked) <= _NAMED else ranked[: _NAMED - 1]
    colours = dict(zip(named, PALETTE, strict=False))
    numbers = np.vectorize(lambda one: named.index(one) if one in colours else len(named))(guess)
    axes.imshow(
        numbers,
        cmap=ListedColormap([*colours.values(), _OTHERS]),
        interpolation="nearest",
        extent=_extent(shown.record),
        vmin=-0.5,
        vmax=len(named) + 0.5,
    )
    _show_faintly(axes, shown)
    quiet_axes(axes, "most probable class")
    marks = {shown.record.label: " (true)" if shown.record.labelled else ""}
    patches = [
        Patch(color=colour, label=f"{_short(shown.class_name(one))}{marks.get(one, '')}")
        for one, colour in colours.items()
    ]
    if len(named) < len(ranked):
        patches.append(Patch(color=_OTHERS, label=f"{len(ranked) - len(named)} other classes"))
    legend.axis("off")
    legend.legend(handles=patches, loc="upper left", frameon=False, fontsize=11, labelcolor=INK)


def _show_faintly(axes: Axes, shown: OccludedImage) -> None:
    """Let the image be seen around a map, where the square's centre never is."""
    axes.imshow(three_channels(shown.window), interpolation="nearest", alpha=0.4, zorder=-1)


def _place(row: int, column: int) -> tuple[float, float, float, float]:
    left, bottom = _LEFT + column * _ACROSS, _HEIGHT - row * _DOWN - _TOP - _PANEL
    return left / _WIDTH, bottom / _HEIGHT, _PANEL / _WIDTH, _PANEL / _HEIGHT


def _extent(record: Occlusion) -> tuple[float, float, float, float]:
    """Where the cells lie on the image's pixels: each around the centre of its square."""
    square = record.square
    centre, half = square.size / 2 - 0.5, square.stride / 2
    left, right = record.columns[0] + centre - half, record.columns[-1] + centre + half
    top, bottom = record.rows[0] + centre - half, record.rows[-1] + centre + half
    return left, right, bottom, top


def _frame(axes: Axes, shape: Sequence[int]) -> None:
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(shape[0] - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#cccccc")


def _short(text: str) -> str:
    return text if len(text) <= 22 else f"{text[:10]}…{text[-10:]}"

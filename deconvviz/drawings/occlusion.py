"""Occlusion maps beside the image and the reconstruction (Zeiler & Fergus's Figure 7).

All panels of one image lie on its own pixels: a map's value stands where the centre of the square
was. So it can be seen whether the feature map falls silent where its reconstruction says that it
looks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.drawings.anew import drawn_anew
from deconvviz.drawings.rows import rule_words
from deconvviz.experiments.occlusion import Occlusion
from deconvviz.render.compose import CAVEAT
from deconvviz.render.figures import INK, PALETTE, figure_pixels, new_figure, quiet_axes
from deconvviz.render.png import write_picture
from deconvviz.render.scaling import Pixels, symmetric, three_channels
from deconvviz.render.tensorboard import EventLog

_PANEL, _ACROSS, _DOWN, _LEFT, _TOP = 300, 380, 350, 16, 34  # pixels: a panel, and where it lies
_WIDTH, _HEIGHT = 3 * _ACROSS, 2 * _DOWN
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
    """

    record: Occlusion
    window: Pixels
    projection: npt.NDArray[np.float32]
    rules: str
    preprocess: str
    data: str
    name: str
    classes: tuple[str, ...] = ()

    def class_name(self, index: int) -> str:
        """Name a class, by its number where nobody knows the names."""
        return self.classes[index] if self.classes else f"class {index}"


def project_watched(
    net: Deconvnet, image: npt.NDArray[np.uint8], preprocess: Preprocess, record: Occlusion
) -> npt.NDArray[np.float32]:
    """Reconstruct the map that was watched, all its activations being the start signal.

    Args:
        net: with the rules to go back by.
        image: uint8 `[H, W, C]`, before preprocessing.
        preprocess: what makes it the network's input.
        record: which map of which layer.

    Returns:
        Signed float32 `[h, w, C]`, the channels in the image's order.
    """
    maps = net.reconstruct(preprocess(image[None]), record.layer, record.feature)
    return preprocess.maps(maps)[0]


def watched_rules(net: Deconvnet, layer: str, rules: str) -> str:
    """Say by which rules `project_watched` goes back."""
    return rule_words(net, [layer], rules)


def draw_occlusion(shown: OccludedImage) -> Pixels:
    """Draw image, projection, activity, probability and most probable class of one image.

    Returns:
        uint8 `[700, 1140, 3]`.
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


def describe(shown: OccludedImage) -> str:
    """Say what the figure shows, of what data, and which choices the paper leaves open."""
    record, square = shown.record, shown.record.square
    value = ", ".join(f"{one:.3g}" for one in dict.fromkeys(square.value))
    mean = "the image's mean" if shown.preprocess == "standardize" else "the data's mean colour"
    whose = "true class" if record.labelled else "class that the network finds in it"
    applied = ", by a softmax of the network's scores" if record.softmax else ""
    scale = float(np.abs(shown.projection).max())
    return (
        f"Occlusion of {shown.name} from {shown.data}: a square of {square.size}x{square.size} "
        f"pixels (outlined) slides over the image by {square.stride}; a map's value stands where "
        f"the square's centre was. It is filled with {value} in the network's input space, after "
        f"preprocessing ({shown.preprocess}): {mean}. Watched: {record.layer}, feature "
        f"map {record.feature}, largest activation {record.activation:.3g}; its activity, summed "
        f"over space, is {record.activity_without:.4g} without the square (the line in the scale). "
        f"Probability of the image's {whose}, {shown.class_name(record.label)}{applied}: "
        f"{record.probability_without:.3f} without it; most probable without it: "
        f"{shown.class_name(record.guess_without)}. Projection: rules {shown.rules}; start signal: "
        f"all activations of that map, all others 0; zero is grey, scale {scale:.3g}. After Zeiler "
        f"& Fergus 2013, Section 4.2, which gives no size, stride or grey. {CAVEAT} The "
        "occlusion maps are measured."
    )


def write_occlusions(
    folder: Path, each: Iterable[OccludedImage], step: int | None, about: dict[str, Any]
) -> list[Path]:
    """Write one figure an image, as PNG with its JSON, and for TensorBoard under `occlusion/`.

    Args:
        folder: everything goes there, in place of what an earlier call wrote.
        each: the images, all of one layer; a figure is written as soon as its image is there.
        step: the network's training step; None where nobody knows it (TensorBoard then shows 0).
        about: whatever else to keep in the JSON.

    Returns:
        The PNGs' paths.

    Raises:
        DeconvvizError: where the folder cannot be written.
    """
    figures, captions, layer = [], [], ""
    with drawn_anew(folder, "[0-9]*-*") as paths:
        for index, shown in enumerate(each):
            paths.append(folder / f"{index:04d}-{shown.name}.png")
            figures.append(draw_occlusion(shown))
            caption, record = describe(shown), {**about, "step": step, **as_json(shown)}
            captions.append(caption)
            layer = shown.record.layer
            write_picture(paths[-1], figures[-1], caption, record)
        with EventLog(folder) as log:
            log.images(f"occlusion/{layer}", np.stack(figures), step or 0, "\n\n".join(captions))
    return paths


def as_json(shown: OccludedImage) -> dict[str, Any]:
    """Give the whole record as plain JSON values."""
    record, square = shown.record, shown.record.square
    return {
        "name": shown.name,
        "data": shown.data,
        "layer": record.layer,
        "feature": record.feature,
        "activation": record.activation,
        "rules": shown.rules,
        "preprocess": shown.preprocess,
        "square": {"size": square.size, "stride": square.stride, "value": list(square.value)},
        "hidden_in": "the network's input space, after preprocessing",
        "rows": record.rows.tolist(),
        "columns": record.columns.tolist(),
        "class": shown.class_name(record.label),
        "true_class": record.labelled,
        "softmax_applied": record.softmax,
        "activity": record.activity.tolist(),
        "activity_without": record.activity_without,
        "probability": record.probability.tolist(),
        "probability_without": record.probability_without,
        "most_probable": [[shown.class_name(i) for i in row] for row in record.guess.tolist()],
        "most_probable_without": shown.class_name(record.guess_without),
    }


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

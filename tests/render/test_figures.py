"""A figure is pixels of the size that was asked for, and shows what was drawn."""

from typing import Any

import matplotlib
import numpy as np

from deconvviz.render.figures import PALETTE, figure_pixels, new_figure, own_style, quiet_axes


def test_a_figure_is_uint8_pixels_a_hundred_an_inch() -> None:
    pixels = figure_pixels(new_figure(3, 2))
    assert pixels.shape == (200, 300, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == 255).all()


def test_a_curve_is_drawn_in_its_colour() -> None:
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=PALETTE[0], linewidth=4)
    quiet_axes(axes, "a title")
    wanted = [int(PALETTE[0][place : place + 2], 16) for place in (1, 3, 5)]
    assert (figure_pixels(figure) == wanted).all(axis=2).sum() > 100


def test_the_frame_is_taken_off() -> None:
    figure = new_figure(3, 2)
    axes = figure.subplots()
    framed = (figure_pixels(figure) < 255).any(axis=2).sum()
    quiet_axes(axes)
    assert (figure_pixels(figure) < 255).any(axis=2).sum() < framed


@own_style()
def drawn() -> np.ndarray:
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1])
    quiet_axes(axes, "a title")
    return figure_pixels(figure)


def test_the_callers_style_changes_nothing_and_is_left_as_it_is() -> None:
    plain = drawn()
    mine: Any = {
        "axes.facecolor": "black",
        "axes.grid": True,
        "font.size": 20,
        "lines.linewidth": 9,
    }
    with matplotlib.rc_context(mine):
        assert (drawn() == plain).all()
        assert matplotlib.rcParams["axes.facecolor"] == "black"

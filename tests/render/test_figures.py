"""A figure is pixels of the size that was asked for, and shows what was drawn."""

import numpy as np

from deconvviz.render.figures import PALETTE, figure_pixels, new_figure, quiet_axes


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

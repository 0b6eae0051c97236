"""The figure of an occlusion: where its values stand, what its caption and record say."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.drawings.occlusion import describe, project_watched, write_occlusions
from deconvviz.drawings.occlusion_figure import OccludedImage, draw_occlusion
from deconvviz.experiments.occlusion import Occlusion, Square


def occluded(name: str = "cat", **changes: Any) -> OccludedImage:
    """A measured occlusion of 8 x 8 pixels, made up: a 2 x 2 square that goes on by 2."""
    record = Occlusion(
        layer="block/pool",
        feature=7,
        activation=2.5,
        square=Square(2, 2, (0.0, 0.0, 0.0)),
        rows=np.arange(0, 7, 2),
        columns=np.arange(0, 7, 2),
        label=1,
        labelled=True,
        activity=np.linspace(0, 9, 16, dtype=np.float32).reshape(4, 4),
        activity_without=8.5,
        probability=np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4),
        probability_without=0.75,
        guess=np.tile([0, 1], 8).reshape(4, 4),
        guess_without=1,
        softmax=False,
    )
    return OccludedImage(
        record=replace(record, **changes),
        window=np.full((8, 8, 3), 200, np.uint8),
        projection=np.zeros((8, 8, 3), np.float32),
        rules="deconvnet",
        preprocess="standardize",
        data="cifar10 (test)",
        name=name,
        classes=("dog", "cat"),
    )


def panel(pixels: np.ndarray, row: int, column: int) -> np.ndarray:
    """Cut one 300 x 300 panel out of a figure, as its docstring places them."""
    top, left = 34 + row * 350, 16 + column * 380
    return pixels[top : top + 300, left : left + 300]


def colour_at(part: np.ndarray, y: float, x: float) -> tuple[int, ...]:
    """The colour in the middle of pixel (y, x) of the 8 x 8 image."""
    return tuple(part[int((y + 0.5) * 300 / 8), int((x + 0.5) * 300 / 8)].tolist())


def test_a_value_stands_where_the_centre_of_the_square_was() -> None:
    pixels = draw_occlusion(occluded())
    assert pixels.shape == (700, 1170, 3)
    # The 16 squares tile the image, so place (i, j) is drawn on pixels 2i, 2i + 1 and 2j, 2j + 1.
    from matplotlib import colormaps

    for i, j in ((0, 0), (1, 2), (3, 3)):
        share = (4 * i + j) / 15
        expected = [round(255 * one) for one in colormaps["viridis"](share)[:3]]
        for y, x in ((2 * i, 2 * j), (2 * i + 1, 2 * j + 1)):
            for place in ((0, 2), (1, 0)):  # the activity, the probability
                found = colour_at(panel(pixels, *place), y, x)
                assert np.abs(np.subtract(found, expected)).max() <= 2, (i, j, place)


def test_each_class_has_its_colour() -> None:
    guess = panel(draw_occlusion(occluded()), 1, 1)
    # Every row is 0 1 0 1: columns 0 and 4 are dogs, 2 and 6 cats.
    first, second = colour_at(guess, 0, 0), colour_at(guess, 0, 2)
    assert first != second
    assert colour_at(guess, 7, 4) == first
    assert colour_at(guess, 7, 6) == second


def test_many_classes_and_a_silent_map_are_drawn_all_the_same() -> None:
    guess = np.arange(16).reshape(4, 4)
    silent = np.zeros((4, 4), np.float32)
    shown = occluded(guess=guess, activity=silent, activity_without=0.0, guess_without=3)
    pixels = draw_occlusion(replace(shown, classes=()))
    part = panel(pixels, 1, 1)
    colours = {colour_at(part, 2 * y, 2 * x) for y, x in np.ndindex(4, 4)}
    assert len(colours) == 6  # five by name, and all others in one


def test_the_caption_says_every_choice() -> None:
    caption = describe(occluded(softmax=True))
    for words in (
        "cat, an image of cifar10 (test)", "2x2", "by 2", "filled with 0", "input space",
        "standardize",
        "block/pool", "map 7", "8.5", "true class", "0.750", "softmax", "rules deconvnet",
        "all activations of that map", "Nie et al.",
    ):  # fmt: skip
        assert words in caption, words
    assert "softmax" not in describe(occluded())
    assert "class that the network finds" in describe(occluded(labelled=False))


def test_files_hold_the_figure_and_the_numbers(tmp_path: Path) -> None:
    shown = occluded()
    write_occlusions(tmp_path, [shown, occluded("dog", label=0)], 12, {"checkpoint": "run"})
    (path, second) = write_occlusions(
        tmp_path, [shown, occluded("cow", label=0)], 12, {"checkpoint": "run"}
    )
    assert {file.name for file in tmp_path.glob("*.png")} == {"0000-cat.png", "0001-cow.png"}
    assert len(list(tmp_path.glob("*.json"))) == 2  # what an earlier call wrote is gone
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["checkpoint"] == "run"
    assert record["step"] == 12
    assert record["layout"]["factor"] == 1  # letters are not enlarged
    np.testing.assert_allclose(record["activity"], shown.record.activity, rtol=1e-6)
    np.testing.assert_allclose(record["probability"], shown.record.probability, rtol=1e-6)
    assert record["most_probable"][0] == ["dog", "cat", "dog", "cat"]
    assert record["square"] == {"size": 2, "stride": 2, "value": [0, 0, 0]}
    assert json.loads(second.with_suffix(".json").read_text())["class"] == "dog"


def test_tensorboard_shows_every_image(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_occlusions(tmp_path, [occluded(), occluded("dog")], None, {})
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    (event,) = events.Tensors("occlusion/block/pool")
    assert event.step == 0
    assert len(event.tensor_proto.string_val) == 2 + 2  # width and height, then the pictures


def test_the_projection_is_the_watched_maps_own() -> None:
    import keras

    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Activation("relu")])
    image = (200 + np.arange(48)).astype(np.uint8).reshape(4, 4, 3)
    shown = occluded(feature=2)
    layer = model.layers[-1].name
    record = replace(shown.record, layer=layer)
    for name, channel in (("raw", 2), ("caffe", 0)):  # caffe: the network's channel 2 is red
        found = project_watched(Deconvnet(model), image, Preprocess(name), record)
        expected = np.zeros((4, 4, 3), np.float32)
        expected[..., channel] = image[..., channel] - (0 if name == "raw" else 123.68)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("side", [(8, 16), (16, 8)])
def test_images_that_are_no_squares_keep_their_proportions(side: tuple[int, int]) -> None:
    shown = replace(
        occluded(),
        window=np.zeros((*side, 3), np.uint8),
        projection=np.zeros((*side, 3), np.float32),
    )
    image = panel(draw_occlusion(shown), 0, 0)
    dark = np.all(image < 60, axis=2)
    down, across = dark.any(axis=1).sum(), dark.any(axis=0).sum()
    assert down / across == pytest.approx(side[0] / side[1], rel=0.05)


def test_a_first_answer_that_is_interrupted_leaves_no_folder(tmp_path: Path) -> None:
    def interrupted() -> Iterator[OccludedImage]:
        yield occluded("cat")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_occlusions(tmp_path / "answer", interrupted(), 1, {})
    assert not (tmp_path / "answer").exists()

"""The figure of curves beside the images that moved, and all that it says."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deconvviz.data import Preprocess
from deconvviz.drawings.invariance import describe, draw, write_invariance
from deconvviz.drawings.rows import Pictured
from deconvviz.experiments.invariance import Curves, Invariance
from deconvviz.experiments.transforming import Transformation
from deconvviz.render.figures import PALETTE

RAW = Preprocess("raw")
LOOKED_AT = Pictured(
    "photos",
    np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), np.uint8),
    ("camera", "a rather long name"),
    "test",
)


def recorded(**changes: object) -> Invariance:
    amounts = (-1.0, 0.0, 1.0)
    distance = np.array([[[2, 0, 3], [4, 0, 1]], [[0.5, 0, 0.25], [1, 0, 2]]], np.float64)
    probability = np.array([[0.1, 0.9, 0.2], [0.6, 0.7, 0.8]], np.float32)
    curves = Curves(
        Transformation("vertical translation", "pixels", amounts), distance, probability
    )
    values = {
        "layers": ("low", "block/high"),
        "curves": (curves, curves),
        "norm": np.array([[2.0, 4.0], [1.0, 0.0]]),
        "classes": np.array([3, 1]),
        "true_classes": True,
        "softmax": False,
        "fill": (9.0, 9.0, 9.0),
        **changes,
    }
    return Invariance(**values)  # type: ignore[arg-type]


def colour(index: int) -> list[int]:
    return [int(PALETTE[index][place : place + 2], 16) for place in (1, 3, 5)]


def test_distances_are_told_in_norms_and_a_norm_of_0_has_none() -> None:
    record = recorded()
    relative = record.relative(record.curves[0])
    assert relative[0].tolist() == [[1, 0, 1.5], [1, 0, 0.25]]
    assert relative[1, 0].tolist() == [0.5, 0, 0.25]
    assert np.isnan(relative[1, 1]).all()


def test_the_variants_stand_in_the_figure_pixel_by_pixel() -> None:
    pixels = draw(recorded(), LOOKED_AT, RAW)
    # The second image moved down by one: its first row is the fill, 9 of 255.
    moved = np.concatenate([np.full((1, 12, 3), 9, np.uint8), LOOKED_AT.images[1][:-1]])
    block = moved.repeat(4, axis=0).repeat(4, axis=1)  # 48 pixels a tile
    height, width = pixels.shape[:2]
    places = [
        (y, x)
        for y in range(height - 48)
        for x in range(0, width - 48)
        if (pixels[y, x] == block[0, 0]).all() and (pixels[y : y + 48, x : x + 48] == block).all()
    ]
    assert len(places) == 2  # a row for each transformation
    top, left = places[0]
    assert pixels[top - 1, left + 10].tolist() == colour(1)


def test_every_image_has_curves_of_its_colour_in_every_plot() -> None:
    pixels = draw(recorded(), LOOKED_AT, RAW)
    shown = (pixels == colour(0)).all(axis=2)
    # Beside the frames, three plots: low, high, probability.
    columns = np.flatnonzero(shown.any(axis=0))
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 60) + 1)
    assert len(groups) == 4


@pytest.mark.parametrize(("side", "expected"), [(100, 34), (5, 45)])
def test_large_images_are_reduced_and_small_ones_enlarged_by_whole_numbers(
    side: int, expected: int
) -> None:
    images = np.full((1, side, side, 1), 200, np.uint8)
    pictured = Pictured("images", images, ("x",))
    one = recorded(norm=np.array([[2.0], [1.0]]), classes=np.array([0]), fill=(200.0,))
    only = Curves(
        one.curves[0].transformation, one.curves[0].distance[:, :1], one.curves[0].probability[:1]
    )
    pixels = draw(recorded(curves=(only,), norm=one.norm, fill=(200.0,)), pictured, RAW)
    runs = (pixels == 200).all(axis=2).sum(axis=1)
    assert (runs == 3 * expected).sum() == expected  # three variants in a row


def test_files_hold_the_figure_the_caption_and_the_record(tmp_path: Path) -> None:
    for _ in range(2):  # a second call takes the place of the first
        path = write_invariance(tmp_path, recorded(), LOOKED_AT, RAW, 300, {"checkpoint": "run"})
    record = json.loads(path.with_suffix(".json").read_text())
    assert (record["checkpoint"], record["step"], record["layers"]) == (
        "run", 300, ["low", "block/high"],
    )  # fmt: skip
    assert record["norm"] == {"low": [2, 4], "block/high": [1, 0]}
    first, _ = record["transformations"]
    assert first["amounts"] == [-1, 0, 1]
    assert first["distance"]["low"] == [[2, 0, 3], [4, 0, 1]]
    assert first["probability"][1] == pytest.approx([0.6, 0.7, 0.8])
    assert record["fill"] == [9, 9, 9]
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    (shown,) = events.Tensors("invariance/low+block/high")
    assert shown.step == 300
    picture = np.asarray(Image.open(io.BytesIO(shown.tensor_proto.string_val[2])))
    np.testing.assert_array_equal(picture, draw(recorded(), LOOKED_AT, RAW))
    layout = record["layout"]
    whole = np.asarray(Image.open(path))[layout["top"] :, layout["left"] :]
    np.testing.assert_array_equal(whole[: picture.shape[0], : picture.shape[1]], picture)


def test_the_caption_says_layers_data_fill_and_whose_probability() -> None:
    caption = describe(recorded(), LOOKED_AT, RAW)
    for words in (
        "low, block/high", "2 images of photos (test)", "Euclidean", "exactly 0", "true class",
        "9 there", "bilinear", "(raw)", "Figure 5",
    ):  # fmt: skip
        assert words in caption, words
    assert "softmax" not in caption
    own = Pictured("images", LOOKED_AT.images, LOOKED_AT.labels)
    caption = describe(recorded(softmax=True, true_classes=False), own, RAW)
    for words in ("softmax", "class that is found in it as it is", "2 images of one's own are"):
        assert words in caption, words

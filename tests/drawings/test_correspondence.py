"""The figure and the table of a correspondence."""

import json
from pathlib import Path

import numpy as np

from deconvviz.drawings.correspondence import (
    HEADINGS,
    ComparedImages,
    describe,
    draw_correspondence,
    table,
    write_correspondence,
)
from deconvviz.experiments.correspondence import Correspondence


def compared(layers: int = 2, images: int = 3) -> ComparedImages:
    """Two parts, made up: pairs' distances 0.1, 0.2, 0.3 for the first and 0.4 for the second."""
    pairs = images * (images - 1) // 2
    distances = np.full((2, layers, pairs), 0.4)
    distances[0] = np.linspace(0.1, 0.3, pairs)
    record = Correspondence(
        layers=tuple(f"pool{index}" for index in range(layers)),
        parts=("eye", "nose"),
        boxes=np.tile([1, 2, 3, 4], (2, images, 1)),
        random_boxes=np.tile([4, 3, 3, 4], (2, 5, images, 1)),
        distances=distances,
        random_distances=np.full((2, 5, layers, pairs), 0.5),
        changed=np.full((2, layers), 0.25),
        random_changed=np.full((2, layers), 0.125),
        entries=np.full(layers, 100),
        value=np.zeros(3, np.float32),
        seed=4,
    )
    names = tuple(f"dog{index}" for index in range(images))
    windows = np.full((images, 8, 8, 3), 90, np.uint8)
    return ComparedImages(record, windows, names, "standardize", "pictures")


def test_the_table_has_a_row_for_each_layer_and_part() -> None:
    rows = table(compared().record)
    assert [row[:2] for row in rows] == [
        ("pool0", "eye"), ("pool0", "nose"), ("pool1", "eye"), ("pool1", "nose"),
    ]  # fmt: skip
    assert all(len(row) == len(HEADINGS) for row in rows)
    # Mean 0.2; deviation of 0.1, 0.2, 0.3: the square root of 0.02 / 3.
    assert rows[0][2:] == ("0.200", "0.082", "0.500", "0.000", "25.0%", "12.5%")


def test_every_layer_gets_a_plot_with_both_parts() -> None:
    for layers in (1, 2, 4):
        pixels = draw_correspondence(compared(layers))
        assert pixels.shape[1:] == (1000, 3)
        marks = [
            (pixels == colour).all(axis=2).sum() for colour in ((11, 110, 153), (217, 115, 13))
        ]
        assert min(marks) > 100 * layers, (layers, marks)


def test_more_images_take_more_rows() -> None:
    few, many = (draw_correspondence(compared(images=count)) for count in (2, 7))
    assert many.shape[0] > few.shape[0]


def test_the_caption_says_every_choice_in_letters_that_the_picture_has() -> None:
    caption = describe(compared())
    for words in (
        "eye, nose", "3 images", "pictures", "pool0, pool1", "hidden by 0", "input space",
        "standardize", "5 repetitions", "seed 4", "all pairs", "another place in every image",
    ):  # fmt: skip
        assert words in caption, words
    assert "Δ" not in caption  # the PNG writer's font lacks it


def test_files_hold_the_figure_and_the_numbers(tmp_path: Path) -> None:
    for _ in range(2):
        path = write_correspondence(tmp_path, compared(), 7, {"checkpoint": "run"})
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["layout"]["factor"] == 1
    assert (record["checkpoint"], record["step"], record["seed"]) == ("run", 7, 4)
    assert record["boxes"]["eye"] == [[1, 2, 3, 4]] * 3
    first = record["results"][0]
    assert (first["layer"], first["part"]) == ("pool0", "eye")
    np.testing.assert_allclose(first["delta"], 0.2)
    assert first["raw_sum"] == 2 * (10 + 20 + 30)  # of 100 entries, each pair both ways round
    assert first["random_delta"] == [0.5] * 5


def test_tensorboard_shows_the_figure_and_the_table(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_correspondence(tmp_path, compared(), None, {})
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    assert events.Tensors("correspondence/figure")
    (text,) = events.Tensors("correspondence/table")
    assert "| pool1 | nose | 0.400 |" in text.tensor_proto.string_val[0].decode()

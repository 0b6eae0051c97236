"""A row a map, a column a step, and TensorBoard's slider over the steps."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deconvviz.data import Preprocess
from deconvviz.deconv.receptive_field import Box
from deconvviz.drawings.evolution import moment_cells, write_evolution
from deconvviz.experiments.evolution import Moment

ORANGE = (217, 115, 13)
RAW = Preprocess("raw")


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8)


def moment(step: int, image: tuple[int, int], value: tuple[float, float] = (2.0, 3.0)) -> Moment:
    """Two maps whose units see 3x3 pixels, one inside the image, one over its upper left corner."""
    maps = np.zeros((2, 6, 6, 3), np.float32)
    maps[0, 2:5, 1:4] = np.linspace(-1, 2, 27).reshape(3, 3, 3)
    maps[1, 0:2, 0:2] = 0.5
    maps[np.array(value) <= 0] = 0
    return Moment(
        layer="block/conv",
        step=step,
        searched=5,
        features=np.array([4, 9]),
        value=np.array(value, np.float32),
        image=np.array(image),
        place=np.array([[3, 2], [0, 0]]),
        boxes=(Box(2, 1, 5, 4), Box(-1, -1, 2, 2)),
        maps=maps,
        depends_on_image=False,
    )


def test_a_cell_is_the_patch_and_the_reconstruction_cut_to_what_the_unit_sees(
    images: np.ndarray,
) -> None:
    cells, scales = moment_cells(moment(1, (3, 2)), images, RAW)
    assert cells.shape == (2, 3, 7, 3)
    np.testing.assert_array_equal(cells[0, :, :3], images[3, 2:5, 1:4])
    np.testing.assert_array_equal(cells[1, 1:, 1:3], images[2, :2, :2])
    assert (cells[1, 0, :3] == 128).all()  # past the image's edge
    assert (cells[:, :, 3] == 255).all()
    ramp = np.linspace(-1, 2, 27).reshape(3, 3, 3)
    np.testing.assert_array_equal(cells[0, :, 4:], np.trunc(128 + 127 * ramp.astype("f4") / 2))
    np.testing.assert_array_equal(cells[1, 1:, 5:], np.full((2, 2, 3), 255))
    assert scales.tolist() == [2, 0.5]


def test_a_dead_maps_cell_is_grey(images: np.ndarray) -> None:
    cells, scales = moment_cells(moment(1, (3, 2), (0.0, 3.0)), images, RAW)
    assert (np.delete(cells[0], 3, axis=1) == 128).all()
    assert scales[0] == 0
    assert not (cells[1, 1:, 1:3] == 128).all()


def test_colours_of_a_bgr_network_are_turned_round(images: np.ndarray) -> None:
    blue_first = moment(1, (3, 2))
    blue_first.maps[0, 2:5, 1:4] = (1, 0, 0)
    cells, _ = moment_cells(blue_first, images, Preprocess("caffe"))
    assert cells[0, 0, 4].tolist() == [128, 128, 255]


def test_the_sheet_has_a_row_a_map_a_column_a_step_and_a_bar_at_a_jump(
    images: np.ndarray, tmp_path: Path
) -> None:
    moments = [moment(10, (3, 2)), moment(200, (3, 4)), moment(3000, (3, 4))]
    path = write_evolution(tmp_path, moments, images, RAW, "photos", "deconvnet", {"run": "r"})
    record = json.loads(path.with_suffix(".json").read_text())
    layout = record["layout"]
    assert (layout["rows"], layout["panels"], layout["panel_width"]) == (2, 3, 8)
    picture, factor = np.asarray(Image.open(path)), layout["factor"]
    down, across = 3 * factor + layout["gap"], 8 * factor + layout["gap"]
    for row in range(2):
        for column, one in enumerate(moments):
            top, left = layout["top"] + row * down, layout["left"] + column * across
            block = picture[top : top + 3 * factor : factor, left : left + 8 * factor : factor]
            np.testing.assert_array_equal(block[:, 1:], moment_cells(one, images, RAW)[0][row])
            bar = ORANGE if (row, column) == (1, 1) else (255, 255, 255)
            assert (block[:, 0] == bar).all()
    assert [step["step"] for step in record["steps"]] == [10, 200, 3000]
    assert [step["image"] for step in record["steps"]] == [[3, 2], [3, 4], [3, 4]]
    assert [step["jumped"] for step in record["steps"]] == [[False] * 2, [False, True], [False] * 2]
    assert record["steps"][0]["unit"] == [[3, 2], [0, 0]]
    assert record["steps"][0]["box"][1] == [-1, -1, 2, 2]
    assert (record["features"], record["run"]) == ([4, 9], "r")


def test_the_caption_says_layer_rules_start_signal_scale_data_and_k(
    images: np.ndarray, tmp_path: Path
) -> None:
    path = write_evolution(tmp_path, [moment(1, (0, 0))], images, RAW, "photos", "classic", {})
    caption = json.loads(path.with_suffix(".json").read_text())["caption"]
    for words in (
        "block/conv", "maps 4, 9", "Rules: classic", "Start signal", "own largest |value|",
        "5 training images of photos", "k = 1", "3x3 pixels", "orange bar", "own weights",
        "does not depend on it", "beyond the cut", "Nie et al. 2018",
    ):  # fmt: skip
        assert words in caption, words


def test_tensorboards_slider_runs_over_the_steps(images: np.ndarray, tmp_path: Path) -> None:
    moments = [moment(10, (3, 2)), moment(200, (3, 4))]
    for _ in range(2):  # a second call takes the place of the first
        write_evolution(tmp_path, moments, images, RAW, "photos", "deconvnet", {})
    assert len(list(tmp_path.glob("events.out.*"))) == 1
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    shown = events.Tensors("evolution/block/conv")
    assert [event.step for event in shown] == [10, 200]
    assert len(shown[0].tensor_proto.string_val) == 2 + 2  # width, height and a picture a map

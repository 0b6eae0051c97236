"""The figure, the sheet, the table and the record of the sanity checks."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deconvviz.data import Preprocess
from deconvviz.deconv.receptive_field import Box
from deconvviz.drawings.rows import Pictured
from deconvviz.drawings.sanity import draw_pictures, markdown, write_sanity
from deconvviz.drawings.sanity_figure import draw
from deconvviz.experiments.covering import Agreement
from deconvviz.experiments.findings import EDGES, Row, Sanity, Settings
from deconvviz.experiments.verdict import verdict
from deconvviz.experiments.watched import Watched

RULES = ("deconvnet", "gradient")
PIXELS = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), np.uint8)
PICTURED = Pictured("cifar10", PIXELS, ("cat", "dog", "ship"), "test")
RAW = Preprocess("raw")


def row(group: str, name: str, rule: str, values: Any) -> Row:
    return Row(group, name, rule, np.array(values, np.float64))


@pytest.fixture
def sanity() -> Sanity:
    """Of three images the first did not fire; the units see 4x4 pixels, one beyond the corner."""
    watched = Watched(
        PIXELS[1:].astype(np.float32), np.array([1, 2]), "conv2", np.array([3, 3], np.int32),
        np.array([[0, 0], [2, 2]], np.int32), np.ones(2, np.float32), np.array([1, 2], np.int32),
        (Box(-1, -1, 3, 3), Box(2, 2, 6, 6)),
    )  # fmt: skip
    some, none = [[0.4, 0.2, 0.1, 0.1, 0.3]] * 2, [[np.nan] * 5] * 2
    rows = tuple(
        made
        for rule in RULES
        for made in (
            row("selectivity", "another unit", rule, some),
            row("floor", "another image's picture", rule, some),
            row("cascade", "conv2", rule, none if rule == "gradient" else [some[0], none[0]]),
        )
    )
    one = Agreement(*(np.array([0.5, np.nan]) for _ in range(4)))
    random = np.random.default_rng(2)
    changes = ("trained", "another unit", "redrawn: conv2", "redrawn: conv2 to conv1")
    pictures = {
        rule: {name: random.normal(size=(2, 8, 8, 3)) for name in changes} for rule in RULES
    }
    covering = dict.fromkeys((*RULES, EDGES), one)
    return Sanity("conv2", RULES, watched, rows, covering, pictures, {}, True, Settings())


def test_the_record_holds_every_number_and_the_paragraph(sanity: Sanity, tmp_path: Path) -> None:
    path = write_sanity(tmp_path, sanity, PICTURED, RAW, 7, {"checkpoint": "run"})
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["verdict"] == verdict(sanity)
    assert record["caption"].startswith(verdict(sanity))
    assert "2 of 3 images of cifar10 (test)" in record["caption"]
    assert (record["step"], record["checkpoint"], record["images"]) == (7, "run", [1, 2])
    by_hand = {(one["name"], one["rule"]): one for one in record["rows"]}
    own = by_hand["conv2", "deconvnet"]
    assert own["mean"]["spearman_abs"] == 0.4
    assert own["values"][1] == [None] * 5
    assert by_hand["conv2", "gradient"]["mean"]["cosine"] is None
    assert record["covering"][EDGES]["drop"] == [0.5, None]
    assert set(record["thresholds"]) >= {"same", "another", "recovered"}
    assert record["settings"]["sizes"]["share"] == 0.2


def test_the_figure_is_drawn_at_its_own_size(sanity: Sanity, tmp_path: Path) -> None:
    path = write_sanity(tmp_path, sanity, PICTURED, RAW, None, {})
    layout = json.loads(path.with_suffix(".json").read_text())["layout"]
    assert layout["factor"] == 1
    pixels = draw(sanity)
    left, top = layout["left"], layout["top"]
    page = np.asarray(Image.open(path))
    assert np.array_equal(page[top : top + len(pixels), left : left + pixels.shape[1]], pixels)


def test_a_dot_moves_with_its_number(sanity: Sanity) -> None:
    rows = [dataclasses.replace(one, values=one.values + 0.3) for one in sanity.rows[:1]]
    moved = dataclasses.replace(sanity, rows=(*rows, *sanity.rows[1:]))
    assert (draw(moved) != draw(sanity)).any()


def test_the_table_has_a_line_a_comparison_group_by_group(sanity: Sanity) -> None:
    lines = [line.split(" | ") for line in markdown(sanity).splitlines()]
    assert [line[0] for line in lines[2:5]] == [
        "| floor", "| new weights down to", "| selectivity",
    ]  # fmt: skip
    cascade = lines[3]
    assert cascade[1:4] == ["conv2", "0.40 ± 0.00", "–"]
    assert cascade[-1] == "1 / 2 |"  # empty pictures, of each rule


def test_the_sheet_shows_what_each_unit_sees_and_its_pictures(sanity: Sanity) -> None:
    pixels, headings, labels = draw_pictures(sanity, PICTURED, RAW)
    assert headings == ("image", "trained", "new conv2", "new conv2-conv1", "another unit")
    assert labels == ("dog, deconvnet", "dog, gradient", "ship, deconvnet", "ship, gradient")
    assert pixels.shape == (4, 4, 5 * 4, 3)
    ship = pixels[2]
    assert np.array_equal(ship[:, :4], PIXELS[2, 2:6, 2:6])
    trained = sanity.pictures["deconvnet"]["trained"][1][2:6, 2:6]
    expected = np.trunc(128 + 127 * trained / np.abs(trained).max())
    assert np.array_equal(ship[:, 4:8], expected)
    dog = pixels[1]  # its field begins one pixel outside of the image, where all is grey
    assert np.array_equal(dog[1:, 1:4], PIXELS[1, :3, :3])
    assert (dog[0] == 128).all()


def test_of_a_long_cascade_three_stages_are_shown(sanity: Sanity) -> None:
    maps = sanity.pictures["deconvnet"]["trained"]
    stages = {f"redrawn: stage{number}": maps for number in range(9)}
    pictures = {rule: {"trained": maps, **stages} for rule in RULES}
    _, headings, _ = draw_pictures(dataclasses.replace(sanity, pictures=pictures), PICTURED, RAW)
    assert headings == ("image", "trained", "new stage0", "new stage4", "new stage8")


def test_writing_again_leaves_one_event_file(sanity: Sanity, tmp_path: Path) -> None:
    for _ in range(2):
        write_sanity(tmp_path, sanity, PICTURED, RAW, None, {})
    names = {one.name for one in tmp_path.iterdir() if "tfevents" not in one.name}
    assert names == {"sanity.png", "sanity.json", "sanity.md", "pictures.png", "pictures.json"}
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


def test_tensorboard_has_pictures_and_words_under_tags_of_their_own(
    sanity: Sanity, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    write_sanity(tmp_path, sanity, PICTURED, RAW, None, {})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tags = {name: set(events.PluginTagToContent(name)) for name in ("images", "text")}
    layer = f"sanity/{sanity.layer}"
    assert tags == {"images": {layer, f"{layer} pictures"}, "text": {f"{layer} summary"}}

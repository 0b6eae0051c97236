"""A picture file says what it shows, and gives its exact pixels back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deconvviz.errors import DeconvvizError
from deconvviz.render.compose import deconvnet_rows, filter_grid
from deconvviz.render.png import write_picture, write_sheet


def _rows(n: int = 3, size: int = 24) -> Any:
    random = np.random.default_rng(0)
    originals = random.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    maps = [random.normal(size=originals.shape) for _ in range(2)]
    return deconvnet_rows(originals, maps, ["pool1", "pool2"])


def _read_back(path: Path) -> Any:
    """Take one pixel out of every block that the record says is there."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    lay = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["layout"]
    high, wide = lay["panel_height"] * lay["factor"], lay["panel_width"] * lay["factor"]
    rows = []
    for row in range(lay["rows"]):
        top = lay["top"] + row * (high + lay["gap"])
        lefts = [lay["left"] + panel * (wide + lay["gap"]) for panel in range(lay["panels"])]
        panels = [picture[top : top + high, left : left + wide] for left in lefts]
        rows.append(np.concatenate(panels, axis=1))
    blocks = np.stack(rows)
    exact = blocks[:, :: lay["factor"], :: lay["factor"]]
    smooth = np.kron(exact[0], np.ones((lay["factor"], lay["factor"], 1), np.uint8))
    np.testing.assert_array_equal(smooth, blocks[0])  # each block is of one colour
    return exact


def test_a_picture_gives_its_exact_pixels_back(tmp_path: Path) -> None:
    rows = _rows()
    path = tmp_path / "row.png"
    write_picture(path, rows.pixels[1], rows.caption(1), rows.record(1), rows.names)
    np.testing.assert_array_equal(_read_back(path)[0], rows.pixels[1])


def test_a_sheet_gives_the_exact_pixels_of_all_rows_back(tmp_path: Path) -> None:
    rows = _rows()
    path = tmp_path / "sheet.png"
    labels = ["cat", "dog", "a_file_name_that_is_far_too_long_to_stand_beside_a_picture.png"]
    write_sheet(path, rows.pixels, rows.caption(), rows.record(), rows.names, labels)
    np.testing.assert_array_equal(_read_back(path), rows.pixels)


def test_small_panels_are_enlarged_enough_to_look_at_and_large_ones_left_alone(
    tmp_path: Path,
) -> None:
    for size, factor in ((24, 8), (32, 6), (300, 1)):
        rows = _rows(n=1, size=size)
        path = tmp_path / f"{size}.png"
        write_picture(path, rows.pixels[0], "", {}, rows.names)
        assert json.loads(path.with_suffix(".json").read_text())["layout"]["factor"] == factor


def test_a_filter_grid_is_one_panel_without_headings(tmp_path: Path) -> None:
    grid = filter_grid(np.random.default_rng(1).normal(size=(5, 5, 3, 64)))
    path = tmp_path / "filters.png"
    write_picture(path, grid.pixels, grid.caption, {"scale": grid.scale})
    np.testing.assert_array_equal(_read_back(path)[0], grid.pixels)


def test_the_caption_stands_in_the_picture_in_its_text_and_in_its_record(tmp_path: Path) -> None:
    rows = _rows(n=1)
    path = tmp_path / "row.png"
    caption = rows.caption(0) + " Gemessen für Größe ±1."
    write_picture(path, rows.pixels[0], caption, {"step": 500, **rows.record(0)}, rows.names)
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    with Image.open(path) as opened:
        assert opened.info["Description"] == caption
    assert record["caption"] == caption
    assert record["step"] == 500
    assert record["scales"]["pool2"] == rows.scales[0, 1]
    lay = record["layout"]
    picture = np.asarray(Image.open(path).convert("L"))
    below = picture[lay["top"] + lay["panel_height"] * lay["factor"] :]
    headings = picture[: lay["top"]]
    assert (below < 128).sum() > 1000  # some lines of dark letters on white
    assert (headings < 128).sum() > 100
    assert (picture[:, -16:] == 255).all()  # and nothing runs over the margin
    assert (picture[-16:] == 255).all()


def test_headings_wider_than_their_panel_do_not_run_into_the_next(tmp_path: Path) -> None:
    pixels = np.full((24, 72, 3), 128, np.uint8)
    path = tmp_path / "row.png"
    write_picture(path, pixels, "", {}, ["a very long name of a layer/" * 3, "b", "c"])
    lay = json.loads(path.with_suffix(".json").read_text())["layout"]
    heads = np.asarray(Image.open(path).convert("L"))[: lay["top"]]
    second = lay["left"] + 24 * lay["factor"] + lay["gap"]
    assert (heads[:, second - lay["gap"] : second] == 255).all()


def test_writing_again_replaces_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    rows = _rows()
    for image in (0, 1):
        path = tmp_path / "deep" / "row.png"
        write_picture(path, rows.pixels[image], "x", {}, rows.names)
    assert sorted(p.name for p in path.parent.iterdir()) == ["row.json", "row.png"]
    np.testing.assert_array_equal(_read_back(path)[0], rows.pixels[1])


def test_a_place_that_cannot_be_written_is_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeconvvizError, match="could not be written"):
        write_picture(tmp_path / "file" / "row.png", np.zeros((1, 1, 3), np.uint8), "", {})


def test_a_record_that_json_cannot_hold_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_picture(tmp_path / "a.png", np.zeros((1, 1, 3), np.uint8), "", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_headings_and_labels_must_fit_the_rows(tmp_path: Path) -> None:
    pixels = np.zeros((2, 4, 12, 3), np.uint8)
    for headings, labels in ((["a"] * 5, []), (["a"] * 3, ["only one"])):
        with pytest.raises(ValueError, match="labels"):
            write_sheet(tmp_path / "a.png", pixels, "", {}, headings, labels)


def test_a_name_that_is_no_unicode_is_written_escaped(tmp_path: Path) -> None:
    name = "caf\udce9"  # as Python has a file's name that is not UTF-8
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8), name, {"checkpoint": name})
    text = (tmp_path / "a.json").read_text("utf-8")
    assert r"caf\udce9" in text
    assert json.loads(text)["checkpoint"] == name

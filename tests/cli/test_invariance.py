"""`deconvviz invariance`, as a person calls it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from deconvviz.cli.invariance import invariance
from deconvviz.errors import ConfigError, DataError, DeconvvizError


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(invariance, list(map(str, arguments)))


def test_a_run_needs_no_more_than_its_name(trained: Path) -> None:
    import deconvviz

    ended = ask("--ckpt", trained)
    assert ended.exit_code == 0, ended.output
    path = trained / "invariance" / "folder-test-conv1+pool2" / "invariance.png"
    assert f"5 images, conv1 and pool2: {path}" in ended.output
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["step"] == 20
    assert record["fill"] == [0, 0, 0]
    down, *_ = record["transformations"]
    assert down["amounts"] == [-2, -1, 0, 1, 2]  # 8 * 60 / 224 pixels
    still = [row[2] for of_layer in down["distance"].values() for row in of_layer]
    assert still == [0] * 10
    # The images' own probability, of the class that their folder names.
    assert len(record["labels"]) == 5
    names = {"bright": 0, "dark": 1}
    assert record["classes"] == [names[label] for label in record["labels"]]
    model = deconvviz.load_model(trained)
    assert len(np.array(down["probability"])) == 5
    assert model.output_shape == (None, 2)


def test_own_pictures_are_asked_for_the_class_that_is_found_in_them(
    trained: Path, pictures: Path
) -> None:
    files = sorted(pictures.rglob("*.png"))[:2]
    ended = ask("--ckpt", trained, "--images", *files, "--layer", "pool1", "--preprocess", "unit")
    assert ended.exit_code == 0, ended.output
    path = trained / "invariance" / "images-pool1-unit" / "invariance.json"
    record = json.loads(path.read_text())
    assert not record["true_classes"]
    assert record["layers"] == ["pool1"]
    # 0 is black here, so the fill is the mean colour of the images.
    assert all(0.6 < value < 0.9 for value in record["fill"])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--layer", "nowhere"), DeconvvizError, "nowhere"),
        (("--preprocess", "wild"), DataError, "wild"),
        (("--images", "missing.png"), DataError, "missing.png"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(
    arguments: Any, error: type[Exception], words: str, trained: Path
) -> None:
    ended = ask("--ckpt", trained, *arguments)
    assert isinstance(ended.exception, error)
    assert words in str(ended.exception)


def test_a_strangers_file_has_no_images_of_its_own(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.keras"
    file.write_bytes((trained / "checkpoints" / "last.keras").read_bytes())
    ended = ask("--ckpt", file)
    assert isinstance(ended.exception, ConfigError)
    assert "--images" in str(ended.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--limit", 7), "1<=x<=6"),
        (("a.png",), "--images"),
        (("--images", "a.png", "--dataset", "photos"), "--dataset"),
        (("--images", *"abcdefg"), "6 pictures at most"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(arguments: Any, words: str) -> None:
    ended = ask("--ckpt", "none.keras", *arguments)
    assert ended.exit_code == 2
    assert words in ended.output

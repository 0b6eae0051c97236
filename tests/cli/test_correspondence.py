"""`deconvviz correspondence` and its file of parts, as a person calls and writes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from deconvviz.cli.correspondence import correspondence
from deconvviz.cli.parts import read_parts, seen_box
from deconvviz.errors import ConfigError, DataError, DeconvvizError

GOOD = """
[[image]]
index = 0
[image.parts]
eye = [2, 2, 3, 3]
nose = [6, 5, 2, 4]

[[image]]
index = 5
[image.parts]
nose = [6, 6, 2, 4]
eye = [3, 2, 3, 3]
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(correspondence, [str(one) for one in arguments])


def written(folder: Path, text: str) -> Path:
    path = folder / "parts.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_images_of_a_data_set_are_compared_by_index(trained: Path, tmp_path: Path) -> None:
    parts = written(tmp_path, GOOD)
    ended = run("--ckpt", trained, "--parts", parts, "--repetitions", 3, "--seed", 2)
    assert ended.exit_code == 0, ended.output
    folder = trained / "correspondence" / "parts-folder-test-pool1+pool2-repetitions3-seed2"
    record = json.loads((folder / "correspondence.json").read_text())
    assert (folder / "correspondence.png").is_file()
    # The run sees the central 8 of 12 pixels: boxes move by 2.
    assert record["boxes"] == {
        "eye": [[0, 0, 3, 3], [1, 0, 3, 3]], "nose": [[4, 3, 2, 4], [4, 4, 2, 4]],
    }  # fmt: skip
    assert np.shape(record["random_boxes"]["eye"]) == (3, 2, 4)
    assert (record["seed"], record["step"], record["images"]) == (2, 20, ["0", "5"])
    assert [(one["layer"], one["part"]) for one in record["results"]] == [
        ("pool1", "eye"), ("pool1", "nose"), ("pool2", "eye"), ("pool2", "nose"),
    ]  # fmt: skip
    for one in record["results"]:
        assert f"{one['delta']:.3f}" in ended.output
        assert 0 <= one["delta"] <= 1
        assert one["changed"] > 0


def test_pictures_of_ones_own_lie_beside_the_file(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    for name, source in zip("ab", sorted(pictures.rglob("*.png")), strict=False):
        with Image.open(source) as picture:
            picture.resize((48, 24)).save(tmp_path / f"{name}.png")
    text = GOOD.replace("index = 0", 'file = "a.png"').replace("index = 5", 'file = "b.png"')
    text = text.replace("[2, 2, 3, 3]", "[8, 20, 8, 8]").replace("[3, 2, 3, 3]", "[8, 24, 4, 4]")
    for nose in ("[6, 5, 2, 4]", "[6, 6, 2, 4]"):
        text = text.replace(nose, "[4, 12, 16, 24]")
    ended = run("--ckpt", trained, "--parts", written(tmp_path, text), "--layer", "conv2")
    assert ended.exit_code == 0, ended.output
    folder = trained / "correspondence" / "parts-conv2"
    record = json.loads((folder / "correspondence.json").read_text())
    # 48x24 is halved and cut to its central 12x12 (12 pixels go on either side), of which the
    # network sees the central 8: x -> (x - 12) / 2 - 2 and y -> y / 2 - 2.
    assert record["boxes"]["eye"] == [[2, 2, 4, 4], [2, 4, 2, 2]]
    assert record["boxes"]["nose"] == [[0, 0, 8, 8]] * 2
    assert record["images"] == ["a", "b"]


class _Window:
    """A preprocessing that sees everything."""

    def window(self, images: np.ndarray) -> np.ndarray:
        return images


def moved(box: tuple[int, int, int, int], size: tuple[int, int], **settings: Any) -> Any:
    whole: Any = _Window()
    return seen_box(box, size, (10, 10, 3), settings.get("fit", "resize"), whole, "'eye' in a.png")


def test_a_box_goes_the_way_of_its_picture() -> None:
    assert moved((1, 2, 3, 4), (10, 10)) == (1, 2, 3, 4)
    assert moved((10, 20, 30, 40), (100, 100)) == (1, 2, 3, 4)
    assert moved((6, 7, 3, 2), (20, 20), fit="crop") == (1, 2, 3, 2)
    assert moved((4, 7, 3, 2), (20, 20), fit="crop") == (0, 2, 2, 2)  # the window cuts its top


def test_a_box_that_the_network_does_not_see_is_refused() -> None:
    with pytest.raises(DataError, match=r"'eye' in a\.png.*10 pixels high and 20 wide"):
        moved((0, 18, 3, 3), (10, 20))
    with pytest.raises(DataError, match=r"sees nothing of 'eye' in a\.png"):
        moved((0, 0, 3, 3), (20, 20), fit="crop")
    with pytest.raises(DataError, match="smaller than one of its pixels"):
        moved((0, 0, 3, 3), (200, 200))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[image]", "not TOML"),
        ("", "image is missing"),
        (GOOD.split("[[image]]\nindex = 5")[0], "1 image.*at least 2"),
        (GOOD.replace("eye = [3, 2, 3, 3]", ""), "Image 1.*Mark eye in every image or in none"),
        (GOOD.replace("eye = [3, 2, 3, 3]", "eye = [3, 2, 3]"), r"image\.1\.parts\.eye"),
        (GOOD.replace("index = 5", ""), "Image 1.*either file or index"),
        (GOOD.replace("index = 5", 'index = 5\nfile = "a.png"'), "Image 1.*either file or index"),
        (GOOD.replace("index = 5", "index = -5"), r"image\.1\.index"),
        (GOOD.replace("index = 5", "number = 5"), r"image\.1\.number"),
    ],
)
def test_a_file_of_another_form_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        read_parts(written(tmp_path, text))
    assert "parts.toml" in str(refused.value)


def test_a_file_that_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file of parts"):
        read_parts(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (("index = 5", "index = 999"), (), ("999", "images 0 to")),
        (("[3, 2, 3, 3]", "[3, 2, 13, 3]"), (), ("'eye' in image 5", "12 pixels high")),
        (("[3, 2, 3, 3]", "[0, 0, 2, 2]"), (), ("sees nothing", "8x8")),
        (("", ""), ("--layer", "nowhere"), ("nowhere", "conv1")),
        (("index = 5", 'file = "none.png"'), (), ("none.png",)),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    change: tuple[str, str], options: tuple[Any, ...], words: tuple[str, ...],
    trained: Path, tmp_path: Path,
) -> None:  # fmt: skip
    parts = written(tmp_path, GOOD.replace(*change))
    ended = run("--ckpt", trained, "--parts", parts, *options)
    assert isinstance(ended.exception, DeconvvizError), ended.output
    for word in words:
        assert word in str(ended.exception)


def test_indices_want_a_data_set(trained: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "mine.keras"
    stranger.write_bytes((trained / "checkpoints" / "last.keras").read_bytes())
    ended = run("--ckpt", stranger, "--parts", written(tmp_path, GOOD), "--preprocess", "unit")
    assert isinstance(ended.exception, ConfigError)
    assert "--dataset" in str(ended.exception)

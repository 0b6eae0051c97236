"""`deconvviz occlusion` as a person calls it, through the command itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from deconvviz.cli.occlusion import occlusion
from deconvviz.errors import DeconvvizError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(occlusion, [str(one) for one in arguments])


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("0*.json"))]


def test_a_run_gets_a_figure_an_image_of_its_own_data(trained: Path) -> None:
    ended = run("--ckpt", trained, "--limit", 2)
    assert ended.exit_code == 0, ended.output
    folder = trained / "occlusion" / "folder-test-deconvnet-pool2"
    each = records(folder)
    assert len(each) == len(list(folder.glob("0*.png"))) == 2
    for record in each:
        assert record["square"] == {"size": 2, "stride": 1, "value": [0, 0, 0]}  # of 8 pixels
        assert np.shape(record["activity"]) == np.shape(record["probability"]) == (7, 7)
        assert record["class"] == record["name"] in ("bright", "dark")
        assert record["true_class"]
        assert not record["softmax_applied"]  # the network ends in one
        assert record["step"] == 20
    assert str(folder) in ended.output
    assert "tensorboard --logdir" in ended.output


def test_ones_own_pictures_go_by_the_class_that_is_found(trained: Path, pictures: Path) -> None:
    file = next(pictures.rglob("*.png"))
    ended = run(
        "--ckpt", trained, "--images", file, "--layer", "conv1", "--feature", 3,
        "--square", 4, "--stride", 2,
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    (record,) = records(trained / "occlusion" / "images-deconvnet-conv1-feature3-square4-stride2")
    assert not record["true_class"]
    assert record["class"] == record["most_probable_without"] in ("bright", "dark")
    assert (record["layer"], record["feature"]) == ("conv1", 3)
    assert record["rows"] == record["columns"] == [0, 2, 4]


def test_the_square_has_the_datas_mean_colour_where_images_are_not_standardised(
    trained: Path, pictures: Path
) -> None:
    file = next(pictures.rglob("*.png"))
    ended = run("--ckpt", trained, "--images", file, "--preprocess", "mean=100,std=50")
    assert ended.exit_code == 0, ended.output
    (record,) = records(trained / "occlusion" / "images-deconvnet-pool2-mean_100_std_50")
    from PIL import Image

    with Image.open(file) as picture:
        colour = np.asarray(picture).reshape(-1, 3).mean(axis=0).round()
    np.testing.assert_allclose(record["square"]["value"], (colour - 100) / 50, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--layer", "nowhere"), ("nowhere", "conv1")),
        (("--feature", 99), ("0 to 63", "99")),
        (("--square", 9), ("9 pixels wide", "1 to 8")),
        (("--preprocess", "wild"), ("wild", "standardize")),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    options: tuple[Any, ...], words: tuple[str, ...], trained: Path
) -> None:
    ended = run("--ckpt", trained, "--limit", 1, *options)
    assert isinstance(ended.exception, DeconvvizError)
    for word in words:
        assert word in str(ended.exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--square", 0), "--square"),
        (("--stride", 0), "--stride"),
        (("--dataset", "photos", "--images", "a.png"), "leave out --dataset"),
        (("a.png",), "behind --images"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(
    options: tuple[Any, ...], words: str, tmp_path: Path
) -> None:
    ended = run("--ckpt", tmp_path / "none.keras", *options)
    assert ended.exit_code == 2
    assert words in ended.output


def test_a_network_that_gives_no_classes_is_refused(pictures: Path, tmp_path: Path) -> None:
    import keras

    images = keras.Input((12, 12, 3))
    keras.Model(images, keras.layers.MaxPooling2D(name="pool")(images)).save(tmp_path / "maps.h5")
    file = next(pictures.rglob("*.png"))
    ended = run("--ckpt", tmp_path / "maps.h5", "--images", file, "--preprocess", "unit")
    assert isinstance(ended.exception, DeconvvizError)
    assert "one number for each of at least two classes" in str(ended.exception)

"""`deconvviz inspect`: what a model file holds, how its images are scaled, what ails its layers."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

BRIGHT, DARK = 0, 1  # the classes of `pictures`, in the order of their names


@pytest.fixture(scope="module")
def brightness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that says bright where the mean of raw pixels is above 127.5, and dark below."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.GlobalAveragePooling2D(name="mean"),
            keras.layers.Dense(2, activation="softmax", name="class"),
        ]
    )
    kernel = np.zeros((3, 2), np.float32)
    kernel[:, BRIGHT], kernel[:, DARK] = 1 / 3, -1 / 3
    model.layers[-1].set_weights([kernel, np.array([-127.5, 127.5], np.float32)])
    path = tmp_path_factory.mktemp("models") / "brightness.h5"
    model.save(path)
    return path


def test_the_table_shows_every_layer_with_its_field_and_rule(call: Any, trained: Path) -> None:
    ended = call("inspect", "--ckpt", trained)
    assert ended.code == 0, ended.err
    rows = {line.split()[0]: line for line in ended.out.splitlines() if line.split()}
    # METHOD's receptive fields of the classic network: size, stride and offset of each layer.
    for layer, field in {
        "conv1": "5x5 1, 1 -2, -2",
        "pool1": "6x6 2, 2 -2, -2",
        "conv2": "14x14 2, 2 -6, -6",
        "pool2": "16x16 4, 4 -6, -6",
        "conv3": "32x32 4, 4 -14, -14",
    }.items():
        assert field in " ".join(rows[layer].split()), rows[layer]
    assert "unpooling" in rows["pool1"]
    assert "no rule for Softmax" in rows["softmax"]
    assert "4,864" in rows["conv1"]  # 5 * 5 * 3 * 64 weights and 64 biases
    assert hashlib.sha256((trained / "checkpoints" / "last.keras").read_bytes()).hexdigest() in (
        ended.out
    )


def test_names_with_brackets_are_printed_as_they_are(call: Any, tmp_path: Path) -> None:
    import keras

    path = tmp_path / "a[" / "b].h5"
    path.parent.mkdir()
    images = keras.Input((12, 12, 3))
    keras.Model(images, keras.layers.ReLU(name="relu[b]:a:")(images)).save(path)
    ended = call("inspect", "--ckpt", path)
    assert ended.code == 0, ended.err
    assert str(path) in ended.out
    assert "relu[b]:a:" in ended.out


def test_the_json_says_the_same_to_programs(call: Any, brightness: Path) -> None:
    ended = call("inspect", "--ckpt", brightness, "--json")
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    assert record["sha256"] == hashlib.sha256(brightness.read_bytes()).hexdigest()
    assert record["format"].startswith(".h5 (Keras 3.")
    assert record["inputs"] == [[12, 12, 3]]
    assert record["parameters"] == 8
    mean, classes = record["layers"]
    assert (mean["path"], mean["kind"], mean["rule"]) == (
        "mean",
        "GlobalAveragePooling2D",
        "adjoint",
    )
    assert mean["receptive_field"] is None
    assert classes["rule"] is None
    assert "softmax" in classes["reason"]


def test_the_accuracy_tells_how_the_images_were_scaled(
    call: Any, brightness: Path, pictures: Path
) -> None:
    ended = call(
        "inspect", "--ckpt", brightness, "--dataset", "folder", "--data-dir", pictures, "--json"
    )
    assert ended.code == 0, ended.err
    measured = json.loads(ended.out)["accuracy"]
    accuracy = measured["preprocess"]
    assert set(accuracy) == {"raw", "unit", "signed", "standardize", "caffe", "torch"}
    assert accuracy["raw"] == 1.0
    # Scaled to numbers of a few units, all of them lie below 127.5: every image is called dark.
    files = len(list(pictures.rglob("*.png")))
    assert measured["images"] < files
    for name in ("unit", "signed", "standardize", "torch"):
        assert accuracy[name] == 0.5
    ended = call("inspect", "--ckpt", brightness, "--dataset", "folder", "--data-dir", pictures)
    ranked = [line.split() for line in ended.out.splitlines() if line.startswith(" ")]
    assert ["raw", "1.000"] in ranked


@pytest.fixture(scope="module")
def ailing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tells bright raw pixels from dark ones, with a dead map and a first layer that skips pixels.

    Scaled to 0 to 255, map 0 is the first channel, and map 1 never rises above 0.
    """
    import keras

    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(2, 1, strides=2, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(name="mean"),
            keras.layers.Dense(2, name="class"),
        ]
    )
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[0, 0, 0] = 1, -1
    answer = np.array([[1, -1], [0, 0]], np.float32)
    model.set_weights([kernel, np.zeros(2), answer, np.array([-127.5, 127.5])])
    path = tmp_path_factory.mktemp("models") / "ailing.keras"
    model.save(path)
    return path


def test_the_diagnosis_is_made_under_the_scaling_that_fits_best(
    call: Any, ailing: Path, pictures: Path
) -> None:
    arguments = ("--ckpt", ailing, "--dataset", "folder", "--data-dir", pictures)
    ended = call("inspect", *arguments, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)["diagnosis"]
    assert found["preprocess"] == "raw"
    (maps,) = found["maps"]
    assert (maps["layer"], maps["silent"], maps["dead"]) == ("conv", [1], None)
    assert maps["fires"] == [1, 0]
    np.testing.assert_allclose(found["filters"][0]["rms"], np.ones(2) / np.sqrt(3))
    np.testing.assert_allclose(found["first"][0]["colour"], [2 / 3, 2 / 3])
    (lattice,) = found["lattices"]
    assert (lattice["window"], lattice["stride"], lattice["ratio"]) == ([1, 1], [2, 2], "1:0")
    words = ("are silent on these ", "nothing looks at", "aliasing")
    assert len(found["complaints"]) == len(words)
    for text, word in zip(found["complaints"], words, strict=True):
        assert word in text


def test_the_diagnosis_says_in_words_what_the_json_holds(
    call: Any, ailing: Path, pictures: Path
) -> None:
    arguments = ("--ckpt", ailing, "--dataset", "folder", "--data-dir", pictures)
    told = json.loads(call("inspect", *arguments, "--json").out)["diagnosis"]["complaints"]
    ended = call("inspect", *arguments)
    assert ended.code == 0, ended.err
    said = " ".join(ended.out.split())
    for text in told:
        assert text in said
    assert "conv 2 1 1" in said  # two maps, one of them silent, the same one seldom above 0


def test_images_that_cannot_tell_the_scaling_diagnose_no_feature_map(
    call: Any, ailing: Path, pictures: Path, tmp_path: Path
) -> None:
    """A network that answers at random is at chance under each scaling: none is chosen."""
    import keras

    model = keras.saving.load_model(ailing)
    model.get_layer("class").set_weights([np.zeros((2, 2), np.float32), np.array([1, 0.0])])
    model.save(tmp_path / "blind.keras")
    arguments = ("--ckpt", tmp_path / "blind.keras", "--dataset", "folder", "--data-dir", pictures)
    found = json.loads(call("inspect", *arguments, "--json").out)
    assert (found["accuracy"]["chance"], found["accuracy"]["above_chance"]) == (0.5, False)
    assert (found["diagnosis"]["preprocess"], found["diagnosis"]["maps"]) == (None, [])
    said = " ".join(call("inspect", *arguments).out.split())
    assert "These images cannot tell which scaling it wants" in said
    assert "What its feature maps do" not in said
    assert "How large its filters are" in said


def test_a_run_is_diagnosed_under_its_own_scaling_whatever_fits_better(
    call: Any, trained: Path
) -> None:
    ended = call("inspect", "--ckpt", trained, "--dataset", "folder", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)["diagnosis"]
    assert found["preprocess"] == "standardize"
    assert [maps["layer"] for maps in found["maps"]] == ["conv1", "conv2", "conv3"]
    assert [first["layer"] for first in found["first"]] == ["conv1"]


def test_a_network_that_gives_no_number_a_class_is_refused(
    call: Any, pictures: Path, tmp_path: Path
) -> None:
    import keras

    images = keras.Input((12, 12, 3))
    keras.Model(images, keras.layers.Conv2D(4, 3)(images)).save(tmp_path / "maps.keras")
    ended = call(
        "inspect", "--ckpt", tmp_path / "maps.keras", "--dataset", "folder", "--data-dir", pictures
    )
    assert ended.code == 1
    assert "2 classes" in ended.err
    assert "(10, 10, 4)" in ended.err


def test_photographs_come_at_the_networks_own_size(call: Any, tmp_path: Path) -> None:
    import keras

    images = keras.Input((20, 16, 1))
    flat = keras.layers.Flatten()(images)
    classes = keras.layers.Dense(7)(flat)  # any number of classes but that of the photographs
    keras.Model(images, classes).save(tmp_path / "grey.keras")
    ended = call("inspect", "--ckpt", tmp_path / "grey.keras", "--dataset", "photos")
    assert ended.code == 1
    assert "one number for each class" in ended.err


def test_pictures_of_a_grey_network_have_one_panel_a_map(
    call: Any, pictures: Path, tmp_path: Path
) -> None:
    """A network of another size and of one channel: resized, greyed, and drawn."""
    import keras

    images = keras.Input((20, 16, 1))
    pooled = keras.layers.MaxPooling2D(2, name="pool")(keras.layers.Conv2D(3, 3)(images))
    keras.Model(images, pooled).save(tmp_path / "grey.h5")
    file = next(pictures.rglob("*.png"))
    ended = call(
        "reconstruct", "--ckpt", tmp_path / "grey.h5", "--preprocess", "unit",
        "--logdir", tmp_path / "logs", "--images", file,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (page,) = (tmp_path / "logs").rglob("all.json")
    layout = json.loads(page.read_text())["layout"]
    assert (layout["panels"], layout["panel_height"], layout["panel_width"]) == (2, 20, 16)
    pixels = np.asarray(Image.open(page.with_suffix(".png")).convert("RGB")).astype(int)
    original = pixels[layout["top"] :, layout["left"] :][: 20 * layout["factor"], :16]
    assert np.array_equal(original[..., 0], original[..., 2])

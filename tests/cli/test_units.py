"""One unit at a time: `reconstruct --feature K --at …`, and what its picture and record say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Panels = Callable[[Path], np.ndarray]


@pytest.fixture
def shown(call: Any, trained: Path) -> Callable[..., list[tuple[np.ndarray, dict[str, Any]]]]:
    """Reconstruct with more options; give each row's panels and record."""

    def show(*more: Any, folder: str) -> list[tuple[np.ndarray, dict[str, Any]]]:
        ended = call("reconstruct", "--ckpt", trained, "--limit", 2, *more)
        assert ended.code == 0, ended.err
        files = sorted((trained / "reconstructions" / folder).glob("0*.json"))
        return [(panels(file), json.loads(file.read_text())) for file in files]

    return show


def panels(record: Path) -> np.ndarray:
    """Read the exact pixels of a row back out of its enlarged picture: [panels, h, w, 3]."""
    from PIL import Image

    layout = json.loads(record.read_text())["layout"]
    picture = np.asarray(Image.open(record.with_suffix(".png")))
    height, width, factor = layout["panel_height"], layout["panel_width"], layout["factor"]
    read = []
    for panel in range(layout["panels"]):
        left = layout["left"] + panel * (width * factor + layout["gap"])
        read.append(picture[layout["top"] :, left:][: height * factor, : width * factor])
    return np.stack([block[::factor, ::factor] for block in read])


def test_a_units_row_is_its_patch_and_its_reconstruction(
    shown: Any, call: Any, trained: Path
) -> None:
    import deconvviz

    (whole, _), *_ = shown("--layer", "conv1", folder="folder-test-deconvnet-conv1")
    window = whole[0]
    rows = shown(
        "--layer", "conv1", "--feature", 3, "--at", "max",
        folder="folder-test-deconvnet-conv1-feature3-max",
    )  # fmt: skip
    assert len(rows) == 2
    (patch, drawn), record = rows[0]
    # The image at the network's input, and conv1 (5x5, SAME) at its strongest unit, by hand.
    pixels = window.astype(np.float64)
    x = ((pixels - pixels.mean()) / pixels.std()).astype(np.float32)[None]
    net = deconvviz.Deconvnet(deconvviz.load_model(trained))
    plane = net.activation(x, "conv1")[0, ..., 3]
    y, column = (int(i) for i in np.unravel_index(plane.argmax(), plane.shape))
    assert record["unit"] == [y, column]
    assert record["activation"] == pytest.approx(plane.max(), rel=1e-4)
    assert record["box"] == {
        "top": y - 2, "left": column - 2, "bottom": y + 3, "right": column + 3,
    }  # fmt: skip
    padded = np.pad(window, ((2, 2), (2, 2), (0, 0)), constant_values=128)
    np.testing.assert_array_equal(patch, padded[y : y + 5, column : column + 5])
    # One unit of the first convolution goes back as its filter times its value.
    kernel = net.model.get_layer("conv1").get_weights()[0][..., 3] * plane.max()
    inside = np.pad(np.ones(window.shape[:2]), 2)[y : y + 5, column : column + 5, None]
    expected = np.trunc(128 + 127 * kernel * inside / np.abs(kernel * inside).max())
    assert np.abs(expected - drawn).max() <= 1


def test_the_caption_says_what_unit_and_that_no_pool_stands_below(shown: Any) -> None:
    rows = shown(
        "--layer", "conv1", "--feature", 3, "--feature", 0, "--at", "4,2",
        folder="folder-test-deconvnet-conv1-feature3+0-y4x2",
    )  # fmt: skip
    assert [record["feature"] for _, record in rows] == [3, 0, 3, 0]  # image by image
    for _, record in rows:
        assert record["unit"] == [4, 2]
        for words in ("one unit", "(4, 2)", "conv1", "deconvnet", "5x5", "does not depend on it"):
            assert words in record["caption"], words
    above = shown(
        "--layer", "conv2", "--feature", 3, "--at", "max",
        folder="folder-test-deconvnet-conv2-feature3-max",
    )  # fmt: skip
    assert "does not depend" not in above[0][1]["caption"]


def test_a_feature_without_a_place_is_its_whole_map(shown: Any) -> None:
    rows = shown(
        "--layer", "pool1", "--layer", "conv2", "--feature", 3,
        folder="folder-test-deconvnet-pool1+conv2-feature3",
    )  # fmt: skip
    read, record = rows[0]
    assert len(read) == 3
    assert record["panels"] == ["original", "pool1 3", "conv2 3"]
    assert "one feature map" in record["caption"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--feature", 99, "--at", "max"), ("99", "0 to 63")),
        (("--feature", 99), ("99", "0 to 63")),
        (("--feature", 1, "--at", "40,2"), ("40", "units high")),
        (("--layer", "nowhere"), ("nowhere", "conv1")),
        (("--layer", "softmax"), ("softmax", "Reconstruct a layer below", "nonlinear")),
        (("--preprocess", "wild"), ("wild", "standardize", "mean=")),
        (("--preprocess", "mean=1,2,std=3"), ("channels",)),
    ],
)
def test_what_the_network_lacks_is_refused_in_words(
    options: tuple[Any, ...], words: tuple[str, ...], call: Any, trained: Path
) -> None:
    asked = options if "--layer" in options else ("--layer", "pool1", *options)
    ended = call("reconstruct", "--ckpt", trained, "--limit", 1, *asked)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("Error: ")
    for word in words:
        assert word in ended.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--at", "max"), "--feature"),
        (("--feature", 1, "--at", "top"), "max or Y,X"),
        (("--size", "0"), "HxW"),
        (("--size", "12y13"), "HxW"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(
    options: tuple[Any, ...], words: str, call: Any, tmp_path: Path
) -> None:
    ended = call("reconstruct", "--ckpt", tmp_path / "none.keras", *options)
    assert ended.code == 2
    assert words in ended.err


def test_what_was_approximated_stands_in_caption_and_record(
    call: Any, pictures: Path, tmp_path: Path
) -> None:
    import keras

    file = tmp_path / "leaky.keras"
    layers = [
        keras.Input((None, None, 3)),
        keras.layers.Rescaling(1 / 255, name="scale"),
        keras.layers.Conv2D(4, 3, name="conv"),
        keras.layers.LeakyReLU(name="leak"),
        keras.layers.MaxPooling2D(name="pool"),
    ]
    keras.Sequential(layers).save(file)
    image = next(pictures.rglob("*.png"))
    asked = ("reconstruct", "--ckpt", file, "--logdir", tmp_path, "--images", image)
    sized = (*asked, "--size", "10x8")
    open_size = call(*asked, "--nonlinear", "gradient")
    assert open_size.code == 1
    assert "--size" in open_size.err
    refused = call(*sized)
    assert refused.code == 1
    for words in ("'leak'", "LeakyReLU", 'nonlinear="gradient"'):
        assert words in refused.err
    ended = call(*sized, "--nonlinear", "gradient")
    assert ended.code == 0, ended.err  # and no --preprocess: the network begins by scaling
    (record,) = map(json.loads, (path.read_text() for path in tmp_path.rglob("0000-*.json")))
    assert record["approximated"] == {"pool": ["leak (LeakyReLU)"]}
    assert "the gradient in place of a rule at leak (LeakyReLU)" in record["caption"]
    assert record["preprocess"] == "raw"
    assert (record["layout"]["panel_height"], record["layout"]["panel_width"]) == (10, 8)


def test_a_strangers_file_wants_to_be_told_its_scaling(
    call: Any, pictures: Path, tmp_path: Path
) -> None:
    import keras

    images = keras.Input((12, 12, 3))
    keras.Model(images, keras.layers.MaxPooling2D(name="pool")(images)).save(tmp_path / "bare.h5")
    asked = (
        "reconstruct",
        "--ckpt",
        tmp_path / "bare.h5",
        "--images",
        next(pictures.rglob("*.png")),
    )
    ended = call(*asked, "--logdir", tmp_path)
    assert ended.code == 1
    for words in ("--preprocess", "caffe", "mean=", "deconvviz inspect --ckpt"):
        assert words in ended.err
    ended = call(*asked, "--logdir", tmp_path, "--preprocess", "mean=127.5,std=64")
    assert ended.code == 0, ended.err


def test_images_too_small_or_too_large_for_a_network_are_refused(
    call: Any, pictures: Path, tmp_path: Path
) -> None:
    import keras

    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 3, name="conv")(images)
    keras.Model(images, keras.layers.MaxPooling2D(name="pool")(x)).save(tmp_path / "open.keras")
    image = next(pictures.rglob("*.png"))
    asked = ("reconstruct", "--ckpt", tmp_path / "open.keras", "--preprocess", "raw")
    for size, words in (("2", "too small"), ("100000", "at most 4096")):
        ended = call(*asked, "--logdir", tmp_path, "--images", image, "--size", size)
        assert ended.code == 1
        assert words in ended.err


def test_a_layer_is_found_by_those_that_sound_alike(call: Any, trained: Path) -> None:
    ended = call("reconstruct", "--ckpt", trained, "--limit", 1, "--layer", "block/pool2")
    assert ended.code == 1
    assert "Did you mean pool2" in ended.err


def test_what_needs_no_network_is_refused_before_tensorflow_loads(
    call: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deconvviz.cli import asked

    def loaded(verbose: bool) -> None:
        raise AssertionError("TensorFlow was loaded")

    monkeypatch.setattr(asked, "import_tensorflow", loaded)
    file = tmp_path / "mine.keras"
    file.write_bytes((trained / "checkpoints" / "last.keras").read_bytes())
    ended = call("reconstruct", "--ckpt", file)
    assert ended.code == 1
    assert "--images" in ended.err
    (tmp_path / "text.png").write_text("no picture")
    for image in ("text.png", "missing.png"):
        ended = call("reconstruct", "--ckpt", file, "--images", tmp_path / image)
        assert ended.code == 1
        assert image in ended.err


def test_a_classic_units_caption_says_that_its_map_goes_on_beyond_the_cut(shown: Any) -> None:
    unit = ("--layer", "pool1", "--feature", 3, "--at", "max")
    for rules, goes_on in (("classic", True), ("deconvnet", False)):
        folder = f"folder-test-{rules}-pool1-feature3-max"
        _, record = shown(*unit, "--rules", rules, folder=folder)[0]
        assert ("goes on beyond the cut" in record["caption"]) == goes_on

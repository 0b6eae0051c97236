"""What a command says unasked: which layers it leaves out, and why a picture shows nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution below a LeakyReLU and two above; classes behind a softmax that is sure."""
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(2, 1, activation="relu", name="low"),
            layers.MaxPooling2D(name="pool"),
            layers.LeakyReLU(name="leaky"),
            layers.Conv2D(2, 1, name="high"),
            layers.Conv2D(2, 1, activation="sigmoid", name="last"),
            layers.GlobalMaxPooling2D(name="largest"),
            layers.Dense(2, name="logits"),
            layers.Softmax(name="sure"),
        ]
    )
    ones = np.ones((1, 1, 3, 2), np.float32)
    deep = np.full((1, 1, 2, 2), 0.001, np.float32)
    answer = np.array([[90, 0], [90, 0]], np.float32)
    zeros = np.zeros(2)
    model.set_weights([ones, zeros, deep, zeros, deep, zeros, answer, zeros])
    path = tmp_path_factory.mktemp("models") / "leaky.keras"
    model.save(path)
    return path


def test_features_names_the_layers_that_it_leaves_out_and_why(
    call: Any, leaky: Path, pictures: Path, tmp_path: Path
) -> None:
    files = sorted(pictures.rglob("*.png"))[:3]
    ended = call(
        "features", "--ckpt", leaky, "--preprocess", "unit", "--logdir", tmp_path, "-k", "2",
        "--images", *files,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    said = " ".join(ended.err.split())
    assert "Left out: high: no rule for leaky (LeakyReLU). --nonlinear gradient takes" in said
    assert "Left out: last: no rule for last (activation 'sigmoid')." in said
    assert "low: 0 of 2 feature maps silent on these 3 images" in ended.out
    record = json.loads(next((tmp_path).rglob("0000-*.json")).read_text())
    assert set(record["left_out"]) == {"high", "last"}


def test_a_grey_picture_is_explained_on_the_console_in_the_caption_and_in_the_record(
    call: Any, leaky: Path, pictures: Path, tmp_path: Path
) -> None:
    ended = call(
        "reconstruct", "--ckpt", leaky, "--preprocess", "unit", "--logdir", tmp_path,
        "--rules", "gradient", "--layer", "sure", "--feature", "0",
        "--images", next(pictures.rglob("*.png")),
    )  # fmt: skip
    assert ended.code == 0, ended.err
    why = "'sure', Softmax, is saturated there"
    assert f"Note: 1 of 1 reconstructions show nothing: {why}" in " ".join(ended.err.split())
    record = json.loads(next(tmp_path.rglob("0000-*.json")).read_text())
    assert why in record["description"]
    assert why in record["show_nothing"][0]
    assert "Start from 'logits'" in record["show_nothing"][0]

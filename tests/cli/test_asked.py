"""What the commands have in common: folders' names, and layers that the rules do not define."""

import json
from pathlib import Path
from typing import Any

import pytest

from deconvviz.cli.asked import folder_words


def test_a_folder_is_named_by_its_layers_and_never_too_long() -> None:
    assert folder_words(["block/conv", "pool2"]) == "block.conv+pool2"
    deep = [f"{'nested/' * 30}conv{number}" for number in range(3)]
    names = {folder_words([layer]) for layer in deep} | {folder_words(deep)}
    assert len(names) == 4
    assert all(len(name) <= 120 and "/" not in name for name in names)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with a layer that Zeiler & Fergus define nothing for."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.LeakyReLU(name="leak"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", name="dense"),
        ]
    )
    path = tmp_path_factory.mktemp("leaky") / "leaky.keras"
    model.save(path)
    return path


@pytest.mark.parametrize(
    ("command", "figure"), [("occlusion", "0000-*.json"), ("sanity", "sanity.json")]
)
def test_a_gradient_in_place_of_a_rule_is_asked_for_and_told_of(
    call: Any, leaky: Path, pictures: Path, tmp_path: Path, command: str, figure: str
) -> None:
    images = sorted(pictures.rglob("*.png"))[:3]
    asked = (command, "--ckpt", leaky, "--preprocess", "unit", "--logdir", tmp_path)
    refused = call(*asked, "--images", *images)
    assert refused.code == 1
    assert "'leak'" in refused.err
    assert "--nonlinear gradient" in refused.err
    done = call(*asked, "--nonlinear", "gradient", "--images", *images)
    assert done.code == 0, done.err
    folder = tmp_path / "leaky" / command / "images-deconvnet-pool-unit-nonlinear"
    (record,) = (json.loads(path.read_text()) for path in folder.glob(figure))
    assert "in place of a rule at leak" in record["caption"]
    assert record["nonlinear"] == "gradient"


def test_a_limit_counts_images_of_a_data_set(call: Any, leaky: Path, pictures: Path) -> None:
    image = next(pictures.rglob("*.png"))
    ended = call("features", "--ckpt", leaky, "--limit", 3, "--images", image)
    assert ended.code == 2
    assert "leave out --limit" in ended.err

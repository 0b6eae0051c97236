"""Models that other people trained, and the shape that crashed one of them.

The files are found by DECONVVIZ_STRANGERS; where that is unset those tests are skipped.
"""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deconvviz import Deconvnet

Array = np.ndarray
ROUNDING = 1e-5  # float32 sums in another order, through some forty layers
RULES = ("deconvnet", "guided", "gradient", "classic")


@pytest.fixture(scope="module")
def strangers() -> Path:
    folder = os.environ.get("DECONVVIZ_STRANGERS")
    if not folder:
        pytest.skip("DECONVVIZ_STRANGERS names no folder of other people's models")
    return Path(folder)


def opened(path: Path) -> keras.Model:
    if not path.exists():
        pytest.skip(f"there is no {path.name} in DECONVVIZ_STRANGERS")
    return keras.models.load_model(path, compile=False)


def check(
    model: keras.Model, images: Array, targets: list[str], rules: tuple[str, ...], reference: Any
) -> None:
    random = np.random.default_rng(3)
    bare = keras.Model(model.inputs[0], model.outputs)  # old files ask for a list of one array
    answers = reference.answers(bare, images, targets)
    signals = {t: random.normal(size=a.shape).astype(np.float32) for t, a in answers.items()}
    expected = reference.back_through(bare, images, signals, rules)
    for rule in rules:
        net = Deconvnet(model, rules=rule)
        for target in targets:
            maps = net.project(net.trace(images, target), signals[target])
            assert reference.distance(maps, expected[target, rule]) < ROUNDING, (target, rule)


def test_mini_xception_goes_back_from_every_layer_below_its_softmax(
    strangers: Path, reference: Any
) -> None:
    model = opened(strangers / "fer_mini_xception_102.h5")
    images = np.random.default_rng(4).uniform(-1, 1, (1, 64, 64, 1)).astype(np.float32)
    *targets, softmax = [layer.name for layer in model.layers[1:]]
    assert softmax == "predictions"
    assert len(targets) > 40
    check(model, images, targets, ("deconvnet",), reference)
    check(model, images, targets[-1:], RULES, reference)


def test_a_trained_residual_network_goes_back_from_three_depths(
    strangers: Path, reference: Any
) -> None:
    model = opened(strangers / "mlctiny_resnet8.h5")
    images = np.random.default_rng(5).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    names = [layer.name for layer in model.layers]
    adds = [name for name in names if name.startswith("add")]
    check(model, images, [adds[0], adds[-1], names[-2]], RULES, reference)


@pytest.mark.parametrize("rules", RULES)
def test_the_shape_whose_unasked_filter_gradient_crashes_tensorflow_runs(rules: str) -> None:
    """A 1x1 convolution of stride 2: an eager tape corrupts the heap in a few runs (oneDNN)."""
    layer = keras.layers.Conv2D(16, 1, strides=2, padding="same", activation="relu", name="conv")
    model = keras.Sequential([keras.Input((60, 60, 8)), layer])
    random = np.random.default_rng(6)
    layer.set_weights([random.normal(size=(1, 1, 8, 16)), np.zeros(16)])
    images = random.normal(size=(2, 60, 60, 8)).astype(np.float32)
    net = Deconvnet(model, rules=rules)
    trace = net.trace(images, "conv")
    signal = np.abs(random.normal(size=trace.activation.shape)).astype(np.float32)
    through = signal * (trace.activation.numpy() > 0 if rules in ("guided", "gradient") else 1)
    expected = np.zeros_like(images)
    expected[:, ::2, ::2] = through @ layer.get_weights()[0][0, 0].T
    for _ in range(5):
        np.testing.assert_allclose(net.project(trace, signal), expected, rtol=1e-5, atol=1e-4)

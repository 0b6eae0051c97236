"""The networks beside the classic one: their layers, what their units see, and how they open."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import deconvviz
from deconvviz.config import ModelConfig
from deconvviz.models.files import load_model
from deconvviz.models.networks import build_network
from deconvviz.models.pooling import MaxPoolingWithSwitches


def network(name: str, **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    config = ModelConfig.model_validate({"name": name, **settings})
    return build_network(config, (28, 28, 3), 10)


def shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    return {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}


def test_the_deep_network_has_five_normalised_convolutions_and_three_max_pools() -> None:
    deep = network("deep")
    given = shapes(deep)
    assert {name: given[name] for name in given if name[:4] in ("conv", "pool")} == {
        "conv1": (28, 28, 32), "pool1": (14, 14, 32), "conv2": (14, 14, 64), "conv3": (14, 14, 64),
        "pool2": (7, 7, 64), "conv4": (7, 7, 128), "conv5": (7, 7, 128), "pool3": (128,),
    }  # fmt: skip
    names = list(given)
    for number in range(1, 6):
        first = names.index(f"conv{number}")
        assert names[first + 1 : first + 3] == [f"norm{number}", f"relu{number}"]
        assert not deep.get_layer(f"conv{number}").use_bias
    assert isinstance(deep.get_layer("pool2"), MaxPoolingWithSwitches)


def test_the_zf_network_has_the_papers_first_layer_and_overlapping_pools() -> None:
    zf = network("zf", dropout=0.5)
    first = zf.get_layer("conv1")
    assert (first.kernel_size, first.strides) == ((7, 7), (2, 2))
    pools = [layer for layer in zf.layers if isinstance(layer, MaxPoolingWithSwitches)]
    assert [layer.name for layer in pools] == ["pool1", "pool2", "pool5"]
    assert {(layer.pool_size, layer.strides) for layer in pools} == {((3, 3), (2, 2))}
    assert [zf.get_layer(f"dropout{number}").rate for number in (6, 7)] == [0.5, 0.5]
    sides = {name: shape[0] for name, shape in shapes(zf).items() if len(shape) == 3}
    assert [sides[name] for name in ("conv1", "pool1", "pool2", "pool5")] == [14, 7, 4, 2]


@pytest.mark.parametrize("name", ["classic", "deep", "zf"])
def test_keras_settings_for_the_process_change_no_network(name: str) -> None:
    plain = network(name, dropout=0.5)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        other = network(name, dropout=0.5)
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")
        keras.config.set_image_data_format("channels_last")
    assert other.get_config() == plain.get_config()
    for one, another in zip(plain.weights, other.weights, strict=True):
        assert another.dtype == one.dtype
        np.testing.assert_array_equal(np.asarray(another), np.asarray(one))


@pytest.mark.parametrize("name", ["deep", "zf"])
def test_every_layer_but_the_softmax_can_be_reconstructed(name: str) -> None:
    net = deconvviz.Deconvnet(network(name))
    assert [layer.path for layer in net.layers if layer.rule is None] == ["softmax"]


@pytest.mark.parametrize("name", ["deep", "zf"])
def test_a_saved_network_opens_as_it_was(name: str, tmp_path: Path) -> None:
    model = network(name, filter_rms=0.1, dropout=0.5)
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 28, 28, 3)).astype(np.float32)
    assert np.array_equal(load_model(tmp_path / "model.keras")(x), model(x))


@pytest.mark.parametrize("name", ["deep", "zf"])
def test_the_weights_begin_as_the_configuration_says(name: str) -> None:
    model = network(name, init_std=0.02, init_bias=0.3)
    kernels = [w.numpy() for w in model.trainable_variables if w.name == "kernel"]
    for kernel in kernels:
        assert np.abs(kernel).max() <= 0.04  # cut off at two standard deviations
    assert np.all(model.get_layer("logits").bias.numpy() == np.float32(0.3))


def test_dropout_stands_before_the_last_layer_where_it_is_asked_for() -> None:
    names = list(shapes(network("deep", dropout=0.1)))
    assert names[names.index("logits") - 1] == "dropout"
    assert "dropout" not in shapes(network("deep"))

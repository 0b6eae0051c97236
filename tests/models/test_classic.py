"""The classic program's network, its start, and its pooling layer."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from deconvviz.config import ModelConfig
from deconvviz.models.classic import classic_network
from deconvviz.models.files import load_model
from deconvviz.models.pooling import MaxPoolingWithSwitches


def test_the_layers_are_the_classic_programs() -> None:
    model = classic_network(ModelConfig(), (24, 24, 3), 10)
    shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers[1:]}
    assert shapes == {
        "conv1": (24, 24, 64), "pool1": (12, 12, 64), "conv2": (12, 12, 64), "pool2": (6, 6, 64),
        "conv3": (6, 6, 10), "pool3": (1, 1, 10), "flatten": (10,), "softmax": (10,),
    }  # fmt: skip
    kernels = {layer.name: tuple(layer.kernel.shape) for layer in model.layers if layer.weights}
    assert kernels == {
        "conv1": (5, 5, 3, 64), "conv2": (5, 5, 64, 64), "conv3": (5, 5, 64, 10),
    }  # fmt: skip


def test_weights_begin_as_a_truncated_normal_and_biases_at_a_constant() -> None:
    keras.utils.set_random_seed(0)
    model = classic_network(ModelConfig(init_std=0.1, init_bias=0.1), (24, 24, 3), 10)
    kernel = model.get_layer("conv2").kernel.numpy()
    assert np.abs(kernel).max() <= 0.2  # cut off at two standard deviations
    # The deviation of a normal that is cut off at 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
    phi, mass = np.exp(-2) / np.sqrt(2 * np.pi), 0.9544997
    assert np.isclose(kernel.std(), 0.1 * np.sqrt(1 - 4 * phi / mass), rtol=0.01)
    for name in ("conv1", "conv2", "conv3"):
        assert np.all(model.get_layer(name).bias.numpy() == np.float32(0.1))


def test_dropout_stands_before_the_last_convolution_where_it_is_asked_for() -> None:
    names = [layer.name for layer in classic_network(ModelConfig(dropout=0.5), (8, 8, 3), 2).layers]
    assert names[names.index("conv3") - 1] == "dropout"


def test_the_pooling_layer_pools_as_keras_does_and_gives_its_switches() -> None:
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype(np.float32)
    ours = MaxPoolingWithSwitches(3, strides=2, padding="same")
    pooled, switches = ours.with_switches(tf.constant(x))
    assert np.array_equal(ours(x), keras.layers.MaxPooling2D(3, strides=2, padding="same")(x))
    assert np.array_equal(pooled, ours(x))
    flat = x.reshape(2, -1)
    for image in range(2):
        assert np.array_equal(flat[image][switches[image].numpy()], pooled[image])


def test_a_saved_network_opens_as_it_was(tmp_path: Path) -> None:
    model = classic_network(ModelConfig(), (24, 24, 3), 10)
    model.save(tmp_path / "model.keras")
    opened = load_model(tmp_path / "model.keras")
    assert isinstance(opened.get_layer("pool1"), MaxPoolingWithSwitches)
    x = np.random.default_rng(0).normal(size=(2, 24, 24, 3)).astype(np.float32)
    assert np.array_equal(opened(x), model(x))

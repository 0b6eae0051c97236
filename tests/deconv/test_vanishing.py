"""Pictures that show nothing: said with the cause, and with a way out that works."""

import warnings
from typing import Any

import keras
import numpy as np
import pytest

from deconvviz import Deconvnet, EmptyReconstructionWarning
from deconvviz.deconv.rules import GRADIENT, pass_on

L = keras.layers
IMAGES = np.random.default_rng(0).uniform(0.5, 1, (3, 4, 4, 3)).astype(np.float32)


def sure(*head: Any, by: float = 1.0) -> keras.Model:
    """A network whose first class leads by about 4.5 times `by`."""
    model = keras.Sequential([keras.Input((4, 4, 3)), L.GlobalMaxPooling2D(name="largest"), *head])
    kernel = np.zeros((3, 2), np.float32)
    kernel[:, 0] = 2 * by
    next(layer for layer in model.layers if layer.weights).set_weights([kernel, np.zeros(2)])
    return model


def empty(net: Deconvnet, *asked: Any, **named: Any) -> str:
    with pytest.warns(EmptyReconstructionWarning) as told:
        net.reconstruct(IMAGES, *asked, **named)
    (one,) = told
    return str(one.message)


@pytest.mark.parametrize("function", ["layer", "softmax", "sigmoid", "tanh"])
@pytest.mark.parametrize("by", [5, 100], ids=["noise", "zero"])
def test_a_saturated_layer_is_named_with_the_layer_before_it(function: str, by: float) -> None:
    last = L.Softmax(name="sure") if function == "layer" else L.Activation(function, name="sure")
    model = sure(L.Dense(2, name="logits"), last, by=by)
    net = Deconvnet(model, rules="gradient")
    words = empty(net, "sure", feature=0)
    assert "3 of 3 reconstructions show nothing: 'sure'" in words
    assert "is saturated" in words
    assert "Start from 'logits'" in words
    assert net.reconstruct(IMAGES, "logits", feature=0).any()  # no warning, and a picture


def test_a_saturated_activation_within_its_layer_can_be_passed_by() -> None:
    model = sure(L.Dense(2, activation="softmax", name="sure"), by=50)
    words = empty(Deconvnet(model, rules="gradient"), "sure", feature=0)
    assert "keras.activations.softmax: pass_on}" in words
    net = Deconvnet(model, rules={**GRADIENT, keras.activations.softmax: pass_on})
    assert net.reconstruct(IMAGES, "sure", feature=0).any()


def test_an_unsure_softmax_is_left_alone_however_small_its_picture() -> None:
    model = sure(L.Dense(2, activation="softmax", name="unsure"), by=1e-6)
    net = Deconvnet(model, rules="gradient")
    assert np.abs(net.reconstruct(IMAGES, "unsure", feature=0)).max() < 1e-4


def test_a_unit_that_does_not_fire_is_told() -> None:
    model = sure(L.Dense(2, activation="relu", name="units"), by=-1)
    for net in (Deconvnet(model), Deconvnet(model, rules="gradient")):
        words = empty(net, "units", feature=1)
        assert "'units' is 0, since it does not fire" in words
        assert "strongest_activations" in words


def test_a_signal_that_a_rule_ends_on_its_way_is_told() -> None:
    """A unit that is below zero, whose negative signal the deconvnet does not let through."""
    images = keras.Input((4, 4, 3))
    x = L.Activation("relu", name="relu")(L.Conv2D(1, 1, use_bias=False, name="conv")(images))
    model = keras.Model(images, L.Conv2D(1, 1, use_bias=False, name="negative")(x))
    model.set_weights([np.ones((1, 1, 3, 1)), -np.ones((1, 1, 1, 1))])
    # -1 times the filter -1 comes back positive; start='one' sends 1, and that ends at the ReLU.
    assert "ends at 'relu'" in empty(Deconvnet(model), "negative", start="one")


def test_what_vanished_in_some_images_is_counted() -> None:
    model = sure(L.Dense(2, activation="relu", name="units"))
    images = np.concatenate([IMAGES[:2], np.zeros_like(IMAGES[:1])])
    with pytest.warns(EmptyReconstructionWarning, match="1 of 3 reconstructions"):
        Deconvnet(model).reconstruct(images, "units", feature=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Deconvnet(model).reconstruct(IMAGES, "units", feature=0)

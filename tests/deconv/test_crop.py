"""A unit reconstructed on a window of the image gives the map that the whole image gives."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deconvviz import Deconvnet
from deconvviz.deconv.crop import Windows, lay_windows
from deconvviz.deconv.graph import flatten
from deconvviz.deconv.start import start_signal

layers = keras.layers


def strided(images: Any, padding: str) -> Any:
    x = layers.Conv2D(6, 5, strides=2, padding=padding, activation="relu")(images)
    x = layers.MaxPooling2D(3, 2, padding=padding)(x)
    x = layers.Add()([x, layers.Conv2D(6, 3, padding="same", activation="relu")(x)])
    x = layers.AveragePooling2D(2, 1, padding="same")(layers.BatchNormalization()(x))
    return layers.Conv2D(5, 2, padding=padding, activation="relu6", name="target")(x)


def pooled(images: Any, padding: str) -> Any:
    x = layers.Conv2D(6, 3, padding=padding, activation="relu")(images)
    x = layers.MaxPooling2D(2, padding=padding)(x)
    x = layers.SeparableConv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.Concatenate()([x, layers.Conv2D(3, 1, dilation_rate=2)(x)])
    return layers.MaxPooling2D(3, 2, padding=padding, name="target")(x)


def uneven(images: Any, padding: str) -> Any:
    """Strides of 3 and 2 side by side, which only meet at multiples of 6."""
    x = layers.Conv2D(4, 3, strides=3, padding=padding, activation="relu")(images)
    x = layers.MaxPooling2D(2, padding="same")(x)
    return layers.Conv2D(5, 3, padding="same", activation="relu", name="target")(x)


NETWORKS: dict[str, Callable[[Any, str], Any]] = {
    "strided": strided,
    "pooled": pooled,
    "uneven": uneven,
}


@pytest.fixture(params=[(41, 46), (48, 43)], ids=str)
def size(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["same", "valid"])
def padding(request: pytest.FixtureRequest) -> Any:
    return request.param


def network(name: str, size: tuple[int, int], padding: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    images = keras.Input((*size, 3))
    model = keras.Model(images, NETWORKS[name](images, padding))
    random = np.random.default_rng(0)
    for variable in model.variables:
        values = random.normal(size=variable.shape) * 0.4
        positive = variable.path.endswith(("variance", "gamma"))
        variable.assign(np.abs(values) + 0.2 if positive else values)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_every_unit_of_a_map_goes_back_on_its_window_as_on_the_whole_image(
    name: str, size: tuple[int, int], padding: str, assert_equal_up_to_rounding: Any
) -> None:
    model = network(name, size, padding)
    laid = lay_windows(flatten(model), "target", size)
    assert laid is not None
    assert np.all(laid.size < size)
    units = np.array(list(np.ndindex(*model.outputs[0].shape[1:3])), np.int32)
    image = np.random.default_rng(1).normal(size=(1, *size, 3)).astype(np.float32)
    images, features = np.repeat(image, len(units), axis=0), np.arange(len(units), dtype=np.int32)
    features %= 5
    for rules in ("deconvnet", "guided", "gradient"):
        net = Deconvnet(model, rules=rules)
        maps = net.reconstruct(images, "target", features, units)
        trace = net.trace(images, "target")
        signal = start_signal(trace.activation, tf.constant(features), tf.constant(units))
        whole = net.project(trace, signal)
        assert np.count_nonzero(np.abs(whole).max(axis=(1, 2, 3))) > len(units) / 8
        # Sums over windows of another size may be blocked otherwise: 4.5e-7 in METHOD.
        assert_equal_up_to_rounding(maps, whole, terms=256)


def test_a_unit_answers_to_its_window_as_to_the_whole_image(
    assert_equal_up_to_rounding: Any,
) -> None:
    model = network("strided", (48, 43), "same")
    net, laid = Deconvnet(model), lay_windows(flatten(model), "target", (48, 43))
    assert laid is not None
    image = np.random.default_rng(1).normal(size=(1, 48, 43, 3)).astype(np.float32)
    corners, units = laid.place(np.array([[5, 5]], np.int32))
    window = keras.Input((*(int(side) for side in laid.size), 3))
    small = keras.Model(window, NETWORKS["strided"](window, "same"))
    small.set_weights(model.get_weights())
    crop = laid.cut(image, corners)
    here = Deconvnet(small).trace(crop, "target").activation.numpy()[0]
    there = net.trace(image, "target").activation.numpy()[0]
    assert_equal_up_to_rounding(here[tuple(units[0])], there[5, 5], terms=256)


@pytest.mark.parametrize("start", ["activation", "one"])
def test_the_strongest_unit_is_that_of_the_whole_image(
    start: str, assert_equal_up_to_rounding: Any
) -> None:
    model = network("pooled", (48, 43), "same")
    net = Deconvnet(model)
    images = np.random.default_rng(2).normal(size=(3, 48, 43, 3)).astype(np.float32)
    plane = net.activation(images, "target")[..., 4]
    places = [np.unravel_index(one.argmax(), one.shape) for one in plane]
    by_hand = net.reconstruct(images, "target", 4, np.array(places, np.int32), start)
    strongest = net.reconstruct(images, "target", 4, "max", start)
    assert_equal_up_to_rounding(strongest, by_hand, terms=256)


def refuses(middle: Callable[[Any], Any]) -> Windows | None:
    images = keras.Input((48, 48, 3))
    x = middle(layers.Conv2D(4, 3, padding="same", activation="relu")(images))
    model = keras.Model(images, layers.Conv2D(4, 3, name="target")(x))
    return lay_windows(flatten(model), "target", (48, 48))


def test_no_window_is_laid_where_a_unit_may_see_the_whole_image() -> None:
    def excite(x: Any) -> Any:
        pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
        return layers.Add()([x, pooled])

    assert refuses(lambda x: x) is not None
    assert refuses(excite) is None
    assert refuses(lambda x: layers.Resizing(24, 24)(x)) is None
    assert refuses(lambda x: layers.UpSampling2D(2)(layers.MaxPooling2D(4)(x))) is None


def test_the_classic_rule_which_paints_everywhere_takes_the_whole_image(
    assert_equal_up_to_rounding: Any,
) -> None:
    model = network("pooled", (41, 46), "same")
    net = Deconvnet(model, rules="classic")
    image = np.random.default_rng(1).normal(size=(1, 41, 46, 3)).astype(np.float32)
    trace = net.trace(image, "target")
    unit = np.array([[3, 3]], np.int32)
    signal = start_signal(trace.activation, tf.constant([2]), tf.constant(unit))
    maps = net.reconstruct(image, "target", 2, (3, 3))
    assert_equal_up_to_rounding(maps, net.project(trace, signal), terms=256)
    assert maps[0, -1, -1].any()

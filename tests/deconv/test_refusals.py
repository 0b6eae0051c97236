"""What cannot be done is refused in a plain sentence, and the caller's model is never changed."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import deconvviz
from deconvviz.errors import DeconvvizError, UnsupportedLayerError

LAYERS = ("conv1", "pool1", "conv2", "pool2", "conv3", "pool3", "softmax")


@contextmanager
def refused(*words: str, error: type[DeconvvizError] = DeconvvizError) -> Iterator[Any]:
    """Expect a plain sentence that holds all the words."""
    with pytest.raises(error) as caught:
        yield caught
    text = str(caught.value)
    assert text.endswith("."), text
    assert "\n" not in text
    assert "Traceback" not in text
    for word in words:
        assert word.lower() in text.lower(), (word, text)


@pytest.fixture
def member(zoo: Any) -> Any:
    return zoo("classic")


@pytest.fixture
def net(member: Any) -> Any:
    return deconvviz.Deconvnet(member.model)


# --- arguments --------------------------------------------------------------------------------


def test_an_unknown_layer_is_refused_with_the_layers_there_are(net: Any, member: Any) -> None:
    with refused("conv9", *LAYERS[:5]):
        net.reconstruct(member.images, "conv9")
    with refused("conv9", *LAYERS[:5]):
        net.trace(member.images, "conv9")


@pytest.mark.parametrize("feature", [5, 999, -1, np.array([0, 5, 1]), np.array([-1, 0, 0])])
def test_a_feature_that_the_layer_lacks_is_refused(feature: Any, net: Any, member: Any) -> None:
    wrong = str(feature if isinstance(feature, int) else feature[np.argmax(np.abs(feature))])
    with refused(wrong, "pool2"):
        net.reconstruct(member.images, "pool2", feature=feature)


@pytest.mark.parametrize(
    "feature", [1.5, "two", np.array([0, 1]), np.array([[0, 1, 2]]), np.array([0.0, 1.0, 2.0])]
)
def test_a_feature_that_is_no_index_or_one_an_image_is_refused(
    feature: Any, net: Any, member: Any
) -> None:
    with refused("feature"):
        net.reconstruct(member.images, "pool2", feature=feature)


@pytest.mark.parametrize(
    "at",
    [
        (3, 0),
        (0, 3),
        (-1, 0),
        (99, 99),
        np.array([[0, 0], [1, 3], [2, 2]]),
    ],
)
def test_a_place_outside_the_map_is_refused_with_the_maps_size(
    at: Any, net: Any, member: Any
) -> None:
    with refused("3", "pool2"):
        net.reconstruct(member.images, "pool2", feature=0, at=at)


@pytest.mark.parametrize(
    "at",
    [
        "min",
        2,
        (1,),
        (0, 1, 2),
        (0.5, 1.0),
        np.zeros((2, 2), int),
        np.zeros((3, 3), int),
    ],
)
def test_a_place_that_is_no_row_and_column_is_refused(at: Any, net: Any, member: Any) -> None:
    with refused("at"):
        net.reconstruct(member.images, "pool2", feature=0, at=at)


def test_a_place_in_no_feature_map_is_refused(net: Any, member: Any) -> None:
    with refused("feature"):
        net.reconstruct(member.images, "pool2", at="max")


def test_a_place_in_a_layer_without_places_is_refused(zoo: Any) -> None:
    member = zoo("dense")
    for at in ((0, 0), "max"):
        with refused("hidden"):
            deconvviz.Deconvnet(member.model).reconstruct(member.images, "hidden", 0, at=at)


def test_a_start_that_is_neither_activation_nor_one_is_refused(net: Any, member: Any) -> None:
    with refused("two", "activation", "one"):
        net.reconstruct(member.images, "pool2", feature=0, start="two")


def test_unknown_rules_are_refused_with_the_rules_there_are(member: Any) -> None:
    with refused("magic", "deconvnet", "classic", "guided", "gradient"):
        deconvviz.Deconvnet(member.model, rules="magic").reconstruct(member.images, "pool2")


@pytest.mark.parametrize(
    "shape",
    [(12, 12, 3), (3, 12, 12), (3, 12, 12, 1), (3, 13, 12, 3), (3, 3, 12, 12), (3, 12, 12, 3, 1)],
    ids=str,
)
def test_images_of_another_shape_are_refused_with_the_networks(
    shape: tuple[int, ...], net: Any
) -> None:
    with refused("12", *(str(size) for size in shape)):
        net.reconstruct(np.zeros(shape, np.float32), "pool2")


@pytest.mark.parametrize("images", ["cat.png", None, [["a"]]])
def test_what_is_no_array_of_numbers_is_refused(images: Any, net: Any) -> None:
    with refused("images"):
        net.reconstruct(images, "pool2")


def test_no_images_give_no_maps_or_a_refusal_but_never_a_crash(net: Any) -> None:
    try:
        maps = net.reconstruct(np.zeros((0, 12, 12, 3), np.float32), "pool2", feature=0, at="max")
    except DeconvvizError as error:
        assert "0" in str(error) or "no image" in str(error).lower()  # noqa: PT017
    else:
        assert maps.shape == (0, 12, 12, 3)


@pytest.mark.parametrize("shape", [(3, 3, 3, 4), (2, 3, 3, 5), (3, 3, 5)])
def test_a_start_signal_of_another_shape_is_refused(
    shape: tuple[int, ...], net: Any, member: Any
) -> None:
    trace = net.trace(member.images, "pool2")
    with refused("3, 3, 5"):
        net.project(trace, np.zeros(shape, np.float32))


# --- numbers that are none --------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_layer_whose_answers_are_not_finite_is_named(value: float, zoo: Any) -> None:
    model = keras.models.clone_model(zoo("classic").model)
    kernel, bias = model.get_layer("conv2").get_weights()
    kernel[0, 0, 0, 0] = value
    model.get_layer("conv2").set_weights([kernel, bias])
    with refused("conv2") as caught:
        deconvviz.Deconvnet(model).reconstruct(zoo("classic").images, "conv3")
    assert not {"conv3", "pool1", "pool2"} & set(re.findall(r"\w+", str(caught.value)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_are_refused(value: float, net: Any, member: Any) -> None:
    images = member.images.copy()
    images[1, 2, 3, 0] = value
    with refused():
        net.reconstruct(images, "pool2")


# --- layers the rules do not define -----------------------------------------------------------


class Doubled(keras.layers.Conv2D):
    """Looks like a convolution and computes something else."""

    def call(self, inputs: Any) -> Any:
        return 2 * super().call(inputs) ** 2


def bends() -> dict[str, tuple[Any, str]]:
    """Give layers named bend that are no ReLU, and the word that must name what they are."""
    layers = keras.layers
    same = {"padding": "same", "name": "bend"}
    return {
        "ELU fused": (layers.Conv2D(4, 3, activation="elu", **same), "elu"),
        "ELU": (layers.ELU(name="bend"), "ELU"),
        "LeakyReLU": (layers.LeakyReLU(name="bend"), "LeakyReLU"),
        "ReLU that leaks": (layers.ReLU(negative_slope=0.1, name="bend"), "negative_slope=0.1"),
        "a child of Conv2D": (Doubled(4, 3, **same), "Doubled"),
    }


def network(*middle: Any, above: tuple[Any, ...] = ()) -> keras.Model:
    keras.utils.set_random_seed(0)
    first = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1")
    pool = keras.layers.MaxPooling2D(2, padding="same", name="pool1")
    return keras.Sequential([keras.Input((8, 8, 3)), first, *middle, pool, *above])


IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize("rules", ["deconvnet", "guided"])
@pytest.mark.parametrize("bend", bends())
def test_what_the_rules_do_not_define_is_refused_by_path_and_class(bend: str, rules: str) -> None:
    layer, kind = bends()[bend]
    with refused("bend", kind, error=UnsupportedLayerError):
        deconvviz.Deconvnet(network(layer), rules=rules).reconstruct(IMAGES, "pool1")


@pytest.mark.parametrize("bend", bends())
def test_the_gradient_rule_takes_all_that_tensorflow_differentiates(
    bend: str, reference: Any
) -> None:
    model = network(bends()[bend][0])
    pixels = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        half_square = tf.reduce_sum(model(pixels, training=False) ** 2) / 2
    expected = tape.gradient(half_square, pixels).numpy()
    maps = deconvviz.Deconvnet(model, rules="gradient").reconstruct(IMAGES, "pool1")
    assert reference.distance(maps, expected) < 2e-6


@pytest.mark.parametrize("rules", ["deconvnet", "guided"])
def test_an_elu_above_the_target_is_no_concern(rules: str, reference: Any) -> None:
    model = network(above=(keras.layers.ELU(name="bend"),))
    maps = deconvviz.Deconvnet(model, rules=rules).reconstruct(IMAGES, "pool1")
    signal = reference.activation(model, IMAGES, "pool1")
    expected = reference.by_tape(model, IMAGES, "pool1", signal, rules)
    assert reference.distance(maps, expected) < 2e-6


@pytest.mark.parametrize("rules", ["deconvnet", "guided", "classic"])
def test_a_softmax_is_never_reversed(rules: str, net: Any, member: Any) -> None:
    with refused("softmax", error=UnsupportedLayerError):
        deconvviz.Deconvnet(member.model, rules=rules).reconstruct(member.images, "softmax")


# --- the caller's model -----------------------------------------------------------------------


def state(model: keras.Model) -> dict[str, Any]:
    return {
        "config": json.dumps(model.get_config(), sort_keys=True, default=str),
        "weights": [weight.tobytes() for weight in model.get_weights()],
        "objects": [(id(layer), id(getattr(layer, "activation", None))) for layer in model.layers],
        "nodes": [len(layer._inbound_nodes) for layer in model.layers],
        "trainable": [layer.trainable for layer in model.layers],
        "calls": ["call" in vars(layer) for layer in model.layers],
    }


@pytest.mark.parametrize("rules", ["deconvnet", "classic", "guided", "gradient"])
def test_the_callers_model_is_the_same_afterwards(rules: str, member: Any) -> None:
    before, answers = state(member.model), member.model.predict(member.images, verbose=0)
    net = deconvviz.Deconvnet(member.model, rules=rules)
    net.reconstruct(member.images, "pool2", feature=0, at="max")
    net.project(net.trace(member.images, "conv1"), np.zeros((3, 12, 12, 6), np.float32))
    assert state(member.model) == before
    np.testing.assert_array_equal(member.model.predict(member.images, verbose=0), answers)


FAILURES: dict[str, Callable[[Any, Any], Any]] = {
    "layer": lambda net, images: net.reconstruct(images, "nowhere"),
    "feature": lambda net, images: net.reconstruct(images, "pool2", feature=99),
    "numbers": lambda net, images: net.reconstruct(images * np.nan, "pool2"),
    "softmax": lambda net, images: net.reconstruct(images, "softmax"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_the_callers_model_is_the_same_after_a_refusal(
    failure: Callable[[Any, Any], Any], member: Any
) -> None:
    before = state(member.model)
    net = deconvviz.Deconvnet(member.model)
    expected = net.reconstruct(member.images, "pool2")
    with pytest.raises(DeconvvizError):
        failure(net, member.images)
    assert state(member.model) == before
    np.testing.assert_array_equal(net.reconstruct(member.images, "pool2"), expected)


def test_weights_that_changed_since_are_the_ones_that_are_used(zoo: Any, reference: Any) -> None:
    """Training pictures come from one Deconvnet over a model whose weights move on."""
    images = zoo("classic").images
    model = keras.models.clone_model(zoo("classic").model)
    model.set_weights(zoo("classic").model.get_weights())
    for rules in ("deconvnet", "classic"):
        net = deconvviz.Deconvnet(model, rules=rules)
        first = net.reconstruct(images, "pool2")
        model.set_weights([-0.5 * weight for weight in model.get_weights()])
        second = net.reconstruct(images, "pool2")
        signal = reference.activation(model, images, "pool2")
        expected = reference.by_hand(model, images, "pool2", signal, rules)
        assert reference.distance(second, expected) < 2e-6
        assert reference.distance(first, expected) > 0.05


@pytest.mark.parametrize("model", [None, "model.keras"])
def test_what_is_no_model_is_refused_with_what_it_is(model: Any) -> None:
    with pytest.raises(deconvviz.DeconvvizError, match=f"received {type(model).__name__}"):
        deconvviz.Deconvnet(model)


def test_switches_that_do_not_fit_are_refused_by_their_pool(net: Any, member: Any) -> None:
    layer = "pool2"
    traced = net.trace(member.images, layer)
    path = next(iter(traced.switches))
    for switches in ({}, {**traced.switches, path: traced.switches[path][:1]}):
        foreign = dataclasses.replace(traced, switches=switches)
        with pytest.raises(deconvviz.DeconvvizError, match=f"switches of layer '{path}'"):
            net.project(foreign, traced.activation)


def test_a_pool_that_pools_in_a_way_of_its_own_is_not_taken_for_a_max_pool() -> None:
    class Doubled(keras.layers.MaxPooling2D):
        def call(self, inputs: Any) -> Any:
            return 2 * super().call(inputs)

    images = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((6, 6, 3)), Doubled(2, name="own")])
    with pytest.raises(deconvviz.UnsupportedLayerError, match="'own', Doubled"):
        deconvviz.Deconvnet(model).reconstruct(images, "own")
    net = deconvviz.Deconvnet(model, rules="gradient")
    traced = net.trace(images, "own")
    assert np.array_equal(traced.activation, model(images))
    assert not traced.switches
    plain = deconvviz.Deconvnet(
        keras.Sequential([keras.Input((6, 6, 3)), keras.layers.MaxPooling2D(2, name="own")])
    )
    ours, half = (each.reconstruct(images, "own", start="one") for each in (net, plain))
    assert np.array_equal(ours, 2 * half)


def test_a_pool_with_the_channels_first_is_refused() -> None:
    images = np.zeros((1, 3, 6, 6), np.float32)
    pool = keras.layers.MaxPooling2D(2, data_format="channels_first", name="first")
    net = deconvviz.Deconvnet(keras.Sequential([keras.Input((3, 6, 6)), pool]))
    with pytest.raises(deconvviz.UnsupportedLayerError, match="channels_last"):
        net.reconstruct(images, "first")


def test_a_layer_that_was_called_to_train_runs_as_predict_runs_it() -> None:
    images = keras.Input((6, 6, 3))
    dropped = keras.layers.Dropout(0.5, name="always")(images, training=True)
    model = keras.Model(images, dropped)
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 3)).astype(np.float32)
    traced = deconvviz.Deconvnet(model).trace(x, "always")
    np.testing.assert_array_equal(traced.activation, model.predict(x, verbose=0))

"""One forward pass serves all that is asked of it, and is compiled once."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deconvviz import Deconvnet
from deconvviz.deconv import compiled
from deconvviz.deconv.graph import flatten
from deconvviz.deconv.trace import run_forward, sound
from deconvviz.errors import DataError, DeconvvizError

layers = keras.layers
TERMS = 2 * (5 * 5 * 3 + 3 * 3 * 8)  # of the two convolutions, there and back


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            layers.Input((16, 18, 3)),
            layers.Conv2D(8, 5, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(),
            layers.Dense(5, name="dense"),
        ]
    )


@pytest.fixture(scope="module")
def images() -> Any:
    return np.random.default_rng(0).normal(size=(7, 16, 18, 3)).astype(np.float32)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The layers of each forward pass that was compiled since."""
    compiled_since: list[list[str]] = []

    def noted(graph: Any, inputs: Any, targets: Any, calls: Any) -> Any:
        compiled_since.append([step.path for step in graph.below(*targets)])
        return run_forward(graph, inputs, targets, calls)

    monkeypatch.setattr(compiled, "run_forward", noted)
    return compiled_since


def test_several_layers_give_each_what_it_gives_alone(
    model: keras.Model, images: Any, assert_equal_up_to_rounding: Any
) -> None:
    net = Deconvnet(model)
    for asked in ({}, {"feature": 3}, {"feature": 3, "at": "max"}, {"feature": 2, "at": (1, 2)}):
        together = net.reconstruct(images, ["pool1", "conv2"], **asked)
        assert list(together) == ["pool1", "conv2"]
        for layer, maps in together.items():
            assert_equal_up_to_rounding(maps, net.reconstruct(images, layer, **asked), TERMS)


def test_one_image_and_many_features_give_a_map_each(
    model: keras.Model, images: Any, assert_equal_up_to_rounding: Any
) -> None:
    net, features = Deconvnet(model), np.array([5, 0, 3])
    several = np.repeat(images[:1], 3, axis=0)
    at = np.array([[0, 1], [2, 2], [3, 1]])
    for layer in ("conv2", "pool2"):
        for place in (None, "max", at):
            maps = net.reconstruct(images[:1], layer, features, place)
            there = net.reconstruct(several, layer, features, place)
            assert maps.shape == (3, 16, 18, 3)
            assert_equal_up_to_rounding(maps, there, TERMS)
            assert np.abs(maps).max(axis=(1, 2, 3)).any()


def test_one_forward_pass_serves_all_layers_and_images(
    model: keras.Model, images: Any, passes: list[list[str]]
) -> None:
    net = Deconvnet(model)
    net.reconstruct(images, ["pool1", "conv2", "pool2"], feature=[0, 1, 2, 3, 4, 5, 0])
    below = ["conv1", "conv1", "pool1", "conv2", "conv2", "pool2"]  # an activation is a step
    assert passes == [below]
    net.activations(images, ["conv1", "pool2"])
    assert passes == [below, below]
    net.strongest(images, ["conv2", "conv1"])
    assert passes == [below, below, below[:-1]]


def test_a_question_is_compiled_once_whatever_the_number_of_images(
    model: keras.Model, images: Any, passes: list[list[str]]
) -> None:
    net = Deconvnet(model)
    for count in (3, 7, 1, 5):
        net.reconstruct(images[:count], "conv2")
    assert len(passes) == 1
    for features in ([0, 1], [5, 4, 3]):
        net.reconstruct(images[:1], "conv2", features)
    assert len(passes) == 2


def test_many_batches_side_by_side_give_each_image_its_own_in_order(
    model: keras.Model,
    images: Any,
    passes: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    assert_equal_up_to_rounding: Any,
) -> None:
    features, net = np.array([0, 5, 2, 1, 4, 3, 0]), Deconvnet(model)
    whole, one_each = net.reconstruct(images, "conv2"), net.reconstruct(images, "conv2", features)
    monkeypatch.setattr(compiled, "_BATCH", 2)
    passes.clear()
    cut = Deconvnet(model)
    assert_equal_up_to_rounding(cut.reconstruct(images, "conv2"), whole, TERMS)
    assert_equal_up_to_rounding(cut.reconstruct(images, "conv2", features), one_each, TERMS)
    assert len(passes) == 2  # no batch compiles what another has


def test_a_batch_that_breaks_is_told_of_whichever_it_is(
    model: keras.Model, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_BATCH", 2)
    broken = images.copy()
    broken[5, 3, 3, 0] = np.inf
    with pytest.raises(DataError, match="'conv1' gives values that are not finite"):
        Deconvnet(model).reconstruct(broken, "conv2")


def test_activations_of_several_layers_are_the_models(
    model: keras.Model, images: Any, assert_equal_up_to_rounding: Any
) -> None:
    net = Deconvnet(model)
    given = net.activations(images, ["pool2", "conv1", "dense", "pool2"])
    assert list(given) == ["pool2", "conv1", "dense"]
    for layer, output in given.items():
        there = keras.Model(model.inputs[0], model.get_layer(layer).output)(images)
        assert_equal_up_to_rounding(output, there, TERMS)
        assert_equal_up_to_rounding(output, net.activation(images, layer), TERMS)
        assert output.dtype == np.float32


def test_peaks_are_the_maxima_of_each_map_and_where_they_stand_first(
    model: keras.Model, images: Any, assert_equal_up_to_rounding: Any
) -> None:
    net = Deconvnet(model)
    maps = net.activations(images, ["conv1", "conv2", "dense"])
    peaks = net.strongest(images, ["conv1", "conv2", "dense"])
    for layer in ("conv1", "conv2"):
        assert_equal_up_to_rounding(peaks[layer].value, maps[layer].max(axis=(1, 2)), TERMS)
        image, feature = np.nonzero(np.ones_like(peaks[layer].value))
        places = peaks[layer].places(image, feature)
        height, width = maps[layer].shape[1:3]
        # numpy's argmax takes the first of equal ones too; a dead map is all equal.
        first = maps[layer].reshape(len(images), height * width, -1).argmax(axis=1)
        np.testing.assert_array_equal(places[:, 0] * width + places[:, 1], first.reshape(-1))
        assert places.dtype == np.int32
    assert_equal_up_to_rounding(peaks["dense"].value, maps["dense"], TERMS)
    assert (peaks["dense"].places(np.array([0, 1]), np.array([2, 3])) == -1).all()


def test_no_peak_is_found_where_there_are_no_feature_maps() -> None:
    inputs = keras.Input((6, 4))
    net = Deconvnet(keras.Model(inputs, layers.Dense(3, name="rows")(inputs)))
    with pytest.raises(DeconvvizError, match=r"'rows' gives \[6, 3\]"):
        net.strongest(np.ones((1, 6, 4), np.float32), ["rows"])


@pytest.mark.parametrize("ask", ["reconstruct", "activations", "strongest"])
def test_a_broken_weight_is_named_though_a_relu_may_swallow_what_it_makes(ask: str) -> None:
    model = keras.Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2"),
        ]
    )
    kernel = model.get_layer("conv1").kernel
    kernel.assign(np.where(np.arange(8) == 5, np.nan, kernel.numpy()))
    model.get_layer("conv2").kernel.assign(np.zeros((3, 3, 8, 4)))
    images = np.ones((2, 16, 16, 3), np.float32)
    asked: Any = "conv2" if ask == "reconstruct" else ["conv2"]
    with pytest.raises(DataError, match="'conv1' gives values that are not finite"):
        getattr(Deconvnet(model), ask)(images, asked)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nothing_that_could_be_swallowed_goes_unseen(number: float) -> None:
    """Some of TensorFlow's fused convolutions rectify a NaN to 0, and a max pool skips it."""
    model = keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(4, 3, padding="same", name="conv2"),
            layers.MaxPooling2D(2, name="pool"),
        ]
    )
    graph, images = flatten(model), tf.ones((1, 8, 8, 3))
    target = graph.targets["pool"]
    values, _ = run_forward(graph, (images,), (target,), calls={})
    weights = [tf.convert_to_tensor(variable.value) for variable in model.variables]
    assert sound(graph, [target], values, weights)
    broken = tf.fill([1, 8, 8, 4], np.float32(number))
    for path in ("conv1", "conv2", "pool"):
        assert not sound(graph, [target], {**values, graph.targets[path]: broken}, weights)
    assert not sound(graph, [target], {**values, graph.inputs[0]: broken}, weights)
    for place in range(len(weights)):
        there = [*weights[:place], broken, *weights[place + 1 :]]
        assert not sound(graph, [target], values, there)


def test_batches_are_cut_by_what_the_activations_take(model: keras.Model) -> None:
    net = Deconvnet(model)
    cut = list(net.batches(np.empty((300, 16, 18, 3), np.float32), ["pool2"]))
    assert [one.start for one in cut] == [0, 128, 256]
    with pytest.raises(DataError, match="takes images of shape"):
        net.batches(np.empty((300, 16, 18), np.float32), ["pool2"])
    with pytest.raises(DeconvvizError, match="no layer 'pool3'"):
        net.batches(np.empty((300, 16, 18, 3), np.float32), ["pool3"])
    wide = keras.Input((512, 512, 3))
    large = Deconvnet(keras.Model(wide, layers.Conv2D(64, 3, padding="same", name="c")(wide)))
    images = np.broadcast_to(np.float32(0), (20, 512, 512, 3))
    sizes = {one.stop - one.start for one in large.batches(images, ["c"])}
    assert sizes == {2**28 // (4 * 512 * 512 * 64)}


def test_weights_that_change_are_seen_by_the_compiled_function(images: Any) -> None:
    model = keras.Sequential([layers.Input((16, 18, 3)), layers.Conv2D(2, 3, name="conv")])
    net = Deconvnet(model)
    before = net.reconstruct(images, "conv", 0)
    model.get_layer("conv").kernel.assign(tf.zeros((3, 3, 3, 2)))
    assert np.abs(before).max() > 0
    assert np.abs(net.reconstruct(images, "conv", 0)).max() == 0

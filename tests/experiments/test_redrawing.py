"""Weights drawn anew: which, how large, and that the model itself keeps its own."""

import keras
import numpy as np
import pytest

import deconvviz
from deconvviz.errors import DeconvvizError
from deconvviz.experiments.redrawing import Redrawn, drawn_like


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            keras.layers.Conv2D(6, 3, padding="same", name="deep"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
        ],
        name="block",
    )
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Normalization(mean=0.5, variance=2.0, name="scale"),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first"),
            inner,
            keras.layers.MaxPooling2D(2, name="pool"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(5, name="above"),
        ]
    )


def weights(model: keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model._flatten_layers(include_self=False)}


def changed(model: keras.Model, before: dict[str, list[np.ndarray]]) -> set[str]:
    after = weights(model)
    return {
        name
        for name in ("scale", "first", "deep", "norm", "above")
        if any((a != b).any() for a, b in zip(after[name], before[name], strict=True))
    }


def test_layers_come_from_the_target_down_and_what_lies_above_is_left_out(
    model: keras.Model,
) -> None:
    assert Redrawn(model, "pool").layers == ("block/deep", "first")
    assert Redrawn(model, "first").layers == ("first",)


def test_batch_normalisation_without_a_filter_below_stands_alone() -> None:
    layers = [keras.layers.BatchNormalization(name="norm"), keras.layers.ReLU(name="relu")]
    model = keras.Sequential([keras.Input((4, 4, 3)), *layers])
    assert Redrawn(model, "relu").layers == ("norm",)


def test_only_the_chosen_layers_change_and_they_come_back(model: keras.Model) -> None:
    norm = model.get_layer("block").get_layer("norm")
    norm.set_weights([np.arange(6.0) + shift for shift in range(1, 5)])
    before, copy = weights(model), Redrawn(model, "pool")
    generator = np.random.default_rng(0)
    for layers, names in ((("block/deep",), {"deep", "norm"}), (("first",), {"first"})):
        copy.redraw(layers, generator)
        assert changed(copy.model, before) == names
        assert changed(model, before) == set()


def test_kernels_keep_their_size_and_vectors_their_values() -> None:
    generator = np.random.default_rng(0)
    kernel = 5 + generator.normal(size=(5, 5, 32, 32))
    drawn = np.asarray(drawn_like(kernel, generator))
    assert np.sqrt(np.mean(drawn**2)) == pytest.approx(np.sqrt(np.mean(kernel**2)), rel=0.02)
    assert abs(drawn.mean()) < 0.2
    variance = np.array([0.1, 3.0, 9.0, 2.0])
    shuffled = np.asarray(drawn_like(variance, generator))
    assert sorted(shuffled) == sorted(variance)


def test_a_deconvnet_over_the_copy_sees_each_drawing(model: keras.Model) -> None:
    x = np.random.default_rng(2).normal(size=(2, 8, 8, 3)).astype(np.float32)
    copy = Redrawn(model, "pool")
    net = deconvviz.Deconvnet(copy.model)
    trained = deconvviz.Deconvnet(model).reconstruct(x, "pool")
    assert np.array_equal(net.reconstruct(x, "pool"), trained)
    drawn = []
    for layers in (("block/deep",), ("first",), ()):
        copy.redraw(layers, np.random.default_rng(4))
        drawn.append(net.reconstruct(x, "pool"))
        # A Deconvnet made afresh knows nothing of earlier weights.
        assert np.allclose(drawn[-1], deconvviz.Deconvnet(copy.model).reconstruct(x, "pool"))
    assert not np.allclose(drawn[0], trained)
    assert not np.allclose(drawn[1], trained)
    assert np.array_equal(drawn[2], trained)


def test_a_target_without_weights_is_refused(model: keras.Model) -> None:
    with pytest.raises(DeconvvizError, match="no weights below"):
        Redrawn(model, "scale")


def test_a_model_that_cannot_be_copied_is_refused_in_words() -> None:
    class Odd(keras.layers.Layer):
        def __init__(self, secret: object) -> None:
            super().__init__()
            self.secret = secret

        def call(self, x: object) -> object:
            return x

    odd = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3), Odd(object())])
    with pytest.raises(DeconvvizError, match="cannot copy"):
        Redrawn(odd, "conv2d")

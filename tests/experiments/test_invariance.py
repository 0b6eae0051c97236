"""Distances that can be worked out by hand, and the probability of the right class."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.experiments.class_scores import require_classifier
from deconvviz.experiments.invariance import low_and_high, measure_invariance
from deconvviz.experiments.transforming import Transformation, transformed

DOWN = Transformation("vertical translation", "pixels", (-2.0, 0.0, 1.0, 3.0))
TURN = Transformation("rotation", "degrees", (0.0, 45.0, 90.0))
FILL = (0.3, -0.2, 0.0)


def network(softmax: bool = False) -> Deconvnet:
    """Each pixel by itself, then the mean over all, then three scores."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    return Deconvnet(
        keras.Sequential(
            [
                keras.Input((10, 10, 3)),
                layers.Conv2D(4, 1, bias_initializer="ones", name="pixels"),
                layers.GlobalAveragePooling2D(name="mean"),
                layers.Dense(3, activation="softmax" if softmax else None, name="scores"),
            ]
        )
    )


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 10, 10, 3)).astype(np.float32)


def by_hand(net: Deconvnet, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kernel, bias, last, last_bias = (weights.astype(float) for weights in net.model.get_weights())
    pixels = x.astype(float) @ kernel[0, 0] + bias
    mean = pixels.mean(axis=(1, 2))
    return pixels, mean, mean @ last + last_bias


def test_distances_and_probabilities_are_those_of_numpy(images: np.ndarray) -> None:
    net, labels = network(), [2, 0]
    record = measure_invariance(net, images, labels, ["pixels", "mean"], [DOWN, TURN], FILL)
    plain = by_hand(net, images)
    assert (record.layers, record.fill, record.softmax) == (("pixels", "mean"), FILL, True)
    norms = [[np.linalg.norm(one) for one in layer] for layer in plain[:2]]
    np.testing.assert_allclose(record.norm, norms, rtol=1e-5)
    for curves in record.curves:
        kind, amounts = curves.transformation.kind, curves.transformation.amounts
        assert curves.distance.shape == (2, 2, len(amounts))
        for place, amount in enumerate(amounts):
            moved = by_hand(net, transformed(images, kind, amount, FILL))
            for image, label in enumerate(labels):
                for layer in range(2):
                    expected = np.linalg.norm(moved[layer][image] - plain[layer][image])
                    got = curves.distance[layer, image, place]
                    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
                    relative = record.relative(curves)[layer, image, place]
                    np.testing.assert_allclose(relative, got / norms[layer][image], rtol=1e-5)
                scores = np.exp(moved[2][image])
                np.testing.assert_allclose(
                    curves.probability[image, place], scores[label] / scores.sum(), rtol=1e-4
                )


def test_the_image_as_it_is_has_distance_0_exactly(images: np.ndarray) -> None:
    record = measure_invariance(network(), images, [0, 1], ["pixels", "mean"])
    for curves, rest in zip(record.curves, (0, 1, 0), strict=True):
        still = curves.transformation.amounts.index(rest)
        assert (curves.distance[:, :, still] == 0).all()
        assert (np.delete(curves.distance[0], still, axis=1) > 0).all()


def test_a_global_mean_does_not_see_a_move_within_the_image() -> None:
    x = np.zeros((1, 10, 10, 3), np.float32)
    x[0, 4:6, 3:7] = np.random.default_rng(2).normal(size=(2, 4, 3))
    record = measure_invariance(network(), x, [0], ["pixels", "mean"], [DOWN])
    pixels, mean = record.curves[0].distance[:, 0]
    assert (pixels[[0, 2, 3]] > 0.1).all()
    assert (mean < 1e-6).all()
    assert np.ptp(record.curves[0].probability) < 1e-6


def test_a_softmax_at_the_end_is_taken_as_it_is(images: np.ndarray) -> None:
    logits, ended = network(), network(softmax=True)
    ended.model.set_weights(logits.model.get_weights())
    records = [measure_invariance(net, images, [1, 1], ["mean"], [DOWN]) for net in (logits, ended)]
    assert [record.softmax for record in records] == [True, False]
    first, second = (record.curves[0].probability for record in records)
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_without_labels_the_class_is_the_one_found_in_the_image_as_it_is(
    images: np.ndarray,
) -> None:
    net = network()
    record = measure_invariance(net, images, None, ["mean"], [DOWN])
    assert not record.true_classes
    assert record.classes.tolist() == by_hand(net, images)[2].argmax(axis=1).tolist()
    assert (record.curves[0].probability[:, 1] > 1 / 3).all()


def test_batches_change_nothing(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch, assert_equal_up_to_rounding: Any
) -> None:
    net = network()
    whole = measure_invariance(net, images, [0, 1], ["pixels"], [DOWN, TURN], FILL)

    def two_by_two(given: np.ndarray, layers: Any) -> Iterator[slice]:
        assert set(layers) == {"pixels", "scores"}
        return (slice(first, first + 2) for first in range(0, len(given), 2))

    monkeypatch.setattr(net, "batches", two_by_two)
    parts = measure_invariance(net, images, [0, 1], ["pixels"], [DOWN, TURN], FILL)
    for one, other in zip(whole.curves, parts.curves, strict=True):
        # Rounded in float32, though told in float64; the mean is over a hundred pixels.
        for here, there in ((one.distance, other.distance), (one.probability, other.probability)):
            assert_equal_up_to_rounding(here, there, terms=10 * 10, dtype=np.float32)


def test_the_network_itself_may_be_among_the_layers(images: np.ndarray) -> None:
    net = network()
    record = measure_invariance(net, images, [0, 1], ["scores"], [DOWN])
    assert record.curves[0].distance.shape == (1, 2, 4)


def test_low_and_high_are_the_first_layer_and_the_last_below_the_class_scores() -> None:
    import keras

    from deconvviz.config import ModelConfig
    from deconvviz.models.classic import classic_network

    classic = Deconvnet(classic_network(ModelConfig(), (24, 24, 3), 10))
    assert low_and_high(classic) == ("conv1", "pool2")
    assert low_and_high(network()) == ("pixels", "mean")
    only = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="scores")])
    with pytest.raises(DeconvvizError, match=r"no two layers.*scores"):
        low_and_high(Deconvnet(only))


def test_what_has_no_classes_and_a_class_that_does_not_exist_are_refused(
    images: np.ndarray,
) -> None:
    import keras

    with pytest.raises(DataError, match=r"classes 0 to 2.* is 7"):
        measure_invariance(network(), images, [0, 7], ["mean"])
    bare = keras.Sequential([keras.Input((10, 10, 3)), keras.layers.MaxPooling2D(name="pool")])
    with pytest.raises(DataError, match="one number for each"):
        require_classifier(Deconvnet(bare))
    with pytest.raises(DeconvvizError, match="nowhere"):
        measure_invariance(network(), images, [0, 1], ["nowhere"])

"""A unit that looks at one pixel alone: what covers, squares and noise must find."""

import keras
import numpy as np
import pytest

import deconvviz
from deconvviz.experiments.covering import Sizes, cover, strongest_part
from deconvviz.experiments.watched import Watched, watch


@pytest.fixture(scope="module")
def net() -> deconvviz.Deconvnet:
    """Two feature maps: the pixel itself, and nothing; each sees 5x5 pixels."""
    conv = keras.layers.Conv2D(2, 5, padding="same", activation="relu", name="conv")
    model = keras.Sequential([keras.Input((9, 9, 1)), conv])
    kernel = np.zeros((5, 5, 1, 2))
    kernel[2, 2, 0, 0] = 1
    conv.set_weights([kernel, np.zeros(2)])
    return deconvviz.Deconvnet(model, rules="gradient")


@pytest.fixture(scope="module")
def watched(net: deconvviz.Deconvnet) -> Watched:
    images = np.full((2, 9, 9, 1), -0.1, np.float32)
    images[[0, 1], [4, 3], [4, 5]] = 8  # 80 pixels of -0.1: the mean, which covers, is 0
    found = watch(net, images, "conv")
    assert found.place is not None
    assert found.place.tolist() == [[4, 4], [3, 5]]
    return found


def test_covering_where_the_unit_looks_silences_it_and_elsewhere_does_nothing(
    net: deconvviz.Deconvnet, watched: Watched
) -> None:
    right = (watched.images > 1).astype(np.float32)
    maps = {"right": right, "wrong": np.roll(right, 1, axis=1)}
    sizes = Sizes(share=1 / 25, square=0.2)
    found = cover(net, watched, maps, sizes, np.random.default_rng(1))
    # A shape may be moved onto its own place, or onto the right one: one place of 25.
    np.testing.assert_allclose(found["right"].drop, 1, atol=1e-6)
    np.testing.assert_allclose(found["wrong"].drop, 0, atol=1e-6)
    assert (found["right"].elsewhere <= 0.25).all()
    np.testing.assert_allclose(found["right"].occlusion, 1)
    np.testing.assert_allclose(found["wrong"].occlusion, -1 / 24)
    assert (found["right"].infidelity < 1e-5).all()
    assert (found["wrong"].infidelity > 0.5).all()


def test_nothing_outside_of_what_the_unit_sees_is_touched(
    net: deconvviz.Deconvnet, watched: Watched
) -> None:
    strong_outside = np.ones_like(watched.images)
    strong_outside[:, 2:7, 2:7] = 0
    strong_outside[0, 4, 4] = 0.5
    found = cover(net, watched, {"": strong_outside}, Sizes(share=1 / 25), np.random.default_rng(1))
    assert found[""].drop[0] == pytest.approx(1, abs=1e-6)


def test_the_strongest_part_is_rounded_up_and_takes_the_first_of_equals() -> None:
    strength = np.array([[3.0, 1.0, 3.0], [0.0, 5.0, 3.0]])
    assert strongest_part(strength, 0.3).tolist() == [[True, False, False], [False, True, False]]
    assert strongest_part(strength, 0.34).sum() == 3

"""Likenesses of maps whose answer is known, and the infidelity of formulas that are known."""

import numpy as np
import pytest
import tensorflow as tf

from deconvviz.experiments.similarity import METRICS, edges, infidelity, similarity

Array = np.ndarray


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def likeness(one: Array, other: Array) -> dict[str, float]:
    return dict(zip(METRICS, similarity(one, other), strict=True))


@pytest.mark.parametrize("side", [5, 16, 40])
def test_a_map_is_wholly_like_itself_whatever_its_scale(side: int) -> None:
    one = noise(side, side, 3)
    assert np.allclose(similarity(one, one), 1)
    assert np.allclose(similarity(one, 37 * one), 1)


def test_a_map_with_its_signs_turned_is_strong_in_the_same_places() -> None:
    one = noise(16, 16, 3)
    turned = likeness(one, -one)
    assert turned["spearman_abs"] == pytest.approx(1)
    assert turned["spearman"] == pytest.approx(-1)
    assert turned["cosine"] == pytest.approx(-1)


def test_two_maps_of_noise_are_not_alike() -> None:
    # The ranks of 64x64 independent values correlate by 1/64 at one deviation.
    apart = likeness(noise(64, 64, 3), noise(64, 64, 3, seed=1))
    assert abs(apart["spearman"]) < 5 / 64
    assert abs(apart["spearman_abs"]) < 5 / 64
    assert abs(apart["ssim"]) < 0.1


def test_ranks_are_those_of_sums_over_channels_and_equal_values_share_theirs() -> None:
    one = np.array([[1.0, -1.0], [2.0, 0.0], [0.0, 0.0], [3.0, 1.0]]).reshape(2, 2, 2)
    other = np.array([[5.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 9.0]]).reshape(2, 2, 2)
    # Sums 0, 2, 0, 4 and 5, 1, 0, 9; of |values| 2, 2, 0, 4: ranks by hand, ties at their mean.
    signed = np.corrcoef([1.5, 3, 1.5, 4], [3, 2, 1, 4])[0, 1]
    strength = np.corrcoef([2.5, 2.5, 1, 4], [3, 2, 1, 4])[0, 1]
    found = likeness(one, other)
    assert found["spearman"] == pytest.approx(signed)
    assert found["spearman_abs"] == pytest.approx(strength)


def test_what_is_empty_or_too_small_has_no_likeness() -> None:
    assert np.isnan(similarity(np.zeros((8, 8, 3)), noise(8, 8, 3))).all()
    small = likeness(noise(3, 3, 1), noise(3, 3, 1, seed=1))
    assert np.isnan([small["ssim"], small["hog"]]).all()
    assert not np.isnan([small["spearman"], small["cosine"]]).any()


def test_edges_are_where_brightness_changes() -> None:
    image = np.zeros((8, 8, 3))
    image[:, 4:] = 1
    strength = edges(image)[..., 0]
    assert (strength[:, 3:5] > 0).all()
    assert (strength[:, [0, 1, 2, 5, 6, 7]] == 0).all()


def test_a_linear_answer_is_wholly_foretold_by_its_weights_at_any_scale() -> None:
    weights, changes = noise(20), noise(50, 20, seed=1)
    came = changes @ weights
    assert infidelity(changes @ weights * -3, came) < 1e-20
    assert infidelity(np.zeros(50), came) == 1
    # Half of the variance belongs to weights that the map does not know.
    half = np.where(np.arange(20) < 10, weights, 0)
    said = changes @ half
    best = 1 - (said @ came) ** 2 / ((said @ said) * (came @ came))
    assert infidelity(said, came) == pytest.approx(best)
    assert np.isnan(infidelity(np.ones(3), np.zeros(3)))


def test_the_gradient_foretells_small_changes_and_the_rectified_ways_do_not() -> None:
    """Oracle: infidelity goes to 0 with the noise for the gradient alone (float64)."""
    random = np.random.default_rng(3)
    first, second = random.normal(size=(40, 30)), random.normal(size=(30, 20))
    top, x = random.normal(size=20), random.normal(size=40)

    def answer(inputs: Array) -> Array:
        return np.maximum(np.maximum(inputs @ first, 0) @ second, 0) @ top

    hidden = np.maximum(x @ first, 0)
    on, above = x @ first > 0, hidden @ second > 0
    gradient = first @ (on * (second @ (above * top)))
    deconvnet = first @ np.maximum(second @ np.maximum(top, 0), 0)
    guided = first @ (on * np.maximum(second @ (above * np.maximum(top, 0)), 0))
    tape_x = tf.Variable(x)
    with tf.GradientTape() as tape:
        middle = tf.nn.relu(tf.linalg.matvec(first.T, tape_x))
        out = tf.tensordot(tf.nn.relu(tf.linalg.matvec(second.T, middle)), top, 1)
    assert np.allclose(tape.gradient(out, tape_x), gradient)
    by_size = []
    for size in (1e-1, 1e-3, 1e-5):
        changes = size * random.normal(size=(200, 40))
        came = answer(x) - answer(x - changes)
        by_size.append(infidelity(changes @ gradient, came))
        for rectified in (deconvnet, guided):
            assert infidelity(changes @ rectified, came) > 0.3
    assert by_size[0] > by_size[1] >= by_size[2]
    assert by_size[2] < 1e-12

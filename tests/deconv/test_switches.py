"""Pooling that keeps its switches, and unpooling, against numpy and algebra.

Signals are whole numbers where sums could meet, so that every order of adding gives the same float
and equality can be exact.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

Array = np.ndarray
DISJOINT = [((2, 2), (2, 2)), ((3, 3), (3, 3)), ((2, 3), (2, 3)), ((2, 2), (3, 3))]
OVERLAPPING = [((3, 3), (2, 2)), ((3, 3), (1, 1)), ((2, 3), (1, 2)), ((4, 4), (2, 2))]


@st.composite
def poolings(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, int], tuple[int, int], str]:
    """Draw an input shape, a window, strides and a padding that go together."""
    padding = draw(st.sampled_from(["same", "valid"]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    limit = (4, 4) if padding == "same" else (min(4, height), min(4, width))
    window = (draw(st.integers(1, limit[0])), draw(st.integers(1, limit[1])))
    strides = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    shape = (draw(st.integers(1, 3)), height, width, draw(st.integers(1, 3)))
    return shape, window, strides, padding


def whole_numbers(seed: int, shape: tuple[int, ...], low: int = -3, high: int = 3) -> Array:
    """Give a few small whole numbers, so that ties are everywhere."""
    return np.random.default_rng(seed).integers(low, high + 1, shape).astype(np.float32)


def noise(seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pool(x: Array, window: Any = (2, 2), strides: Any = (2, 2), padding: str = "same") -> Any:
    from deconvviz.deconv.switches import max_pool_with_switches

    pooled, switches = max_pool_with_switches(
        tf.constant(x), pool_size=window, strides=strides, padding=padding
    )
    return pooled.numpy(), switches.numpy()


def unpool(signal: Array, switches: Array, height_width: tuple[int, int]) -> Array:
    from deconvviz.deconv import switches as room

    back = room.unpool(tf.constant(signal), tf.constant(switches), height_width=height_width)
    return back.numpy()


@settings(max_examples=120, deadline=None)
@given(poolings(), st.integers(0, 2**31))
def test_pooling_gives_the_first_largest_of_every_window_and_where_it_stood(
    reference: Any, drawn: Any, seed: int
) -> None:
    shape, window, strides, padding = drawn
    x = whole_numbers(seed, shape)
    pooled, switches = pool(x, window, strides, padding)
    expected, places = reference.pool(x, window, strides, padding)
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(switches, reference.flat_switches(places, shape[2]))


@settings(max_examples=120, deadline=None)
@given(poolings(), st.integers(0, 2**31))
def test_unpooling_adds_each_value_where_its_switch_points(
    reference: Any, drawn: Any, seed: int
) -> None:
    shape, window, strides, padding = drawn
    pooled, switches = pool(whole_numbers(seed, shape), window, strides, padding)
    _, places = reference.pool(whole_numbers(seed, shape), window, strides, padding)
    signal = whole_numbers(seed + 1, pooled.shape, -99, 99)
    np.testing.assert_array_equal(
        unpool(signal, switches, shape[1:3]), reference.unpool(signal, places, shape[1:3])
    )


def test_two_by_two_with_stride_two_and_same_padding_is_the_default() -> None:
    from deconvviz.deconv.switches import max_pool_with_switches

    x = noise(0, (2, 5, 5, 3))
    pooled, switches = max_pool_with_switches(tf.constant(x))
    expected, places = pool(x, (2, 2), (2, 2), "same")
    np.testing.assert_array_equal(pooled.numpy(), expected)
    np.testing.assert_array_equal(switches.numpy(), places)
    assert switches.dtype == tf.int64


def test_switches_count_from_the_start_of_their_own_image() -> None:
    x = noise(1, (1, 4, 6, 2))
    _, once = pool(x)
    _, thrice = pool(np.concatenate([x, x, x]))
    for image in range(3):
        np.testing.assert_array_equal(thrice[image], once[0])


def test_a_worked_example_keeps_and_restores_the_four_largest() -> None:
    x = np.array([[1, 2, 0, 8], [3, 4, 7, 6], [9, 1, 5, 5], [2, 1, 5, 5]], np.float32)
    pooled, switches = pool(x.reshape(1, 4, 4, 1))
    assert pooled.ravel().tolist() == [4, 8, 9, 5]
    assert switches.ravel().tolist() == [5, 3, 8, 10]
    kept = unpool(pooled, switches, (4, 4)).reshape(4, 4)
    assert kept.tolist() == [[0, 0, 0, 8], [0, 4, 0, 0], [9, 0, 5, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("window", [2, 3, 4])
def test_padding_never_wins_even_when_every_value_is_negative(window: int, reference: Any) -> None:
    x = whole_numbers(2, (2, 5, 7, 3), -9, -1)
    pooled, switches = pool(x, (window, window), (2, 2), "same")
    assert pooled.max() < 0
    assert switches.min() >= 0
    assert switches.max() < 5 * 7 * 3
    np.testing.assert_array_equal(reference.gather(x, switches), pooled)


def test_of_equal_values_the_first_in_reading_order_wins() -> None:
    x = np.zeros((1, 4, 4, 2), np.float32)
    _, switches = pool(x, (3, 3), (1, 1), "valid")
    for i, j in np.ndindex(2, 2):
        first = i * 4 + j
        assert switches[0, i, j].tolist() == [first * 2, first * 2 + 1]


@pytest.mark.parametrize(("window", "strides"), DISJOINT)
def test_pooling_the_unpooled_gives_a_non_negative_signal_back(window: Any, strides: Any) -> None:
    pooled, switches = pool(noise(3, (2, 9, 11, 3)), window, strides)
    signal = np.abs(noise(4, pooled.shape))
    again, _ = pool(unpool(signal, switches, (9, 11)), window, strides)
    np.testing.assert_array_equal(again, signal)


def test_pooling_the_unpooled_loses_a_negative_signal_to_the_zeros_beside_it() -> None:
    pooled, switches = pool(noise(3, (2, 8, 8, 3)))
    signal = -np.abs(noise(4, pooled.shape))
    again, _ = pool(unpool(signal, switches, (8, 8)))
    np.testing.assert_array_equal(again, np.zeros_like(signal))


@pytest.mark.parametrize(("window", "strides"), DISJOINT)
def test_pooling_and_unpooling_keeps_maxima_and_changes_nothing_more_the_second_time(
    window: Any, strides: Any
) -> None:
    def through(x: Array) -> Array:
        pooled, switches = pool(x, window, strides)
        return unpool(pooled, switches, x.shape[1:3])

    x = np.maximum(noise(5, (2, 9, 11, 3)), 0)
    once = through(x)
    assert 0 < np.count_nonzero(once) < np.count_nonzero(x)
    assert (once <= x).all()
    np.testing.assert_array_equal(once[once != 0], x[once != 0])
    np.testing.assert_array_equal(through(once), once)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("window", "strides"), DISJOINT + OVERLAPPING)
def test_the_transpose_of_unpooling_reads_at_the_switches(
    window: Any, strides: Any, padding: str, reference: Any
) -> None:
    x = noise(6, (2, 9, 11, 3))
    pooled, switches = pool(x, window, strides, padding)
    signal = whole_numbers(7, pooled.shape, -9, 9)
    other = whole_numbers(8, x.shape, -9, 9)
    there = np.vdot(unpool(signal, switches, (9, 11)), other)
    assert there == np.vdot(signal, reference.gather(other, switches))
    assert there != 0


@pytest.mark.parametrize("rectified", [False, True], ids=["noise", "with dead windows"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("window", "strides"), DISJOINT + OVERLAPPING)
def test_unpooling_is_the_gradient_of_max_pooling(
    window: Any, strides: Any, padding: str, rectified: bool
) -> None:
    x = noise(9, (2, 9, 11, 3))
    if rectified:
        x = np.maximum(x - 1, 0)  # most windows of two by two are all zero now
    pooled, switches = pool(x, window, strides, padding)
    signal = whole_numbers(10, pooled.shape, -9, 9)
    pixels = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        y = tf.nn.max_pool2d(pixels, window, strides, padding.upper())
    gradient = tape.gradient(y, pixels, output_gradients=tf.constant(signal)).numpy()
    np.testing.assert_array_equal(unpool(signal, switches, (9, 11)), gradient)


@pytest.mark.parametrize(("window", "strides"), DISJOINT)
def test_rectifying_and_unpooling_commute_while_windows_are_disjoint(
    window: Any, strides: Any
) -> None:
    pooled, switches = pool(noise(11, (2, 9, 11, 3)), window, strides)
    signal = noise(12, pooled.shape)
    np.testing.assert_array_equal(
        np.maximum(unpool(signal, switches, (9, 11)), 0),
        unpool(np.maximum(signal, 0), switches, (9, 11)),
    )


@pytest.mark.parametrize(("window", "strides"), OVERLAPPING)
def test_rectifying_and_unpooling_do_not_commute_once_windows_overlap(
    window: Any, strides: Any, reference: Any
) -> None:
    pooled, switches = pool(noise(13, (2, 9, 11, 3)), window, strides)
    signal = noise(14, pooled.shape)
    after = np.maximum(unpool(signal, switches, (9, 11)), 0)
    before = unpool(np.maximum(signal, 0), switches, (9, 11))
    assert reference.distance(after, before) > 0.05


@pytest.mark.parametrize("index", [-1, 4 * 5 * 2])
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "tf.function"])
def test_an_index_outside_the_image_is_refused(index: int, in_graph: bool) -> None:
    from deconvviz.deconv import switches as room

    _, switches = pool(noise(15, (2, 4, 5, 2)))
    switches[1, 0, 0, 0] = index
    signal = tf.ones(switches.shape)

    def scatter(given: Any) -> Any:
        return room.unpool(signal, given, height_width=(4, 5))

    call = tf.function(scatter) if in_graph else scatter
    with pytest.raises(tf.errors.InvalidArgumentError):
        call(tf.constant(switches))


def test_the_first_and_the_last_index_are_taken() -> None:
    signal = np.array([3, 4], np.float32).reshape(2, 1, 1, 1)
    switches = np.array([0, 19], np.int64).reshape(2, 1, 1, 1)
    out = unpool(signal, switches, (4, 5))
    assert np.flatnonzero(out).tolist() == [0, 20 + 19]
    assert out.ravel()[[0, 39]].tolist() == [3, 4]

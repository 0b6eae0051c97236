"""What filters hold, on hand-made ones whose answer algebra gives (oracles 28 and 34)."""

import math

import numpy as np
import pytest
import tensorflow as tf

from deconvviz.experiments.filters import (
    beyond_lattice,
    colour_share,
    cover_counts,
    frequency_shares,
    rms,
)

Array = np.ndarray


def one(plane: Array, colour: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Array:
    """A kernel of one filter: a plane `[h, w]` in each of the channels, times its weight."""
    return (plane[:, :, None, None] * np.array(colour)[None, None, :, None]).astype(np.float32)


def grating(period: float, side: int = 31, down: bool = False) -> Array:
    wave = np.cos(2 * np.pi * np.arange(side) / period) * np.hanning(side)
    plane = np.outer(np.hanning(side), wave)
    return plane.T if down else plane


POINT = np.eye(5)[2][:, None] * np.eye(5)[2]


def test_the_rms_is_over_all_that_makes_a_filter() -> None:
    kernel = np.zeros((2, 2, 1, 3), np.float32)
    kernel[..., 0] = 3
    kernel[0, 0, 0, 1] = 4
    assert rms(kernel).tolist() == [3, 2, 0]


@pytest.mark.parametrize(("period", "band"), [(12, 0), (4, 1), (2.5, 2)])
@pytest.mark.parametrize("down", [False, True])
def test_a_grating_has_its_power_in_its_own_band(period: float, band: int, down: bool) -> None:
    shares = frequency_shares(one(grating(period, down=down)))
    assert shares.shape == (1, 3)
    assert shares[0, band] > 0.95


def test_a_point_holds_all_frequencies_by_the_area_of_their_bands() -> None:
    (shares,) = frequency_shares(one(POINT))
    # Discs of radius 1/6 and 1/3 in the unit square of all frequencies.
    low, both = math.pi / 36, math.pi / 9
    np.testing.assert_allclose(shares, [low, both - low, 1 - both], atol=0.01)


def test_bands_go_by_the_power_of_all_channels_together() -> None:
    low, high = grating(12), grating(2)
    mixed = np.stack([low, high, np.zeros_like(low)], axis=2)[..., None]
    weights = np.array([(low**2).sum(), (high**2).sum()])
    (shares,) = frequency_shares(mixed)
    np.testing.assert_allclose(shares[[0, 2]], weights / weights.sum(), atol=0.02)


def test_a_filter_of_zeros_has_no_shares() -> None:
    zeros = np.zeros((3, 3, 3, 2), np.float32)
    assert not frequency_shares(zeros).any()
    assert not beyond_lattice(zeros, (2, 2)).any()
    assert not colour_share(zeros).any()


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (2, 1), (4, 3)])
def test_steps_carry_of_a_point_one_part_in_their_area(stride: tuple[int, int]) -> None:
    (share,) = beyond_lattice(one(POINT), stride)
    assert share == pytest.approx(1 - 1 / math.prod(stride), abs=1e-12)


@pytest.mark.parametrize("stride", [(2, 2), (3, 2), (1, 4)])
def test_what_steps_carry_is_what_the_spectrum_holds_below_their_limit(
    stride: tuple[int, int],
) -> None:
    kernel = np.random.default_rng(0).normal(size=(7, 5, 3, 4))
    side = 600
    power = np.square(np.abs(np.fft.fft2(kernel, (side, side), axes=(0, 1)))).sum(axis=2)
    down, across = np.meshgrid(*2 * [np.abs(np.fft.fftfreq(side))], indexing="ij")
    outside = (down > 0.5 / stride[0]) | (across > 0.5 / stride[1])
    expected = power[outside].sum(axis=0) / power.sum(axis=(0, 1))
    np.testing.assert_allclose(beyond_lattice(kernel, stride), expected, atol=0.01)


def test_a_coarse_grating_passes_a_stride_that_a_fine_one_does_not() -> None:
    assert beyond_lattice(one(grating(12)), (2, 2))[0] < 0.01
    assert beyond_lattice(one(grating(2.5)), (2, 2))[0] > 0.95
    assert beyond_lattice(one(grating(2.5)), (2, 1))[0] < 0.01  # it is fine across, not down


@pytest.mark.parametrize(
    ("colour", "share"),
    [((1, 1, 1), 0), ((1, 0, 0), 2 / 3), ((1, -1, 0), 1), ((2, 1, 0), 0.4), ((-1, -1, -1), 0)],
)
def test_colour_is_what_is_left_of_a_filter_without_its_grey(
    colour: tuple[float, ...], share: float
) -> None:
    (given,) = colour_share(one(grating(5), colour))
    assert given == pytest.approx(share, abs=1e-6)


def test_colours_that_cancel_over_space_are_still_colours() -> None:
    """Red here and blue there: no place is grey, though the channels have equal sums."""
    kernel = np.zeros((1, 2, 3, 1), np.float32)
    kernel[0, 0, 0], kernel[0, 1, 2] = 1, 1
    assert colour_share(kernel)[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("stride", range(1, 6))
@pytest.mark.parametrize("window", range(1, 12))
def test_cover_counts_are_the_ceiling_and_the_floor_and_what_a_transposed_convolution_counts(
    window: int, stride: int
) -> None:
    counts = cover_counts(window, stride)
    assert len(counts) == stride
    assert (max(counts), min(counts)) == (math.ceil(window / stride), window // stride)
    units = 12
    ones = tf.ones([1, 1, units, 1])
    length = (units - 1) * stride + window
    cover = tf.nn.conv2d_transpose(
        ones, tf.ones([1, window, 1, 1]), [1, 1, length, 1], [1, 1, stride, 1], "VALID"
    )
    middle = np.asarray(cover).ravel()[window : (units - 1) * stride]  # away from the edges
    for place, count in enumerate(middle, window):
        assert count == counts[place % stride]

"""The way from pixels to the network's input and back."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deconvviz.data import Preprocess
from deconvviz.data.preprocess import KINDS
from deconvviz.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def standardized(images: np.ndarray) -> np.ndarray:
    """TensorFlow's published definition, written out in float64."""
    pixels = images.astype(np.float64)
    flat = pixels.reshape(len(pixels), -1)
    floor = 1 / np.sqrt(flat.shape[1])
    result = (flat - flat.mean(1, keepdims=True)) / np.maximum(flat.std(1, keepdims=True), floor)
    return result.reshape(pixels.shape)


def test_the_central_24_of_32_pixels_are_4_to_28() -> None:
    window = Preprocess("raw", 24).window(IMAGES)
    np.testing.assert_array_equal(window, IMAGES[:, 4:28, 4:28])


def test_an_odd_margin_leaves_the_larger_part_at_the_bottom_right() -> None:
    window = Preprocess("raw", 29).window(IMAGES)
    np.testing.assert_array_equal(window, IMAGES[:, 1:30, 1:30])


def test_crop_0_keeps_the_whole_image() -> None:
    np.testing.assert_array_equal(Preprocess("raw", 0).window(IMAGES), IMAGES)


def test_standardize_equals_the_formula_in_numpy() -> None:
    x = Preprocess("standardize", 24)(IMAGES)
    # Oracle 35 was measured at 1.4e-7; values reach 2, float32 rounds at 1e-7 of them.
    np.testing.assert_allclose(x, standardized(IMAGES[:, 4:28, 4:28]), atol=1e-6)


def test_standardize_equals_tensorflows_own_op() -> None:
    expected = tf.image.per_image_standardization(IMAGES[:, 4:28, 4:28]).numpy()
    np.testing.assert_allclose(Preprocess("standardize", 24)(IMAGES), expected, atol=1e-6)


def test_an_image_of_one_colour_becomes_zeros() -> None:
    images = np.full((1, 8, 8, 3), 77, np.uint8)
    np.testing.assert_array_equal(Preprocess("standardize")(images), np.zeros((1, 8, 8, 3)))


def test_an_almost_flat_image_is_divided_by_the_floor_of_the_deviation() -> None:
    images = np.full((1, 8, 8, 3), 77, np.uint8)
    images[0, 0, 0, 0] = 78  # one value of N: deviation sqrt(1/N - 1/N^2), just under sqrt(1/N)
    x = Preprocess("standardize")(images)
    # A mean near 77 is rounded at 4e-6 in float32, and that is divided by .072.
    np.testing.assert_allclose(x, standardized(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "black", "white"), [("signed", -1, 1), ("unit", 0, 1), ("raw", 0, 255)]
)
def test_black_and_white_become_the_ends_of_the_range(name: str, black: int, white: int) -> None:
    images = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    x = Preprocess(name)(images)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.ravel(), [black, white])


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=25, deadline=None)
@given(images=arrays(np.uint8, st.tuples(*map(st.integers, (1, 5, 5, 1), (3, 9, 9, 4)))))
def test_the_way_back_gives_the_very_pixels(name: str, images: np.ndarray) -> None:
    preprocess = Preprocess(name, 5)
    back = preprocess.inverse(preprocess(images), images)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, preprocess.window(images))


@pytest.mark.parametrize("name", KINDS)
def test_the_way_back_is_exact_for_every_pixel_value(name: str) -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    preprocess = Preprocess(name)
    np.testing.assert_array_equal(preprocess.inverse(preprocess(images), images), images)


@pytest.mark.parametrize("name", KINDS)
def test_the_way_back_cuts_off_what_no_pixel_can_show(name: str) -> None:
    far = np.full((5, 24, 24, 3), 1e6, np.float32)
    preprocess = Preprocess(name, 24)
    assert (preprocess.inverse(far, IMAGES) == 255).all()
    assert (preprocess.inverse(-far, IMAGES) == 0).all()


@pytest.mark.parametrize("name", KINDS)
def test_inside_tf_data_the_values_are_those_of_numpy(name: str) -> None:
    preprocess = Preprocess(name, 24)
    batches = tf.data.Dataset.from_tensors(IMAGES).map(preprocess)
    (inside,) = batches.as_numpy_iterator()
    np.testing.assert_allclose(inside, preprocess(IMAGES), rtol=0, atol=1e-6)


def test_a_window_that_was_cut_already_stays_as_it_is() -> None:
    preprocess = Preprocess("standardize", 24)
    window = preprocess.window(IMAGES)
    np.testing.assert_array_equal(preprocess(window), preprocess(IMAGES))


def test_an_image_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(DataError, match=r"20 x 32 pixels, too small for a crop of 24"):
        Preprocess("raw", 24).window(IMAGES[:, :20])


def test_pixels_that_are_not_uint8_are_refused() -> None:
    with pytest.raises(DataError, match="uint8 pixels from 0 to 255, and got float32"):
        Preprocess("unit", 24)(IMAGES.astype(np.float32) / 255)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="'whiten'; choose one of standardize, signed, unit, raw"):
        Preprocess("whiten")


def test_a_negative_crop_is_refused() -> None:
    with pytest.raises(DataError, match="crop is -1"):
        Preprocess("raw", -1)

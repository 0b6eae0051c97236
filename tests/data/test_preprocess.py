"""The way from pixels to the network's input and back."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deconvviz.data import Preprocess
from deconvviz.data.scalings import KINDS
from deconvviz.errors import DataError, DeconvvizError

# Constants of one's own: one a channel, one for all, mixed, and at the ends of what is taken.
OWN = (
    "mean=125.3,123.0,113.9,std=63.0,62.1,66.7",
    "std=64,mean=127.5",
    "mean=120,110,100,std=58.4",
    "mean=255,std=65535",
    "mean=0.1,std=1",
)
ALL = (*KINDS, *OWN)
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


def test_caffe_equals_keras_own_function() -> None:
    expected = keras.applications.imagenet_utils.preprocess_input(
        IMAGES.astype(np.float32), data_format="channels_last", mode="caffe"
    )
    np.testing.assert_array_equal(Preprocess("caffe")(IMAGES), expected)


@pytest.mark.parametrize(("name", "mode"), [("torch", "torch"), ("signed", "tf")])
def test_torch_and_signed_equal_keras_own_function(name: str, mode: str) -> None:
    expected = keras.applications.imagenet_utils.preprocess_input(
        IMAGES.astype(np.float32), data_format="channels_last", mode=mode
    )
    # float32 rounds values up to 2.6 at 2.4e-7; the same formula in another order rounds apart.
    np.testing.assert_allclose(Preprocess(name)(IMAGES), expected, rtol=0, atol=1e-6)


def test_a_red_picture_is_red_in_the_last_channel_of_caffe() -> None:
    red = np.broadcast_to(np.array([255, 0, 0], np.uint8), (1, 4, 4, 3))
    expected = np.array([0 - 103.939, 0 - 116.779, 255 - 123.68], np.float32)
    np.testing.assert_array_equal(Preprocess("caffe")(red), np.broadcast_to(expected, (1, 4, 4, 3)))


def test_ones_own_constants_are_taken_channel_by_channel() -> None:
    x = Preprocess("mean=125.3,123.0,113.9,std=63.0,62.1,66.7")(IMAGES)
    expected = (IMAGES - np.array([125.3, 123.0, 113.9])) / np.array([63.0, 62.1, 66.7])
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_constant_serves_every_channel(channels: int) -> None:
    images = np.arange(16 * channels, dtype=np.uint8).reshape(1, 4, 4, channels)
    x = Preprocess("std=64,mean=127.5")(images)
    np.testing.assert_array_equal(x, (images - 127.5) / 64)  # both are exact in float32


@pytest.mark.parametrize("name", ["caffe", "torch", OWN[0], OWN[2]])
@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels_than_the_constants_are_refused(name: str, channels: int) -> None:
    images = np.zeros((1, 4, 4, channels), np.uint8)
    with pytest.raises(DataError, match=f"for images of 3 channels, and these have {channels}"):
        Preprocess(name)(images)


def test_a_reconstruction_for_caffe_is_drawn_in_its_true_colours() -> None:
    red = np.zeros((1, 4, 4, 3), np.uint8)
    red[..., 0] = 255
    black = np.zeros_like(red)
    caffe = Preprocess("caffe")
    difference = caffe.maps(caffe(red) - caffe(black))  # a signed map: only red rises
    np.testing.assert_allclose(difference, red, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in ALL if name != "caffe"])
def test_a_reconstruction_for_any_other_keeps_its_channels_and_its_scale(name: str) -> None:
    x = np.random.default_rng(1).normal(size=(2, 5, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(Preprocess(name).maps(x), x)


def test_maps_of_caffe_taken_twice_are_the_maps_themselves_in_numpy_and_in_tensors() -> None:
    x = np.random.default_rng(1).normal(size=(2, 5, 5, 3)).astype(np.float32)
    caffe = Preprocess("caffe")
    np.testing.assert_array_equal(caffe.maps(x), np.flip(x, -1))
    np.testing.assert_array_equal(caffe.maps(tf.constant(x)).numpy(), np.flip(x, -1))
    np.testing.assert_array_equal(caffe.maps(caffe.maps(x)), x)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=15, deadline=None)
@given(images=arrays(np.uint8, st.tuples(*map(st.integers, (1, 5, 5, 3), (3, 9, 9, 3)))))
def test_the_way_back_gives_the_very_pixels(name: str, images: np.ndarray) -> None:
    preprocess = Preprocess(name, 5)
    back = preprocess.inverse(preprocess(images), images)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, preprocess.window(images))


@pytest.mark.parametrize("name", ["standardize", "signed", "unit", "raw", "std=64,mean=127.5"])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_way_back_gives_the_very_pixels_of_any_number_of_channels(
    name: str, channels: int
) -> None:
    images = np.random.default_rng(2).integers(0, 256, (3, 8, 8, channels), dtype=np.uint8)
    preprocess = Preprocess(name, 5)
    np.testing.assert_array_equal(
        preprocess.inverse(preprocess(images), images), images[:, 1:6, 1:6]
    )


@pytest.mark.parametrize("name", ALL)
def test_the_way_back_is_exact_for_every_pixel_value(name: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    images = np.stack([ramp, ramp[:, ::-1], ramp[:, :, ::-1]], axis=-1)
    preprocess = Preprocess(name)
    np.testing.assert_array_equal(preprocess.inverse(preprocess(images), images), images)


@given(
    mean=st.lists(st.floats(0, 255), min_size=3, max_size=3),
    std=st.lists(st.floats(1, 65535), min_size=3, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_the_way_back_is_exact_whatever_constants_are_taken(
    mean: list[float], std: list[float]
) -> None:
    images = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=-1)
    preprocess = Preprocess(f"mean={','.join(map(str, mean))},std={','.join(map(str, std))}")
    np.testing.assert_array_equal(preprocess.inverse(preprocess(images), images), images)


@pytest.mark.parametrize("name", ALL)
def test_the_way_back_cuts_off_what_no_pixel_can_show(name: str) -> None:
    far = np.full((5, 24, 24, 3), 1e6, np.float32)
    preprocess = Preprocess(name, 24)
    assert (preprocess.inverse(far, IMAGES) == 255).all()
    assert (preprocess.inverse(-far, IMAGES) == 0).all()


@pytest.mark.parametrize("name", ALL)
def test_inside_tf_data_the_values_are_those_of_numpy(name: str) -> None:
    preprocess = Preprocess(name, 24)
    batches = tf.data.Dataset.from_tensors(IMAGES).map(preprocess)
    (inside,) = batches.as_numpy_iterator()
    np.testing.assert_allclose(inside, preprocess(IMAGES), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_arrays_give_arrays_and_tensors_give_tensors(name: str) -> None:
    preprocess = Preprocess(name)
    x, tensor = preprocess(IMAGES), preprocess(tf.constant(IMAGES))
    assert isinstance(x, np.ndarray)
    assert tf.is_tensor(tensor)
    assert (x.dtype, tensor.dtype) == (np.float32, tf.float32)
    assert isinstance(preprocess.inverse(x, IMAGES), np.ndarray)
    back = preprocess.inverse(tensor, tf.constant(IMAGES))
    assert tf.is_tensor(back)
    np.testing.assert_array_equal(back.numpy(), IMAGES)


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


def test_constants_that_cannot_be_read_are_refused_at_once() -> None:
    with pytest.raises(DataError, match=r"such as mean=127\.5,std=64"):
        Preprocess("mean=127.5")


def test_a_negative_crop_is_refused() -> None:
    with pytest.raises(DeconvvizError, match="crop takes a whole number, 0 or more; received -1"):
        Preprocess("raw", -1)

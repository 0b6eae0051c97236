"""Images of any size and colours become what a network takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deconvviz.data import fit_images, read_images
from deconvviz.data.fitting import Target
from deconvviz.errors import DataError

RNG = np.random.default_rng(0)
COLOURED = RNG.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (3, 32, 32, 1), dtype=np.uint8)


def luma(images: np.ndarray) -> np.ndarray:
    """ITU-R BT.601: what a colour weighs in grey; before rounding."""
    return (images @ np.array([0.299, 0.587, 0.114]))[..., None]


@pytest.mark.parametrize("images", [COLOURED, GREY], ids=["coloured", "grey"])
@pytest.mark.parametrize("size", [32, 64, (48, 20), (20, 48)])
@pytest.mark.parametrize("grey", [False, True])
def test_arrays_are_fitted_just_as_picture_files_of_the_same_pixels(
    tmp_path: Path, images: np.ndarray, size: Any, grey: bool
) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image.squeeze()).save(path)
    np.testing.assert_array_equal(
        fit_images(images, size, grey=grey), read_images(paths, size, grey=grey)
    )


@pytest.mark.parametrize("grey", [False, True])
def test_arrays_are_cut_just_as_picture_files_of_the_same_pixels(
    tmp_path: Path, grey: bool
) -> None:
    Image.fromarray(COLOURED[0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        fit_images(COLOURED[:1], (10, 21), grey=grey, fit="crop"),
        read_images([tmp_path / "a.png"], (10, 21), grey=grey, fit="crop"),
    )


@pytest.mark.parametrize("fit", ["resize", "crop"])
def test_where_nothing_has_to_change_the_very_array_comes_back(fit: Any) -> None:
    assert fit_images(COLOURED, 32, fit=fit) is COLOURED
    assert fit_images(COLOURED, (32, 32), fit=fit) is COLOURED
    assert fit_images(GREY, 32, grey=True, fit=fit) is GREY


def test_cifar10_goes_into_a_grey_network_of_twice_its_size() -> None:
    # Enlarged twofold, a column of pixels in the middle of an even colour keeps that colour.
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[:, :, 16:] = (255, 0, 0)
    fitted = fit_images(images, 64, grey=True)
    assert fitted.shape == (2, 64, 64, 1)
    assert fitted.dtype == np.uint8
    assert (fitted[:, :, :20] == 0).all()
    assert (fitted[:, :, 44:] == 76).all()  # .299 * 255 = 76.2


def test_grey_is_the_luma_of_itu_r_601() -> None:
    # Half a grey level of rounding, and a hundredth for weights in sixteen bits.
    np.testing.assert_allclose(fit_images(COLOURED, 32, grey=True), luma(COLOURED), atol=0.51)


def test_grey_images_are_repeated_for_a_network_of_colours() -> None:
    np.testing.assert_array_equal(fit_images(GREY, 32), np.repeat(GREY, 3, axis=-1))


def test_to_cut_is_to_take_the_pixels_around_the_centre_as_they_are() -> None:
    np.testing.assert_array_equal(fit_images(COLOURED, 24, fit="crop"), COLOURED[:, 4:28, 4:28])
    np.testing.assert_array_equal(
        fit_images(COLOURED, (10, 29), fit="crop"), COLOURED[:, 11:21, 1:30]
    )


def test_to_resize_is_to_cover_the_size_and_cut_around_the_centre() -> None:
    wide = RNG.integers(0, 256, (1, 10, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_images(wide, (10, 20)), wide[:, :, 5:25])


@pytest.mark.parametrize("size", [64, 8])
def test_to_resize_is_to_filter_by_lanczos_three_lobes(size: int) -> None:
    ramp = 60 + 4 * np.arange(32) + 20 * (np.arange(32) % 2)
    images = np.broadcast_to(ramp.astype(np.uint8)[:, None], (1, 32, 32, 1))
    scale = 32 / size
    at = (np.arange(size)[:, None] + 0.5) * scale - 0.5 - np.arange(32)
    x = at / max(scale, 1)  # to shrink, the filter widens, so that nothing aliases
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    expected = (weights / weights.sum(1, keepdims=True)) @ ramp
    row = fit_images(images, size, grey=True)[0, size // 2, :, 0]
    np.testing.assert_allclose(row, expected, rtol=0, atol=1)  # rounded twice


def test_no_images_at_all_stay_none() -> None:
    assert fit_images(COLOURED[:0], (8, 9), grey=True).shape == (0, 8, 9, 1)


def test_images_too_small_to_be_cut_are_refused() -> None:
    words = "images are 32 pixels wide and 32 high, too small to cut 20 x 64 .* fit resize"
    with pytest.raises(DataError, match=words):
        fit_images(COLOURED, (64, 20), fit="crop")


@pytest.mark.parametrize(
    "images", [COLOURED / 255, COLOURED[0], COLOURED[..., :2]], ids=["float", "one", "channels"]
)
def test_arrays_of_another_kind_are_refused(images: Any) -> None:
    with pytest.raises(DataError, match=r"uint8 of shape \[n, height, width, 1 or 3\], and these"):
        fit_images(images, 32)


@pytest.mark.parametrize("size", [0, -1, (3, 0), (1, 2, 3), None, (None, None), 2.5])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(DataError, match="The size of the images is"):
        fit_images(COLOURED, size)


def test_an_unknown_fit_is_refused() -> None:
    unknown: Any = "squeeze"
    with pytest.raises(DataError, match="no fit 'squeeze'; choose resize or crop"):
        fit_images(COLOURED, 8, fit=unknown)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_transparent_picture_of_many_rows_is_laid_on_white_as_a_whole_one(mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (600, 7, 4), np.uint8)
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = picture.convert("RGB").quantize(64)
        picture.info["transparency"] = 5
    else:
        picture = picture.convert(mode)
    whole = picture.convert("RGBA")
    paper = Image.new("RGBA", whole.size, "white")
    expected = np.asarray(Image.alpha_composite(paper, whole).convert("RGB"))
    made = Target((600, 7), fit="crop").make(picture, "It is")
    np.testing.assert_array_equal(made, expected)

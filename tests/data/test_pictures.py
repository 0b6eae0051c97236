"""Other people's image files: read right, or refused in a sentence that names them."""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deconvviz.data import pictures, read_images
from deconvviz.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)


def saved(path: Path, pixels: np.ndarray = PIXELS, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    """Begin a PNG of any size, by the PNG specification; its pixels never follow."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + head + struct.pack(">I", 9) + b"IDAT"


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_a_lossless_picture_of_the_right_size_keeps_its_pixels(tmp_path: Path, name: str) -> None:
    images = read_images([saved(tmp_path / name, lossless=True)], 16)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, PIXELS[None])


def test_a_jpeg_comes_close_to_its_pixels(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 16).astype(np.uint8)[:, None, None], (1, 16, 3))
    (image,) = read_images([saved(tmp_path / "a.jpg", smooth, quality=95)], 16)
    assert np.abs(image.astype(int) - smooth).max() < 8


def test_of_a_gif_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (image,) = read_images([tmp_path / "a.gif"], 8)
    np.testing.assert_array_equal(image, np.broadcast_to([255, 0, 0], (8, 8, 3)))


def test_the_images_keep_the_order_of_the_paths(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{grey}.png", np.full((4, 4), grey, np.uint8)) for grey in (9, 5, 7)]
    np.testing.assert_array_equal(read_images(paths, 4)[:, 0, 0, 0], [9, 5, 7])


def test_a_turned_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF orientation: the camera was turned, show it turned by 90 degrees right
    (image,) = read_images([saved(tmp_path / "a.png", exif=exif)], 16)
    np.testing.assert_array_equal(image, np.rot90(PIXELS, -1))


def test_a_wide_picture_covers_the_square_and_is_cut_around_its_centre(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = PIXELS[:10, :10]
    (image,) = read_images([saved(tmp_path / "a.png", wide)], 10)
    np.testing.assert_array_equal(image, PIXELS[:10, :10])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_a_picture_of_any_proportions_fills_the_square(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    images = read_images([saved(tmp_path / "a.png", np.full(shape, 99, np.uint8))], 8)
    np.testing.assert_array_equal(images, np.full((1, 8, 8, 3), 99))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_grey_is_one_channel_of_luma(tmp_path: Path, name: str) -> None:
    colours = {(255, 0, 0): 76, (0, 255, 0): 150, (0, 0, 255): 29}  # ITU-R 601: .299, .587, .114
    for colour, grey in colours.items():
        path = saved(tmp_path / name, np.broadcast_to(np.array(colour, np.uint8), (8, 8, 3)))
        (image,) = read_images([path], 8, grey=True)
        assert image.shape == (8, 8, 1)
        assert np.abs(image.astype(int) - grey).max() <= (0 if name == "a.png" else 3)


def test_a_grey_picture_keeps_its_pixels_as_grey_and_as_colours(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", PIXELS[..., 0])
    np.testing.assert_array_equal(read_images([path], 16, grey=True), PIXELS[None, ..., :1])
    np.testing.assert_array_equal(read_images([path], 16), PIXELS[None, ..., [0, 0, 0]])


def test_a_size_is_height_by_width(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    assert read_images([path], (8, 12)).shape == (1, 8, 12, 3)
    assert read_images([path], (8, 12), grey=True).shape == (1, 8, 12, 1)


def test_to_cut_takes_the_centre_at_the_pictures_own_resolution(tmp_path: Path) -> None:
    (image,) = read_images([saved(tmp_path / "a.png")], (6, 9), fit="crop")
    np.testing.assert_array_equal(image, PIXELS[5:11, 3:12])


def test_a_turned_photograph_is_cut_after_it_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.png", PIXELS[:, :10], exif=exif)
    (image,) = read_images([path], (10, 16), fit="crop")
    np.testing.assert_array_equal(image, np.rot90(PIXELS[:, :10], -1))


def test_a_picture_too_small_to_be_cut_is_named_with_its_size_and_a_way_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "small.png", PIXELS[:, :12])
    words = r"small\.png is 12 pixels wide and 16 high, too small to cut 16 x 14 .* the fit resize"
    with pytest.raises(DataError, match=words):
        read_images([path], (14, 16), fit="crop")


def test_a_size_that_is_none_is_not_blamed_on_the_picture(tmp_path: Path) -> None:
    nothing: Any = (None, None)  # what a network of open size says
    with pytest.raises(DataError, match="The size of the images is"):
        read_images([saved(tmp_path / "a.png")], nothing)


def test_16_bit_grey_is_scaled_and_not_cut_off(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    (image,) = read_images([saved(tmp_path / "a.png", deep)], 16)
    np.testing.assert_allclose(image[..., 0], deep / 257, atol=1)


@pytest.mark.parametrize("grey", [False, True])
def test_what_is_transparent_is_white(tmp_path: Path, grey: bool) -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:2, :, 3] = 255  # the upper half is opaque black
    (image,) = read_images([saved(tmp_path / "a.png", clear)], 4, grey=grey)
    assert (image[:2] == 0).all()
    assert (image[2:] == 255).all()


def test_the_content_decides_and_not_the_ending(tmp_path: Path) -> None:
    saved(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_images([tmp_path / "a.jpg"], 16), PIXELS[None])


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not an image")
    with pytest.raises(DataError, match=r"notes\.png is not a PNG, JPEG, WebP or GIF image"):
        read_images([path], 8)


def test_a_format_that_was_not_promised_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.tiff is not a PNG, JPEG, WebP or GIF"):
        read_images([saved(tmp_path / "a.tiff")], 8)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp"])
def test_a_truncated_picture_is_named(tmp_path: Path, name: str) -> None:
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / name, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=name):
        read_images([path], 8)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.png is not"):
        read_images([tmp_path / "a.png"], 8)


# 9,000 x 9,000 passes Pillow's own limit, 10,000 x 10,000 draws its warning, the last its error.
@pytest.mark.parametrize("side", [9_000, 10_000, 60_000])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, side: int
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))  # to decode it would fail for want of pixels
    with pytest.raises(DataError, match=r"bomb\.png has more than 64 million pixels"):
        read_images([path], 8)


def test_a_picture_just_within_the_limit_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 256)
    assert read_images([saved(tmp_path / "a.png")], 8).shape == (1, 8, 8, 3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image file .*nowhere\.png"):
        read_images([tmp_path / "nowhere.png"], 8)


def test_a_directory_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a directory; give the image files in it"):
        read_images([tmp_path], 8)


def test_no_paths_at_all_are_refused() -> None:
    with pytest.raises(DataError, match="No image was given"):
        read_images([], 8)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n" * 300, "File name too long"),
        ("a\0b", "null"),
        ("a\x1b[2J\n.png", "no image file"),
        ("\udcff.png", "no image file"),
    ],
)
def test_a_path_that_no_file_has_is_refused_in_printable_words(name: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as refused:
        read_images([name], 8)
    assert str(refused.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="a pipe or a device"):
        read_images([tmp_path / "a.png"], 8)

"""Ten real photographs as a ten-class data set that needs no download.

The photographs come inside scikit-image's wheel. A class is a photograph, an example a square crop
of it at a random place and scale, so that a network has to learn colours and textures to tell them
apart. Every photograph is divided into a grid of cells, and every fifth cell, a knight's move
apart, is held out: test crops lie wholly inside held-out cells, training crops wholly outside, and
both see every part of the picture.
"""

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from deconvviz.data.dataset import Dataset, Split, fingerprint
from deconvviz.errors import DataError

PHOTOS = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "rocket",
    "brick",
    "grass",
    "gravel",
)
TRAIN_CROPS, TEST_CROPS = 800, 160  # a photograph
_CELLS = 5  # a side
_HOLD_OUT_ONE_IN = 5
_SMALLEST = 0.5  # the side of a crop, as a part of a cell's shorter side; the largest is 1


def load_photos(size: int, seed: int) -> Dataset:
    """Cut the built-in photographs into a data set, the same one for the same seed.

    Args:
        size: every crop is resized to size x size pixels.
        seed: decides where the crops lie.

    Returns:
        Ten classes, 800 training and 160 test crops each, the classes taking turns.

    Raises:
        DataError: where scikit-image was installed without one of the photographs.
    """
    photos = [_photo(name) for name in PHOTOS]
    train = _split(photos, size, seed, TRAIN_CROPS, held_out=False)
    test = _split(photos, size, seed, TEST_CROPS, held_out=True)
    return Dataset("photos", PHOTOS, train, test, fingerprint(train, test))


def crop_boxes(
    height: int, width: int, count: int, rng: np.random.Generator, *, held_out: bool
) -> NDArray[np.int64]:
    """Choose where square crops of a photograph lie.

    Args:
        height: the photograph's, in pixels.
        width: the photograph's, in pixels.
        count: how many crops.
        rng: where the choices come from.
        held_out: wholly inside the held-out cells, or wholly outside them.

    Returns:
        int64 [count, 3]: top, left, side.
    """
    table = np.pad(_held_out_mask(height, width).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    largest = min(height, width) // _CELLS
    found = np.empty((0, 3), np.int64)
    while len(found) < count:
        side = np.round(largest * rng.uniform(_SMALLEST, 1, 4096)).astype(np.int64)
        top = rng.integers(0, height - side + 1)
        left = rng.integers(0, width - side + 1)
        bottom, right = top + side, left + side
        inside = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        keep = inside == (side * side if held_out else 0)
        found = np.concatenate([found, np.stack([top, left, side], axis=1)[keep]])
    return found[:count]


def _held_out_mask(height: int, width: int) -> NDArray[np.bool_]:
    row = np.arange(height)[:, None] * _CELLS // height
    column = np.arange(width)[None, :] * _CELLS // width
    return (2 * row + column) % _HOLD_OUT_ONE_IN == 0


def _split(photos: list[Image.Image], size: int, seed: int, count: int, *, held_out: bool) -> Split:
    images = np.empty((count, len(photos), size, size, 3), np.uint8)
    for index, photo in enumerate(photos):
        rng = np.random.default_rng([seed, index, held_out])
        boxes = crop_boxes(photo.height, photo.width, count, rng, held_out=held_out)
        images[:, index] = [_crop(photo, box, size) for box in boxes]
    labels = np.tile(np.arange(len(photos), dtype=np.int64), count)
    return Split(images.reshape(-1, size, size, 3), labels)


def _crop(photo: Image.Image, box: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    top, left, side = box.tolist()
    # Cut first: resize(box=...) would read pixels around the box, across the border.
    patch = photo.crop((left, top, left + side, top + side))
    return np.asarray(patch.resize((size, size), Image.Resampling.BILINEAR))


def _photo(name: str) -> Image.Image:
    try:
        pixels = getattr(skimage.data, name)()
    except (OSError, ImportError) as error:
        raise DataError(
            f"scikit-image's photograph {name} cannot be read ({error}); install scikit-image "
            "again from its wheel, which holds it."
        ) from error
    return Image.fromarray(pixels).convert("RGB")

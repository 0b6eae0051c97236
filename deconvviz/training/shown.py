"""The images that a training draws again and again: what the network is fed, and what is shown.

They are in network-input space, which only their owner knows the way back from. So the original
beside the reconstructions is shown as it is where it holds pixels, and spread from black to white,
in words, where it does not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from deconvviz.errors import DataError
from deconvviz.render.scaling import Pixels

_FROM_A_DATA_SET = 8
_AT_MOST = 64
_ALLOWED = (
    "Allowed are an array of numbers [n, H, W, C] as the network takes them, C 1 or 3; a tuple of "
    "arrays for a network of several inputs; or a tf.data.Dataset of batches of these, alone or "
    "as (images, labels)."
)


@dataclass(frozen=True)
class Shown:
    """Images as a network takes them, and one of its inputs as pictures.

    Attributes:
        inputs: float32 `[n, ...]`, one an input of the network.
        index: which of them is shown.
        original: uint8 `[n, H, W, C]`, that one as pictures.
        spread: whether its values were spread to become pixels.
    """

    inputs: tuple[npt.NDArray[np.float32], ...]
    index: int
    original: Pixels
    spread: bool

    @property
    def image(self) -> npt.NDArray[np.float32]:
        """The input that is shown, as the network takes it."""
        return self.inputs[self.index]


def take_images(images: Any) -> Shown:
    """Take what is to be shown, once.

    Args:
        images: as `ReconstructionCallback` takes them.

    Raises:
        DataError: for anything that is not one to 64 finite images, and for a data set of others.
    """
    given = _first_of(images) if isinstance(images, tf.data.Dataset) else images
    parts = given if isinstance(given, tuple) else (given,)
    inputs = tuple(_numbers(part) for part in parts)
    index = _first_image(inputs)
    as_given = np.asarray(parts[index])
    if as_given.dtype == np.uint8:
        return Shown(inputs, index, as_given.copy(), spread=False)
    original, spread = as_pictures(inputs[index])
    return Shown(inputs, index, original, spread)


def as_pictures(images: npt.NDArray[np.float32]) -> tuple[Pixels, bool]:
    """Show values as the pixels that they are, or spread each image from black to white.

    Args:
        images: finite, `[n, H, W, C]`.

    Returns:
        uint8 of that shape, and whether it was spread. Whole numbers from 0 to 255 are pixels,
        unless none is above 1: those are images on a scale from 0 to 1.
    """
    if images.min() >= 0 and 1 < images.max() <= 255:
        pixels = images.astype(np.uint8)
        if np.array_equal(pixels, images):
            return pixels, False
    values = images.astype(np.float64)
    low = values.min(axis=(1, 2, 3), keepdims=True)
    reach = values.max(axis=(1, 2, 3), keepdims=True) - low
    ratio = (values - low) / np.where(reach > 0, reach, 1)
    return np.rint(255 * ratio).astype(np.uint8), True


def _first_of(dataset: tf.data.Dataset) -> Any:
    spec = dataset.element_spec
    images = spec[0] if isinstance(spec, tuple) else spec
    several = isinstance(images, tuple)
    if not all(_is_batch(part) for part in (images if several else (images,))):
        raise DataError(f"The data set gives images as {images}. {_ALLOWED}")
    parts: list[list[Any]] = [[] for _ in images] if several else [[]]
    for element in dataset.unbatch().take(_FROM_A_DATA_SET):
        taken = element[0] if isinstance(element, tuple) else element
        for part, one in zip(parts, taken if several else (taken,), strict=True):
            part.append(one.numpy())
    stacked = tuple(_stacked(part) for part in parts)
    return stacked if several else stacked[0]


def _is_batch(spec: Any) -> bool:
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank != 0


def _stacked(part: list[Any]) -> npt.NDArray[Any]:
    if len({one.shape for one in part}) > 1:
        shapes = sorted({one.shape for one in part})
        raise DataError(f"The data set's first images have different shapes, {shapes}. {_ALLOWED}")
    return np.stack(part) if part else np.empty((0, 0, 0, 1))


def _numbers(part: Any) -> npt.NDArray[np.float32]:
    # A copy: who fills an array anew must not change what was to be the same at every step.
    try:
        values = np.array(part, np.float32)
    except (TypeError, ValueError):
        raise DataError(f"Received {type(part).__name__} as images. {_ALLOWED}") from None
    if not np.isfinite(values).all():
        raise DataError("The images hold NaN or infinite values; check their preprocessing.")
    return values


def _first_image(inputs: tuple[npt.NDArray[np.float32], ...]) -> int:
    shapes = [list(x.shape) for x in inputs]
    found = [i for i, shape in enumerate(shapes) if len(shape) == 4 and shape[3] in (1, 3)]
    if not found or 0 in shapes[found[0]] or any(s[:1] != shapes[0][:1] for s in shapes):
        raise DataError(f"Received images of shape {' and '.join(map(str, shapes))}. {_ALLOWED}")
    if (count := shapes[found[0]][0]) > _AT_MOST:
        raise DataError(
            f"Received {count} images, and each is drawn at every drawing: give at most "
            f"{_AT_MOST}, such as images[:8]."
        )
    return found[0]

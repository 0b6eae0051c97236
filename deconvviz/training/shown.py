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
from deconvviz.received import shown
from deconvviz.render.scaling import Pixels

_FROM_A_DATA_SET = 8
_AT_MOST = 64
_IMAGE = "image"  # what TFDS calls it
_ALLOWED = (
    "Allowed are an array of numbers [n, H, W, C] as the network takes them, C 1 or 3; a tuple or "
    "a dict of arrays for a network of several inputs; or a tf.data.Dataset of batches of these, "
    "alone, as (images, labels) or under 'image'."
)


@dataclass(frozen=True)
class Shown:
    """Images as a network takes them, and one of its inputs as pictures.

    Attributes:
        inputs: `[n, ...]`, one an input of the network, float32; whole numbers as they came, so
            that a network that does not scale pixels itself refuses them.
        index: which of them is shown.
        original: uint8 `[n, H, W, C]`, that one as pictures.
        spread: whether its values were spread to become pixels.
        names: the inputs' names, where the images came by name; else in the model's order.
    """

    inputs: tuple[npt.NDArray[Any], ...]
    index: int
    original: Pixels
    spread: bool
    names: tuple[str, ...] = ()

    @property
    def image(self) -> npt.NDArray[Any]:
        """The input that is shown, as the network takes it."""
        return self.inputs[self.index]

    @property
    def given(self) -> Any:
        """All inputs, as `Deconvnet.reconstruct` takes them."""
        if self.names:
            return dict(zip(self.names, self.inputs, strict=True))
        return self.inputs if len(self.inputs) > 1 else self.image

    def of_image(self, maps: Any) -> npt.NDArray[np.float32]:
        """Of maps that `reconstruct` gave for `given`, those of the input that is shown."""
        if self.names:
            maps = maps[self.names[self.index]]
        elif len(self.inputs) > 1:
            maps = maps[self.index]
        shown: npt.NDArray[np.float32] = maps
        return shown


def take_images(images: Any) -> Shown:
    """Take what is to be shown, once.

    Args:
        images: as `ReconstructionCallback` takes them.

    Raises:
        DataError: for anything that is not one to 64 finite images, and for a data set of others.
    """
    given = _first_of(images) if isinstance(images, tf.data.Dataset) else images
    names = tuple(given) if isinstance(given, dict) else ()
    parts = tuple(given.values()) if names else given if isinstance(given, tuple) else (given,)
    inputs = tuple(_numbers(part) for part in parts)
    index = _first_image(inputs)
    if inputs[index].dtype == np.uint8:
        return Shown(inputs, index, inputs[index].copy(), False, names)
    original, spread = as_pictures(inputs[index].astype(np.float32))
    return Shown(inputs, index, original, spread, names)


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
    """The first images of a data set, stacked as `take_images` takes them."""
    spec = _images_of(dataset.element_spec)
    specs = tf.nest.flatten(spec)
    if not specs or not all(_is_batch(part) for part in specs):
        raise DataError(f"The data set gives images as {shown(spec)}. {_ALLOWED}")
    ranks = [part.shape.rank for part in specs]
    if 3 in ranks and 4 not in ranks:
        raise DataError(
            f"The data set gives single images, {list(specs[ranks.index(3)].shape)}; put them into "
            f"batches: dataset.batch({_FROM_A_DATA_SET})."
        )
    parts: list[list[Any]] = [[] for _ in specs]
    for element in dataset:
        for part, batch in zip(parts, tf.nest.flatten(_images_of(element)), strict=True):
            part.extend(batch.numpy()[: _FROM_A_DATA_SET - len(part)])
        if len(parts[0]) == _FROM_A_DATA_SET:
            break
    return tf.nest.pack_sequence_as(spec, [_stacked(part) for part in parts])


def _images_of(element: Any) -> Any:
    """The images of an element: alone, before labels, or as TFDS calls them."""
    images = element[0] if isinstance(element, tuple) else element
    return images[_IMAGE] if isinstance(images, dict) and _IMAGE in images else images


def _is_batch(spec: Any) -> bool:
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank != 0


def _stacked(part: list[Any]) -> npt.NDArray[Any]:
    if len({one.shape for one in part}) > 1:
        shapes = sorted({one.shape for one in part})
        raise DataError(f"The data set's first images have different shapes, {shapes}. {_ALLOWED}")
    return np.stack(part) if part else np.empty((0, 0, 0, 1))


def _numbers(part: Any) -> npt.NDArray[Any]:
    # A copy: who fills an array anew must not change what was to be the same at every step.
    try:
        given = None if part is None else np.array(part)
        values = np.array(given, np.float32)
    except (TypeError, ValueError):
        raise DataError(f"Received {type(part).__name__} as images. {_ALLOWED}") from None
    if given is None:
        raise DataError(f"Received None as images. {_ALLOWED}")
    if not np.isfinite(values).all():
        raise DataError("The images hold NaN or infinite values; check their preprocessing.")
    return given if given.dtype.kind in "iu" else values


def _first_image(inputs: tuple[npt.NDArray[Any], ...]) -> int:
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

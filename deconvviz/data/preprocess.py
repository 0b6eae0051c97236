"""From pixels to the network's input and back: a pair, kept in one place.

What a network sees is the central window of an image, scaled. Every scaling here is affine,
x = (pixels - offset) / scale, so that the way back to pixels is the same two numbers read the other
way. The same code serves numpy arrays and tensors inside tf.data: what comes in decides what goes
out.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from deconvviz.errors import DataError

Pixels = TypeVar("Pixels", NDArray[np.uint8], tf.Tensor)
Values = TypeVar("Values", NDArray[np.float32], tf.Tensor)

_CONSTANTS = {"signed": (127.5, 127.5), "unit": (0.0, 255.0), "raw": (0.0, 1.0)}
KINDS = ("standardize", *_CONSTANTS)


@dataclass(frozen=True)
class Preprocess:
    """The window that a network sees, and how its pixels are scaled.

    Args:
        name: `standardize` (each image to mean 0 and standard deviation 1), `signed` (-1..1),
            `unit` (0..1) or `raw` (0..255).
        crop: the side of the central window in pixels; 0 takes the whole image.

    Example:
        >>> classic = Preprocess("standardize", crop=24)
        >>> x = classic(images)                     # float32 [n, 24, 24, 3]
        >>> pixels = classic.inverse(x, images)     # equals classic.window(images)
    """

    name: str
    crop: int = 0

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise DataError(
                f"There is no preprocessing {self.name!r}; choose one of {', '.join(KINDS)}."
            )
        if self.crop < 0:
            raise DataError(f"crop is {self.crop}; it takes a number of pixels, or 0 for all.")

    def window(self, images: Pixels) -> Pixels:
        """Cut the central window out of images.

        Args:
            images: uint8 [..., H, W, C], 0..255.

        Returns:
            uint8 [..., crop, crop, C]; of 32 pixels the central 24 are [4:28].

        Raises:
            DataError: where an image is smaller than the window, or not of uint8 pixels.
        """
        if images.dtype != np.uint8:
            raise DataError(
                f"Preprocessing takes uint8 pixels from 0 to 255, and got {images.dtype}; "
                "give the images as they were decoded."
            )
        if self.crop == 0:
            return images
        height, width = int(images.shape[-3]), int(images.shape[-2])
        if self.crop > min(height, width):
            raise DataError(
                f"The images are {height} x {width} pixels, too small for a crop of {self.crop}; "
                "choose a smaller crop or larger images."
            )
        top, left = (height - self.crop) // 2, (width - self.crop) // 2
        return images[..., top : top + self.crop, left : left + self.crop, :]

    def __call__(self, images: Pixels) -> Pixels:
        """Turn images into the network's input.

        Args:
            images: uint8 [..., H, W, C], 0..255.

        Returns:
            float32 [..., crop, crop, C]; numpy for numpy, a tensor for a tensor.

        Raises:
            DataError: as `window` does.
        """
        window = tf.cast(self.window(images), tf.float32)
        offset, scale = self._affine(window)
        return _like((window - offset) / scale, images)

    def inverse(self, x: Values, images: Pixels) -> Pixels:
        """Turn the network's input into pixels again.

        Args:
            x: float32 [..., crop, crop, C] in the network's input space.
            images: uint8 [..., H, W, C], the images that x came from: they hold the mean and the
                deviation that `standardize` took away.

        Returns:
            uint8 [..., crop, crop, C], rounded and cut off at 0 and 255; for x = self(images) it
            equals `self.window(images)` exactly.
        """
        offset, scale = self._affine(tf.cast(self.window(images), tf.float32))
        return _like(tf.saturate_cast(tf.round(x * scale + offset), tf.uint8), images)

    def _affine(self, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self.name in _CONSTANTS:
            offset, scale = _CONSTANTS[self.name]
            return tf.constant(offset), tf.constant(scale)
        # The floor of the deviation is that of tf.image.per_image_standardization: an image of one
        # colour becomes zeros, not NaN.
        axes = (-3, -2, -1)
        mean = tf.reduce_mean(window, axes, keepdims=True)
        deviation = tf.sqrt(tf.reduce_mean(tf.square(window - mean), axes, keepdims=True))
        values = tf.cast(tf.reduce_prod(tf.shape(window)[-3:]), tf.float32)
        return mean, tf.maximum(deviation, tf.math.rsqrt(values))


def _like(result: tf.Tensor, images: Pixels) -> Pixels:
    return result.numpy() if isinstance(images, np.ndarray) else result

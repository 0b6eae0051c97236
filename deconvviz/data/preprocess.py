"""From pixels to the network's input and back: a pair, kept in one place.

What a network sees is the central window of an image, scaled. Every scaling here is affine,
x = (pixels - mean) / std, so that the way back to pixels is the same two numbers read the other
way. Some networks also want the colours in the order B, G, R. The same code serves numpy arrays and
tensors inside tf.data: what comes in decides what goes out.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from deconvviz.data.scalings import KINDS, parse_scaling
from deconvviz.errors import DataError
from deconvviz.received import require, whole

Pixels = TypeVar("Pixels", NDArray[np.uint8], tf.Tensor)
Values = TypeVar("Values", NDArray[np.float32], tf.Tensor)


@dataclass(frozen=True)
class Preprocess:
    """The window that a network sees, and how its pixels are scaled.

    Args:
        name: `standardize` (each image to mean 0 and standard deviation 1), `signed` (-1..1),
            `unit` (0..1), `raw` (0..255), `caffe` (ImageNet's mean colour subtracted, in the order
            B, G, R), `torch` (ImageNet's mean and deviation, from 0..1), or one's own for pixels
            from 0 to 255, one value or one a channel: `mean=127.5,std=64`.
        crop: the side of the central window in pixels; 0 takes the whole image.

    Raises:
        DataError: for a name that `parse_scaling` cannot read, and a negative crop.

    Example:
        >>> classic = Preprocess("standardize", crop=24)
        >>> x = classic(images)                     # float32 [n, 24, 24, 3]
        >>> pixels = classic.inverse(x, images)     # equals classic.window(images)
    """

    name: str
    crop: int = 0

    def __post_init__(self) -> None:
        require("name", self.name, str, f"the name of a scaling, one of {', '.join(KINDS)}")
        parse_scaling(self.name)
        whole("crop", self.crop)

    def window(self, images: Pixels) -> Pixels:
        """Cut the central window out of images.

        Args:
            images: uint8 [..., H, W, C], 0..255.

        Returns:
            uint8 [..., crop, crop, C]; of 32 pixels the central 24 are [4:28].

        Raises:
            DataError: where an image is smaller than the window, not of uint8 pixels, or not of
                the channels that the scaling has constants for.
        """
        self._require_pixels(images)
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
            float32 [..., crop, crop, C]; numpy for numpy, a tensor for a tensor. The channels are
            in the order of the images, for `caffe` in the opposite one.

        Raises:
            DataError: as `window` does.
        """
        window = tf.cast(self.window(images), tf.float32)
        mean, std = self._affine(window)
        return _like(self.maps((window - mean) / std), images)

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
        mean, std = self._affine(tf.cast(self.window(images), tf.float32))
        return _like(tf.saturate_cast(tf.round(self.maps(x) * std + mean), tf.uint8), images)

    def maps(self, x: Values) -> Values:
        """Put the channels of the network's input space into the order of the images.

        A reconstruction lies in that space. To be drawn in its true colours it needs the channels
        of `caffe` turned round to R, G, B. It is a signed map and no picture of pixels, so no mean
        is added and nothing is scaled.

        Args:
            x: float32 [..., C], the network's input or a reconstruction.

        Returns:
            float32 [..., C], the same values; the channels of `caffe` the other way round (so that
            doing it twice gives x again), those of all others as they were.
        """
        require("x", x, (np.ndarray, tf.Tensor), "an array of the network's input space")
        scaling = parse_scaling(self.name)
        return x[..., ::-1] if scaling and scaling.bgr else x

    def _require_pixels(self, images: Pixels) -> None:
        require("images", images, (np.ndarray, tf.Tensor), "an array of uint8 pixels [n, H, W, C]")
        if images.dtype != np.uint8:
            raise DataError(
                f"Preprocessing takes uint8 pixels from 0 to 255, and got {images.dtype}; "
                "give the images as they were decoded."
            )
        if len(images.shape) < 3:
            raise DataError(
                f"Preprocessing takes images [n, H, W, C]; received the shape {list(images.shape)}."
            )
        scaling = parse_scaling(self.name)
        if scaling and scaling.channels and images.shape[-1] != scaling.channels:
            raise DataError(
                f"The preprocessing {self.name!r} is for images of {scaling.channels} channels, "
                f"and these have {images.shape[-1]}; choose one that is the same for every "
                "channel, such as unit or mean=127.5,std=64."
            )

    def _affine(self, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scaling = parse_scaling(self.name)
        if scaling:
            return tf.constant(scaling.mean), tf.constant(scaling.std)
        # The floor of the deviation is that of tf.image.per_image_standardization: an image of one
        # colour becomes zeros, not NaN.
        axes = (-3, -2, -1)
        mean = tf.reduce_mean(window, axes, keepdims=True)
        deviation = tf.sqrt(tf.reduce_mean(tf.square(window - mean), axes, keepdims=True))
        values = tf.cast(tf.reduce_prod(tf.shape(window)[-3:]), tf.float32)
        return mean, tf.maximum(deviation, tf.math.rsqrt(values))


def _like(result: tf.Tensor, images: Pixels) -> Pixels:
    return result.numpy() if isinstance(images, np.ndarray) else result

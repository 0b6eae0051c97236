"""Each feature map's strongest unit: what the search for the strongest images asks of a batch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Places = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Peaks:
    """The strongest activation of every feature map in every image of one batch.

    Attributes:
        value: float32 `[n, C]`.
        activation: `[n, h, w, C]`, or `[n, C]` of a layer without spatial axes.
    """

    value: npt.NDArray[np.float32]
    activation: tf.Tensor

    def places(self, image: npt.NDArray[np.integer], feature: npt.NDArray[np.integer]) -> Places:
        """Find where some of the maxima stand; to find all would cost more than the maxima do.

        Args:
            image: `[m]`, in the batch.
            feature: `[m]`.

        Returns:
            int32 `[m, 2]`, (y, x); of equal ones the first in reading order. (-1, -1) in a layer
            without spatial axes.
        """
        if len(self.activation.shape) == 2:
            return np.full((len(image), 2), -1, np.int32)
        _, height, width, channels = self.activation.shape
        first = np.asarray(image, np.int64) * (height * width * channels) + feature
        units = first[:, None] + np.arange(height * width) * channels
        maps = tf.gather(tf.reshape(self.activation, [-1]), units)
        place = tf.argmax(maps, axis=1).numpy()
        return np.stack(np.divmod(place, width), axis=1).astype(np.int32)

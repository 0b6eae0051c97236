"""Hold each filter's size within a radius, so that no filter of a layer drowns the others.

Zeiler & Fergus saw a few filters of their first layer dominate, and scaled every one whose RMS went
beyond 0.1 back to 0.1 after each update. Their inputs lay within ±128; with inputs of deviation 1
the radius is a choice, which is why it has to be asked for.
"""

from typing import Any

import keras
import tensorflow as tf

from deconvviz.config import ModelConfig


@keras.saving.register_keras_serializable(package="deconvviz")
class FilterRadius(keras.constraints.Constraint):
    """A kernel constraint: filters whose root mean square exceeds a radius are scaled back to it.

    Args:
        radius: above 0. A filter is everything that makes one feature map: the kernel's last axis
            counts the filters, and the mean is over all the others.

    Source: Zeiler & Fergus 2013, Section 3.
    """

    def __init__(self, radius: float = 0.1) -> None:
        self.radius = float(radius)

    def __call__(self, w: Any) -> tf.Tensor:
        """Give a kernel `[..., filters]` with every filter's RMS at the radius or below."""
        kernel = tf.convert_to_tensor(w)
        rms = tf.sqrt(tf.reduce_mean(tf.square(kernel), range(len(kernel.shape) - 1)))
        # Not min(1, radius / RMS): a filter within the radius is to stay as it is, to the last bit,
        # and one of zeros has no quotient.
        return tf.where(rms > self.radius, kernel * (self.radius / rms), kernel)

    def get_config(self) -> dict[str, Any]:
        """What a saved model writes down of it."""
        return {"radius": self.radius}


def kernel_constraint(config: ModelConfig) -> FilterRadius | None:
    """Give the constraint that a configuration asks for, or None."""
    return None if config.filter_rms is None else FilterRadius(config.filter_rms)

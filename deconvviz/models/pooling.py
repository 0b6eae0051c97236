"""The pooling layer that can give its switches.

Training and prediction use the plain max pool: the argmax op would cost an eighth of a training
step and has no XLA kernel. The switches are taken when somebody asks.
"""

import keras
import tensorflow as tf

from deconvviz.deconv.switches import max_pool_with_switches


@keras.saving.register_keras_serializable(package="deconvviz")
class MaxPoolingWithSwitches(keras.layers.MaxPooling2D):
    """Keras's max pooling, which also says where each maximum stood."""

    def with_switches(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Pool `[n, H, W, C]`; return the maxima and their switches, both `[n, h, w, C]`.

        The switches are those of `deconvviz.deconv.switches.max_pool_with_switches`.
        """
        return max_pool_with_switches(inputs, self.pool_size, self.strides, self.padding)

"""The same maps by other ops: what the compiled way back puts in a rule's place.

The rules say what is meant, with the switches and the ops of the papers. Each shortcut here gives
what its rule gives, and won a measurement (docs/performance.md); the tests hold one to the other.
"""

import math

import keras
import tensorflow as tf

from deconvviz.deconv.rules import (
    Rule,
    StepTrace,
    minus_bias,
    subtract_bias_then_transpose,
    transposed_convolution,
    unpooling,
)

# Below so many positions it costs more to turn the kernel around than the other op saves; with so
# large a kernel the other op saves nothing.
_MANY_POSITIONS = 2**13
_LARGE_KERNEL = 2**18
# A convolution pads the channels that it gives to a multiple of what a vector register holds.
_FEW_CHANNELS = 8


def unpool_by_gradient(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Unpool by the max pool's own gradient, which finds the switches as it goes.

    To take the switches as indices and to scatter at them costs several times as much.
    """
    pool = traced.step.operation
    if not isinstance(pool, keras.layers.MaxPooling2D):
        return unpooling(traced, signal)
    back = tf.raw_ops.MaxPoolGrad(
        orig_input=tf.cast(traced.inputs[0], signal.dtype),
        orig_output=tf.cast(traced.outputs[0], signal.dtype),
        grad=signal,
        ksize=[1, *pool.pool_size, 1],
        strides=[1, *pool.strides, 1],
        padding=pool.padding.upper(),
    )
    return (back,)


def convolve_back(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Transpose a convolution of stride 1 as a convolution with the kernel turned around.

    On a processor whose convolutions TensorFlow leaves to Eigen, `conv2d_transpose` takes up to
    twice as long as the convolution of the same arithmetic; on others they are equal.
    """
    layer = traced.step.operation
    plain = layer.groups == 1 and tuple(layer.dilation_rate) == tuple(layer.strides) == (1, 1)
    large = math.prod(layer.kernel.shape) > _LARGE_KERNEL
    if not plain or large or layer.data_format != "channels_last":
        return transposed_convolution(traced, signal)
    turned = _by_rows if layer.kernel.shape[2] <= _FEW_CHANNELS else _turned_around
    back = tf.cond(
        tf.size(signal) // layer.kernel.shape[3] >= _MANY_POSITIONS,
        lambda: turned(signal, tf.cast(layer.kernel, signal.dtype), layer.padding),
        lambda: transposed_convolution(traced, signal)[0],
    )
    return (tf.ensure_shape(back, [None, *traced.inputs[0].shape[1:]]),)


def subtract_bias_then_convolve_back(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The classic program's convolution, with the same shortcut."""
    return convolve_back(traced, minus_bias(traced, signal))


SHORTCUTS: dict[Rule, Rule] = {
    unpooling: unpool_by_gradient,
    transposed_convolution: convolve_back,
    subtract_bias_then_transpose: subtract_bias_then_convolve_back,
}
"""For a rule, what gives the same map in less time."""


def _turned_around(signal: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    down, across = (_pads(size, padding) for size in kernel.shape[:2])
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    return tf.nn.conv2d(signal, turned, 1, [[0, 0], down, across, [0, 0]])


def _by_rows(signal: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    """Convolve down the columns for all of a row's weights at once, then sum along the rows.

    An image has few channels. One convolution that gives each of them for every place in the
    kernel's row has a vector register's worth.
    """
    height, width, channels, maps = kernel.shape
    down, (before, after) = (_pads(size, padding) for size in (height, width))
    columns = tf.reshape(
        tf.transpose(tf.reverse(kernel, [0, 1]), [0, 3, 1, 2]), [height, 1, maps, width * channels]
    )
    parts = tf.nn.conv2d(signal, columns, 1, [[0, 0], down, [0, 0], [0, 0]])
    parts = tf.pad(parts, [[0, 0], [0, 0], [before, after], [0, 0]])
    across = tf.shape(parts)[2] - width + 1
    return tf.add_n(
        [
            parts[:, :, place : place + across, place * channels : (place + 1) * channels]
            for place in range(width)
        ]
    )


def _pads(size: int, padding: str) -> tuple[int, int]:
    """What the way back pads, where the way forward padded all that a kernel of `size` needs."""
    before = (size - 1) // 2 if padding == "same" else 0
    after = size - 1 - before if padding == "same" else 0
    return size - 1 - before, size - 1 - after

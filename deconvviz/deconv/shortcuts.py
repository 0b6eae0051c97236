"""The same by other ops: what the compiled ways put in the place of a layer's call or of a rule.

The rules say what is meant, with the switches and the ops of the papers. Each shortcut here gives
what its rule gives, and won a measurement (docs/performance.md); the tests hold one to the other.
"""

import math
import sys

import keras
import tensorflow as tf

from deconvviz.deconv.graph import Step, Tensors
from deconvviz.deconv.rules import (
    Rule,
    StepTrace,
    minus_bias,
    subtract_bias_then_transpose,
    transposed_convolution,
    unpooling,
)
from deconvviz.deconv.trace import Call

# Below so many positions it costs more to turn the kernel around than the other op saves; with so
# large a kernel the other op saves nothing.
_MANY_POSITIONS = 2**13
_LARGE_KERNEL = 2**18
# Below so many values the pool's gradient stays in the cache; and XLA compiles for every new shape.
_MANY_VALUES = 2**20
# A convolution pads the channels that it gives to a multiple of what a vector register holds.
_FEW_CHANNELS = 8


def convolve(step: Step, tensors: Tensors) -> tuple[tf.Tensor, ...]:
    """Convolve, with the bias added in the form that TensorFlow fuses into the convolution."""
    layer, x = step.operation, tensors[0]
    plain = layer.groups == 1 and tuple(layer.dilation_rate) == (1, 1) and layer.use_bias
    one_precision = layer.compute_dtype == layer.variable_dtype == x.dtype.name
    if not (plain and one_precision and layer.data_format == "channels_last"):
        return step.call(tensors)
    kernel, bias = tf.convert_to_tensor(layer.kernel), tf.convert_to_tensor(layer.bias)
    sums = tf.nn.conv2d(x, kernel, layer.strides, layer.padding.upper())
    return (tf.nn.bias_add(sums, bias),)


def unpool_in_place(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Unpool without switches: by the max pool's own gradient, which finds them as it goes.

    To take the switches as indices and to scatter at them costs several times as much. The usual
    pool, of twos by twos, is quicker still as a comparison that XLA compiles into one loop.
    """
    pool = traced.step.operation
    if not isinstance(pool, keras.layers.MaxPooling2D):
        return unpooling(traced, signal)
    pooled, maxima = (tf.cast(x, signal.dtype) for x in (*traced.inputs, *traced.outputs))

    def by_gradient() -> tf.Tensor:
        return tf.raw_ops.MaxPoolGrad(
            orig_input=pooled,
            orig_output=maxima,
            grad=signal,
            ksize=[1, *pool.pool_size, 1],
            strides=[1, *pool.strides, 1],
            padding=pool.padding.upper(),
        )

    if not _is_two_by_two(pool, pooled.shape):
        return (by_gradient(),)
    worth_it = tf.size(pooled) >= _MANY_VALUES
    return (tf.cond(worth_it, lambda: _unpool_fours(pooled, maxima, signal), by_gradient),)


def _is_two_by_two(pool: keras.layers.MaxPooling2D, shape: tf.TensorShape) -> bool:
    fours = tuple(pool.pool_size) == tuple(pool.strides) == (2, 2)
    tiled = all(size is not None and size % 2 == 0 for size in shape[1:3])
    return fours and tiled and sys.platform == "linux"  # XLA was not tried elsewhere


@tf.function(jit_compile=True, autograph=False)
def _unpool_fours(pooled: tf.Tensor, maxima: tf.Tensor, signal: tf.Tensor) -> tf.Tensor:
    """Give each value to the first of its window's four that equals the maximum."""
    images, height, width = tf.unstack(tf.shape(maxima)[:3])
    fours = tf.reshape(pooled, [images, height, 2, width, 2, maxima.shape[3]])
    nothing = tf.zeros_like(signal)
    rows = []
    for y in (0, 1):
        row = []
        for x in (0, 1):
            largest = fours[:, :, y, :, x] == maxima
            row.append(tf.where(largest, signal, nothing))
            signal = tf.where(largest, nothing, signal)
        rows.append(tf.stack(row, axis=3))
    return tf.reshape(tf.stack(rows, axis=2), tf.shape(pooled))


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


CALLS: dict[object, Call] = {keras.layers.Conv2D: convolve}
"""For a kind of step, what gives its output in less time."""

SHORTCUTS: dict[Rule, Rule] = {
    unpooling: unpool_in_place,
    transposed_convolution: convolve_back,
    subtract_bias_then_transpose: subtract_bias_then_convolve_back,
}
"""For a rule, what gives the same map in less time."""


def _turned_around(signal: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    down, across = (_pads(size, padding) for size in kernel.shape[:2])
    height, width, channels, maps = kernel.shape
    places = tf.reshape(kernel, [height * width, channels, maps])
    backwards = tf.gather(places, range(height * width - 1, -1, -1))  # quicker than tf.reverse
    turned = tf.reshape(tf.transpose(backwards, [0, 2, 1]), [height, width, maps, channels])
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

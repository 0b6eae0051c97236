"""Maxima that remember where they stood, and unpooling that puts a signal back there.

A *switch* is the place of a window's maximum. Pooling with switches and unpooling are the two
halves of the deconvnet's answer to a step that has no other way back (Zeiler & Fergus 2013,
Section 2.1). Everything else in this room is linear or a rectification.
"""

import functools
from collections.abc import Sequence

import tensorflow as tf


def max_pool_with_switches(
    x: tf.Tensor,
    pool_size: tuple[int, int] = (2, 2),
    strides: tuple[int, int] = (2, 2),
    padding: str = "same",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Pool, and keep the switches.

    Args:
        x: `[n, H, W, C]`, finite (a NaN makes the op's answer depend on where it stands).
        pool_size: the window's height and width.
        strides: the step between windows, down and across; smaller than the window, they overlap.
        padding: "same" or "valid". Padding never wins a window.

    Returns:
        The maxima `[n, h, w, C]`, and their switches, int64 `[n, h, w, C]`: the index
        `(y * W + x) * C + c` of each maximum in its own image. Of equal values, the first in
        row-major order of the window wins.
    """
    return tf.nn.max_pool_with_argmax(
        x, ksize=pool_size, strides=strides, padding=padding.upper(), output_dtype=tf.int64
    )


def global_max_with_switches(x: tf.Tensor, keep_axes: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """Take each map's maximum, and keep the switches, as a pool whose one window is the image.

    Args:
        x: `[n, H, W, C]`, finite.
        keep_axes: give `[n, 1, 1, C]` rather than `[n, C]`.

    Returns:
        The maxima and their switches, as `max_pool_with_switches` gives them.
    """
    images, channels = tf.shape(x)[0], tf.shape(x)[3]
    flat = tf.reshape(x, [images, -1, channels])
    place = tf.argmax(flat, axis=1)
    switches = place * tf.cast(channels, tf.int64) + tf.range(tf.cast(channels, tf.int64))
    largest = tf.reduce_max(flat, axis=1)
    if keep_axes:
        return largest[:, None, None, :], switches[:, None, None, :]
    return largest, switches


def maximum(tensors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Take the largest of several tensors, place by place, and keep the switches.

    Args:
        tensors: of shapes that broadcast to one.

    Returns:
        The maxima, and their switches, int64: the number of the tensor that each came from. Of
        equal values, the first wins.
    """
    shape = functools.reduce(tf.broadcast_dynamic_shape, map(tf.shape, tensors))
    stacked = tf.stack([tf.broadcast_to(tensor, shape) for tensor in tensors])
    return tf.reduce_max(stacked, axis=0), tf.argmax(stacked, axis=0)


def unpool(
    signal: tf.Tensor, switches: tf.Tensor, height_width: tuple[int | tf.Tensor, int | tf.Tensor]
) -> tf.Tensor:
    """Put every value where its window's maximum stood, zeros elsewhere.

    Where windows overlap and share a maximum, their values are summed: the adjoint of pooling at
    these switches, and the max pool's own gradient.

    Args:
        signal: `[n, h, w, C]`.
        switches: int64 `[n, h, w, C]` from `max_pool_with_switches`.
        height_width: H and W of what was pooled.

    Returns:
        `[n, H, W, C]`.

    Raises:
        tf.errors.InvalidArgumentError: if a switch lies outside the image. TensorFlow itself
            raises on a CPU and ignores it on a GPU, so it is checked here.

    References:
        Zeiler & Fergus 2013, Section 2.1, "Unpooling".
    """
    height, width = height_width
    images, channels = tf.shape(signal)[0], tf.shape(signal)[3]
    size = tf.cast(height * width * channels, switches.dtype)
    in_range = tf.debugging.Assert(
        tf.reduce_all((switches >= 0) & (switches < size)),
        ["a switch lies outside the image of size", size],
    )
    # A switch counts within its image; scattering counts through the batch.
    first = tf.range(tf.cast(images, switches.dtype)) * size
    with tf.control_dependencies([in_range] if in_range is not None else []):
        places = tf.reshape(switches + first[:, None, None, None], [-1, 1])
    total = tf.cast(images, switches.dtype) * size
    flat = tf.scatter_nd(places, tf.reshape(signal, [-1]), [total])
    return tf.reshape(flat, [images, height, width, channels])

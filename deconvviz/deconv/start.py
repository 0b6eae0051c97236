"""What is fed in at the top: the activations of a layer, of one feature map, or of one unit.

Zeiler & Fergus set all other activations of the layer to zero and keep the chosen one's value
(Section 2.1); the classic program keeps the whole layer; later code feeds 1 instead of the value.
"""

import tensorflow as tf


def start_signal(
    activation: tf.Tensor,
    feature: tf.Tensor | None = None,
    at: str | tf.Tensor | None = None,
    start: str = "activation",
) -> tf.Tensor:
    """Keep the chosen part of a layer's output, zeros elsewhere.

    Args:
        activation: `[n, h, w, C]`, or `[n, C]` for a layer without spatial axes.
        feature: int32 `[n]`, one feature map (or unit) an image; None keeps the whole layer.
        at: "max" keeps the strongest unit of the map in each image, int32 `[n, 2]` the units
            (y, x); None keeps the whole map.
        start: "activation" feeds the values themselves, "one" feeds 1 in their place.

    Returns:
        The start signal, of the activation's shape and type.
    """
    signal = activation if start == "activation" else tf.ones_like(activation)
    if feature is None:
        return signal
    one_map = tf.one_hot(feature, tf.shape(activation)[-1], dtype=activation.dtype)
    if len(activation.shape) == 2:
        return signal * one_map
    signal = signal * one_map[:, None, None, :]
    if at is None:
        return signal
    height, width = tf.shape(activation)[1], tf.shape(activation)[2]
    chosen = tf.gather(activation, feature, axis=3, batch_dims=1)
    if isinstance(at, str):
        place = tf.argmax(tf.reshape(chosen, [-1, height * width]), axis=1, output_type=tf.int32)
    else:
        place = at[:, 0] * width + at[:, 1]
    one_unit = tf.one_hot(place, height * width, dtype=activation.dtype)
    return signal * tf.reshape(one_unit, [-1, height, width, 1])

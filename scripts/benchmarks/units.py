"""One unit a map: VGG16 on whole images by the tape, and on what each unit sees by ours.

The tape is VGG16 with its ReLUs exchanged for ones of custom gradient, one gradient call in one
`tf.function`, in batches of the size that suits it better. It makes a part of the maps, and its
time is scaled up; each of its maps costs the same.
"""

from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import deconvviz
from scripts.benchmarks.classic import noise, relu_of_deconvnet
from scripts.benchmarks.timing import Effort, Row, as_fast, in_turn, quickest, require_equal, scaled

MAPS = 64
SIDE = 224
BATCHES = (8, 16)


@cache
def vgg() -> Any:
    """Give VGG16 with seeded random weights, without its dense layers."""
    keras.utils.set_random_seed(0)
    shape = (SIDE, SIDE, 3)
    return keras.applications.VGG16(weights=None, include_top=False, input_shape=shape)


def block2(effort: Effort) -> Row:
    """Time units of block2_conv2."""
    return _units("block2_conv2", 60, effort)


def block3(effort: Effort) -> Row:
    """Time units of block3_conv3."""
    return _units("block3_conv3", 20, effort)


def block4(effort: Effort) -> Row:
    """Time units of block4_conv3."""
    return _units("block4_conv3", 3.5, effort)


def _units(layer: str, at_least: float, effort: Effort) -> Row:
    images, net = noise(MAPS, SIDE), deconvviz.Deconvnet(vgg())
    features, places = _random_units(layer)
    tape = _tape(layer)

    def ours() -> Any:
        return net.reconstruct(images, layer, feature=features, at=places)

    def other(batch: int) -> Any:
        cuts = [slice(first, first + batch) for first in range(0, effort.maps, batch)]
        made = [tape(*map(tf.constant, (images[c], features[c], places[c]))).numpy() for c in cuts]
        return np.concatenate(made)

    require_equal(layer, ours()[: effort.maps], other(BATCHES[0]))
    sizes = [size for size in BATCHES if size <= effort.maps]
    batch = quickest(sizes, other) if len(sizes) > 1 else sizes[0]
    pairs = scaled(in_turn(ours, lambda: other(batch), effort.pairs), MAPS / effort.maps)
    what = (
        f"{MAPS} units of VGG16 {layer}, {SIDE}x{SIDE}: the tape (batches of {batch}; "
        f"{effort.maps} maps timed, scaled to {MAPS}) / ours"
    )
    return as_fast(what, pairs, at_least)


def _random_units(layer: str) -> tuple[Any, Any]:
    _, height, width, channels = vgg().get_layer(layer).output.shape
    random = np.random.default_rng(1)
    features = random.integers(0, channels, MAPS).astype(np.int32)
    places = random.integers(0, (height, width), (MAPS, 2)).astype(np.int32)
    return features, places


def _tape(layer: str) -> Any:
    below = keras.models.clone_model(vgg())
    below.set_weights(vgg().get_weights())
    for part in below.layers:
        if getattr(part, "activation", None) is keras.activations.relu:
            part.activation = relu_of_deconvnet
    below = keras.Model(below.inputs, below.get_layer(layer).output)

    @tf.function(autograph=False)
    def tape(x: tf.Tensor, feature: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            top = below(x, training=False)
        units = tf.stack([tf.range(tf.shape(x)[0]), place[:, 0], place[:, 1], feature], axis=1)
        signal = tf.scatter_nd(units, tf.gather_nd(top, units), tf.shape(top))
        return tape.gradient(top, x, output_gradients=signal)

    return tape

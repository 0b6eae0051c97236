"""The second layer of the classic network: ours against what a user would write by hand.

- The tape: forward ops with a ReLU of custom gradient, one gradient call, all in one `tf.function`.
- The classic program's own ops: an argmax pool, and an unpooling by four-dimensional scatter
  indices. It subtracts the biases and never rectifies, so its picture is that of rules="classic".
- The arithmetic of the four convolutions alone, at the best rate that matrix products reach here.
"""

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

import deconvviz
from deconvviz.config import ModelConfig
from deconvviz.models.classic import classic_network
from scripts.benchmarks.timing import (
    Effort,
    Pairs,
    Row,
    as_fast,
    as_long,
    in_turn,
    require_equal,
    seconds,
)

BATCH = 128
COUNT = 512
SIDE = 24
SIDES_OF_PRODUCTS = (1024, 1536, 2048)


@cache
def network() -> Any:
    """Give the classic network with seeded random weights."""
    tf.keras.utils.set_random_seed(0)
    return classic_network(ModelConfig(), (SIDE, SIDE, 3), 10)


def noise(count: int, side: int = SIDE) -> Any:
    """Draw standard-normal images."""
    random = np.random.default_rng(0)
    return random.standard_normal((count, side, side, 3), np.float32)


@tf.custom_gradient
def relu_of_deconvnet(x: tf.Tensor) -> Any:
    """Rectify, on the way back too, and there by the signal alone."""
    return tf.nn.relu(x), tf.nn.relu


@tf.function(autograph=False)
def forward(x: tf.Tensor) -> tf.Tensor:
    """Run images to conv2."""
    (first, bias1), (second, bias2) = _weights()
    pooled = _pool(relu_of_deconvnet(tf.nn.conv2d(x, first, 1, "SAME") + bias1))
    return relu_of_deconvnet(tf.nn.conv2d(pooled, second, 1, "SAME") + bias2)


@tf.function(autograph=False)
def tape_layer(x: tf.Tensor) -> tf.Tensor:
    """Reconstruct from the whole of pool2."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        top = _pool(forward(x))
    return tape.gradient(top, x, output_gradients=top)


@tf.function(autograph=False)
def tape_maps(x: tf.Tensor, feature: tf.Tensor) -> tf.Tensor:
    """Reconstruct from one feature map of conv2 an image."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        top = forward(x)
    signal = top * tf.one_hot(feature, top.shape[-1])[:, None, None, :]
    return tape.gradient(top, x, output_gradients=signal)


@tf.function(autograph=False)
def program(x: tf.Tensor) -> tf.Tensor:
    """Reconstruct from the whole of pool2 with the classic program's ops."""
    (first, bias1), (second, bias2) = _weights()
    conv1 = tf.nn.relu(tf.nn.conv2d(x, first, 1, "SAME") + bias1)
    pool1, mask1 = _pool_and_mask(conv1)
    conv2 = tf.nn.relu(tf.nn.conv2d(pool1, second, 1, "SAME") + bias2)
    pool2, mask2 = _pool_and_mask(conv2)
    below = tf.nn.conv2d_transpose(_unpool(pool2, mask2) - bias2, second, pool1.shape, 1)
    return tf.nn.conv2d_transpose(_unpool(below, mask1) - bias1, first, x.shape, 1)


def layer_two(effort: Effort) -> Row:
    """Time the whole layer against the tape."""
    images, net = noise(COUNT), deconvviz.Deconvnet(network())
    require_equal("Layer 2", net.reconstruct(images, "pool2"), _batched(tape_layer, images))
    pairs = in_turn(
        lambda: net.reconstruct(images, "pool2"),
        lambda: _batched(tape_layer, images),
        2 * effort.pairs,
    )
    return as_fast(f"whole layer 2, {COUNT} images: the tape / ours", pairs, 1.3)


def layer_two_as_the_program(effort: Effort) -> Row:
    """Time the whole layer against the classic program."""
    pairs = _against_program("deconvnet", 2 * effort.pairs)
    return as_fast("the same: the classic program's ops / ours", pairs, 2.5)


def layer_two_by_the_same_rule(effort: Effort) -> Row:
    """Time the classic program's own picture against the classic program."""
    pairs = _against_program("classic", effort.pairs)
    what = f'whole layer 2, {COUNT} images: the classic program\'s ops / ours with rules="classic"'
    return as_fast(what, pairs)


def arithmetic(effort: Effort) -> Row:
    """Time the whole layer against its arithmetic alone."""
    images, net = noise(COUNT), deconvviz.Deconvnet(network())
    products = [_product(side) for side in SIDES_OF_PRODUCTS]

    def fastest() -> float:
        return max(2 * side**3 / seconds(call) for side, call in products for _ in range(2))

    net.reconstruct(images, "pool2"), fastest()
    rates, pairs = [], []
    for _ in range(4 * effort.pairs):
        rates.append(fastest())
        pairs.append((seconds(lambda: net.reconstruct(images, "pool2")), _work() / rates[-1]))
    peak = np.median(rates) / 1e9
    arithmetic_alone = f"its {_work() / 1e9:.1f} GFLOP at the peak of {peak:.0f} GFLOP/s"
    return as_long(f"whole layer 2, {COUNT} images: ours / {arithmetic_alone}", pairs, 1.5)


def all_maps(effort: Effort) -> Row:
    """Time every feature map of conv2 for one image against the tape on its copies."""
    image, net = noise(1), deconvviz.Deconvnet(network())
    features = np.arange(64, dtype=np.int32)
    copies, indices = tf.constant(np.repeat(image, 64, axis=0)), tf.constant(features)

    def ours() -> Any:
        return net.reconstruct(image, "conv2", feature=features)

    def other() -> Any:
        return tape_maps(copies, indices).numpy()

    require_equal("All feature maps", ours(), other())
    pairs = in_turn(ours, other, 4 * effort.pairs)
    return as_fast("all 64 feature maps of conv2, one image: the tape / ours", pairs, 2)


def _against_program(rules: str, pairs: int) -> Pairs:
    images, net = noise(COUNT), deconvviz.Deconvnet(network(), rules=rules)
    if rules == "classic":
        require_equal("The program", net.reconstruct(images, "pool2"), _batched(program, images))
    return in_turn(
        lambda: net.reconstruct(images, "pool2"), lambda: _batched(program, images), pairs
    )


def _weights() -> list[tuple[Any, Any]]:
    return [tuple(network().get_layer(name).weights) for name in ("conv1", "conv2")]


def _pool(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, 2, 2, "SAME")


def _pool_and_mask(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # Both ops, as the program has them: the maxima from the one, the places from the other.
    _, mask = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")
    return _pool(x), tf.stop_gradient(mask)


def _unpool(x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    count, height, width, channels = x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]
    ones = tf.ones_like(mask)
    batch = ones * tf.reshape(tf.range(count, dtype=tf.int64), [count, 1, 1, 1])
    row = mask // (width * channels)
    column = mask % (width * channels) // channels
    channel = ones * tf.range(channels, dtype=tf.int64)
    places = tf.transpose(tf.reshape(tf.stack([batch, row, column, channel]), [4, tf.size(x)]))
    return tf.scatter_nd(places, tf.reshape(x, [tf.size(x)]), [count, height, width, channels])


def _batched(function: Any, images: Any) -> Any:
    batches = (images[first : first + BATCH] for first in range(0, len(images), BATCH))
    return np.concatenate([function(tf.constant(batch)).numpy() for batch in batches])


def _work() -> float:
    """Count the operations of both convolutions, there and back, a product and a sum as two."""
    places = {"conv1": SIDE**2, "conv2": (SIDE // 2) ** 2}
    sizes = {name: int(tf.size(network().get_layer(name).kernel)) for name in places}
    return COUNT * sum(4.0 * places[name] * sizes[name] for name in places)


def _product(side: int) -> tuple[int, Any]:
    factor = tf.random.stateless_uniform((side, side), (0, 0))
    return side, lambda: tf.matmul(factor, factor).numpy()

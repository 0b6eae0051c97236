"""The arithmetic of training: one step, and the accuracy over a data set.

The loss is the classic program's: cross-entropy summed over the batch plus l2_loss (half the sum of
squares) of every kernel. It is taken from the logits, so that no logarithm ever meets a zero.
"""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from deconvviz.config import TrainConfig


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """Adam as TensorFlow 1 had it: its epsilon is 1e-8 where Keras takes 1e-7."""
    return keras.optimizers.Adam(config.learning_rate, epsilon=1e-8)


def make_train_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, config: TrainConfig
) -> Any:
    """Compile one training step.

    Args:
        model: a classifier whose last layer is a softmax.
        optimizer: it is built for the model's variables here.
        config: for the weight of the l2 term.

    Returns:
        A `tf.function` of images `[n, H, W, C]` and labels int64 `[n]` that updates the model and
        returns the loss before the update, a float32 scalar.
    """
    logits = keras.Model(model.inputs, model.layers[-1].input)
    kernels = [weight for weight in model.trainable_variables if weight.name == "kernel"]
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def train_step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, logits(images, training=True)
            )
            l2 = tf.add_n([tf.nn.l2_loss(kernel.value) for kernel in kernels])
            loss = tf.reduce_sum(cross_entropy) + config.l2 * l2
        gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
        optimizer.apply(gradients)
        return loss

    return train_step


def make_accuracy(model: keras.Model) -> Callable[[Iterable[tuple[tf.Tensor, tf.Tensor]]], float]:
    """Compile the share of a data set's images whose most probable class is their label, 0 to 1."""

    @tf.function(autograph=False, reduce_retracing=True)
    def right(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return tf.math.count_nonzero(tf.argmax(model(images, training=False), axis=1) == labels)

    def accuracy(batches: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> float:
        hits = images = 0
        for x, y in batches:
            hits += int(right(x, y))
            images += int(tf.shape(y)[0])
        return hits / images

    return accuracy

"""The arithmetic of training: one step, and the accuracy over a data set.

The loss is the classic program's: cross-entropy summed over the batch plus l2_loss (half the sum of
squares) of every kernel. It is taken from the logits, so that no logarithm ever meets a zero. What
the deeper networks need on top of that is off unless their configuration asks for it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from deconvviz.config import TrainConfig


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """Give the optimizer that a configuration names, with its learning rate over the steps.

    Adam is as TensorFlow 1 had it: its epsilon is 1e-8 where Keras takes 1e-7. Momentum is 0.9, as
    in Zeiler & Fergus 2013, Section 3.
    """
    with _in_float32():
        if config.optimizer == "adam":
            return keras.optimizers.Adam(_learning_rate(config), epsilon=1e-8)
        return keras.optimizers.SGD(_learning_rate(config), momentum=0.9)


@contextmanager
def _in_float32() -> Iterator[None]:
    """Keep Keras's learning rates, whose precision is the process's floatx, out of float16.

    There a run's steps soon pass the largest number. Keras takes the precision from nowhere else.
    """
    before = keras.config.floatx()
    keras.config.set_floatx("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def _learning_rate(config: TrainConfig) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A constant, or one cycle: up along a line over a fifth of the steps, down along a cosine."""
    if config.schedule == "constant":
        return config.learning_rate
    rising = max(1, config.steps // 5)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, config.steps - rising), warmup_target=config.learning_rate, warmup_steps=rising
    )


def make_train_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, config: TrainConfig
) -> Any:
    """Compile one training step.

    Args:
        model: a classifier whose last layer is a softmax.
        optimizer: it is built for the model's variables here.
        config: for the weight of the l2 term, and the share of the labels that is smoothed.

    Returns:
        A `tf.function` of images `[n, H, W, C]` and labels int64 `[n]` that updates the model and
        returns the loss before the update, a float32 scalar.
    """
    logits = keras.Model(model.inputs, model.layers[-1].input)
    kernels = [weight for weight in model.trainable_variables if weight.name == "kernel"]
    with _in_float32():
        optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def train_step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            cross_entropy = _cross_entropy(
                labels, logits(images, training=True), config.label_smoothing
            )
            l2 = tf.add_n([tf.nn.l2_loss(kernel.value) for kernel in kernels])
            loss = tf.reduce_sum(cross_entropy) + config.l2 * l2
        gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
        with _in_float32():  # while this is traced
            optimizer.apply(gradients)
        return loss

    return train_step


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Of each image, float32 `[n]`; a share of each label may be spread over all classes alike.

    Source: Szegedy et al. 2016, arXiv:1512.00567, Section 7, for the smoothing.
    """
    if smoothing == 0:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    classes = int(logits.shape[-1])
    aim = tf.one_hot(labels, classes, 1 - smoothing + smoothing / classes, smoothing / classes)
    return tf.nn.softmax_cross_entropy_with_logits(aim, logits)


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

"""Training: our step against Keras's own, and how long the steps wait for their batches."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deconvviz.config import ModelConfig, TrainConfig
from deconvviz.data import Preprocess, Split, training_batches
from deconvviz.models.classic import classic_network
from deconvviz.training.loop import make_optimizer, make_train_step
from scripts.benchmarks.timing import Effort, Limit, Row, as_long, in_turn

BATCH = 128
EPOCH = 50_000 // BATCH


def training_step(effort: Effort) -> Row:
    """Time our step against Keras's `fit` of the same network, loss, optimizer and batches."""
    config = TrainConfig(batch_size=BATCH)
    model = classic_network(ModelConfig(), (24, 24, 3), 10)
    stock = _stock_network()
    stock.set_weights(model.get_weights())
    stock.compile(make_optimizer(config), _summed_cross_entropy(), jit_compile=False)
    step = make_train_step(model, make_optimizer(config), config)
    counted = tf.data.experimental.assert_cardinality(effort.steps)
    batches = _batches().take(effort.steps).cache().apply(counted)

    def ours() -> None:
        for images, labels in batches:
            step(images, labels)

    def theirs() -> None:
        stock.fit(batches, epochs=1, shuffle=False, verbose=0)

    pairs = in_turn(ours, theirs, effort.pairs)
    what = f"{effort.steps} training steps: ours / Keras `fit` with stock MaxPooling2D"
    return as_long(what, pairs, 1.05)


def waiting_for_input(effort: Effort) -> Row:
    """Measure the share of the time that steps wait for batches, an epoch's end among them."""
    config = TrainConfig(batch_size=BATCH)
    model = classic_network(ModelConfig(), (24, 24, 3), 10)
    step = make_train_step(model, make_optimizer(config), config)
    batches = iter(_batches(start_step=EPOCH - effort.pairs * effort.steps // 2))
    step(*next(batches))  # the first step is compiled
    shares = [_share_waiting(step, batches, effort.steps) for _ in range(effort.pairs)]
    return Row("share of an epoch spent waiting for input", shares, Limit(0.05))


def _stock_network() -> Any:
    """The classic network as anyone would write it in Keras."""
    layers = keras.layers

    def convolution(filters: int) -> Any:
        decay = keras.regularizers.L2(0.5)
        return layers.Conv2D(
            filters, 5, padding="same", activation="relu", kernel_regularizer=decay
        )

    return keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            convolution(64),
            layers.MaxPooling2D(2, padding="same"),
            convolution(64),
            layers.MaxPooling2D(2, padding="same"),
            convolution(10),
            layers.AveragePooling2D(6),
            layers.Flatten(),
            layers.Softmax(),
        ]
    )


def _summed_cross_entropy() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(reduction="sum")


def _batches(start_step: int = 0) -> Any:
    """Training batches of noise in the shape of CIFAR-10."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (EPOCH * BATCH, 32, 32, 3), np.uint8)
    labels = random.integers(0, 10, len(images))
    return training_batches(
        Split(images, labels),
        Preprocess("standardize", 24),
        batch_size=BATCH,
        seed=0,
        start_step=start_step,
    )


def _share_waiting(step: Callable[..., Any], batches: Iterator[Any], steps: int) -> float:
    began, waited = time.perf_counter(), 0.0
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        step(*batch).numpy()
    return waited / (time.perf_counter() - began)

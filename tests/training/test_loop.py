"""The optimizers, the learning rate over the steps, and smoothed labels, against numpy."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deconvviz.config import ModelConfig, TrainConfig
from deconvviz.models.networks import build_network
from deconvviz.training.loop import make_optimizer, make_train_step
from deconvviz.training.small_files import Progress
from deconvviz.training.state import restore_state, save_state


def linear(weights: np.ndarray) -> Any:
    images = keras.Input((weights.shape[0],))
    logits = keras.layers.Dense(weights.shape[1], use_bias=False, name="logits")
    model = keras.Model(images, keras.layers.Softmax()(logits(images)))
    logits.set_weights([weights])
    return model


def probabilities(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_a_run_of_many_steps_learns_as_fast_where_keras_counts_in_float16(schedule: str) -> None:
    config = TrainConfig.model_validate(
        {"steps": 100_000, "learning_rate": 1e-3, "schedule": schedule, "optimizer": "momentum"}
    )
    learnt = []
    for floatx in ("float32", "float16"):
        model = linear(np.zeros((3, 2), np.float32))
        keras.config.set_floatx(floatx)
        try:
            optimizer = make_optimizer(config)
            step = make_train_step(model, optimizer, config)
            optimizer.iterations.assign(70_000)
            step(tf.ones((4, 3)), tf.constant([0, 1, 1, 1], tf.int64))
        finally:
            keras.config.set_floatx("float32")
        learnt.append(np.asarray(model.layers[1].kernel))
    assert np.isfinite(learnt).all()
    np.testing.assert_array_equal(learnt[0], learnt[1])


def test_a_cycle_rises_over_a_fifth_of_the_steps_and_falls_to_zero_along_a_cosine() -> None:
    optimizer = make_optimizer(TrainConfig(steps=100, learning_rate=0.5, schedule="one-cycle"))
    rates = []
    for step in range(101):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates[:21], np.arange(21) / 20 * 0.5, atol=1e-7)
    falling = 0.25 * (1 + np.cos(np.pi * np.arange(81) / 80))
    np.testing.assert_allclose(rates[20:], falling, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_even_the_shortest_run_has_a_cycle(steps: int) -> None:
    optimizer = make_optimizer(TrainConfig(steps=steps, learning_rate=0.5, schedule="one-cycle"))
    for step in range(steps + 1):
        optimizer.iterations.assign(step)
        assert 0 <= float(optimizer.learning_rate) <= 0.5


def test_a_constant_rate_is_the_default() -> None:
    optimizer = make_optimizer(TrainConfig(learning_rate=0.25))
    assert isinstance(optimizer, keras.optimizers.Adam)
    optimizer.iterations.assign(1000)
    assert float(optimizer.learning_rate) == 0.25


def test_smoothed_labels_and_momentum_take_the_steps_that_numpy_takes() -> None:
    random = np.random.default_rng(0)
    x, weights = random.normal(size=(6, 5)), random.normal(size=(5, 3)) * 0.3
    labels = np.array([0, 1, 2, 2, 1, 0])
    smoothing, l2, rate = 0.3, 0.05, 0.02
    config = TrainConfig(optimizer="momentum", learning_rate=rate, label_smoothing=smoothing, l2=l2)
    model = linear(weights.astype(np.float32))
    step = make_train_step(model, make_optimizer(config), config)

    aim = np.eye(3)[labels] * (1 - smoothing) + smoothing / 3
    velocity = np.zeros_like(weights)
    for _ in range(3):
        p = probabilities(x @ weights)
        expected = -(aim * np.log(p)).sum() + l2 * (weights**2).sum() / 2
        loss = float(step(tf.constant(x, tf.float32), tf.constant(labels)))
        assert loss == pytest.approx(expected, rel=1e-5)
        gradient = x.T @ (p - aim) + l2 * weights
        velocity = 0.9 * velocity - rate * gradient
        weights = weights + velocity
        np.testing.assert_allclose(model.get_layer("logits").kernel.numpy(), weights, rtol=1e-4)


def test_a_stopped_cycle_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """Normalisation's averages, momentum, dropout and the place in the cycle are all kept."""
    config = TrainConfig(steps=6, optimizer="momentum", schedule="one-cycle", learning_rate=1e-3)
    random = np.random.default_rng(0)
    x = [tf.constant(random.normal(size=(8, 8, 8, 3)), tf.float32) for _ in range(6)]
    y = tf.constant(random.integers(0, 4, 8))

    def start() -> tuple[Any, Any, Any]:
        keras.utils.set_random_seed(0)
        network = ModelConfig(name="deep", dropout=0.5, filter_rms=0.1)
        model = build_network(network, (8, 8, 3), 4)
        optimizer = make_optimizer(config)
        return model, optimizer, make_train_step(model, optimizer, config)

    model, optimizer, step = start()
    for number, images in enumerate(x):
        if number == 3:
            save_state(tmp_path / "state.npz", model, optimizer, Progress(step=3))
        step(images, y)
    again, optimizer, step = start()
    restore_state(tmp_path / "state.npz", again, optimizer)
    for images in x[3:]:
        step(images, y)
    for expected, given in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(given, expected)

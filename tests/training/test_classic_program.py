"""Training takes the same steps as the classic program, rebuilt here as a TF1 graph in a session.

The program (METHOD 4.1): three 5x5 convolutions with ReLU, two 2x2 max pools, a 6x6 average pool,
softmax; cross-entropy summed over the batch plus l2_loss of the three kernels; Adam at 1e-4 as TF1
has it, epsilon 1e-8.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

tf1 = tf.compat.v1
Array = np.ndarray
BATCH, STEPS = 128, 20
NAMES = ("conv1", "conv2", "conv3")


class ClassicProgram:
    """The program's graph, started from given weights [W1, b1, W2, b2, W3, b3]."""

    def __init__(self, weights: list[Array]) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.x = tf1.placeholder(tf.float32, [BATCH, 24, 24, 3])
            self.y = tf1.placeholder(tf.float32, [BATCH, 10])
            self.variables = [tf1.Variable(w, use_resource=False) for w in weights]
            w1, b1, w2, b2, w3, b3 = self.variables
            h_pool1 = self._pool(tf1.nn.relu(self._conv(self.x, w1) + b1))
            h_pool2 = self._pool(tf1.nn.relu(self._conv(h_pool1, w2) + b2))
            h_conv3 = tf1.nn.relu(self._conv(h_pool2, w3) + b3)
            average = tf1.nn.avg_pool(h_conv3, [1, 6, 6, 1], [1, 6, 6, 1], padding="SAME")
            y_conv = tf1.nn.softmax(tf1.reshape(average, [-1, 10]))
            self.cross_entropy = -tf1.reduce_sum(self.y * tf1.log(y_conv))
            self.l2 = tf1.nn.l2_loss(w1) + tf1.nn.l2_loss(w2) + tf1.nn.l2_loss(w3)
            self.loss = self.cross_entropy + self.l2
            self.train_step = tf1.train.AdamOptimizer(1e-4).minimize(self.loss)
            start = tf1.global_variables_initializer()
        self.session = tf1.Session(graph=self.graph)
        self.session.run(start)

    @staticmethod
    def _conv(x: Any, w: Any) -> Any:
        return tf1.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME")

    @staticmethod
    def _pool(x: Any) -> Any:
        return tf1.nn.max_pool(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")

    def run(self, what: Any, x: Array, labels: Array) -> Any:
        return self.session.run(what, {self.x: x, self.y: np.eye(10)[labels]})


def batches(seed: int) -> Iterator[tuple[Array, Array]]:
    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        x = random.normal(size=(BATCH, 24, 24, 3)).astype(np.float32)
        yield x, random.integers(0, 10, BATCH)


def network(**settings: Any) -> tuple[Any, list[Array]]:
    """Give our network and its weights in the program's order."""
    import keras

    from deconvviz.config import ModelConfig
    from deconvviz.models.classic import classic_network

    keras.utils.set_random_seed(7)
    model = classic_network(ModelConfig(**settings), (24, 24, 3), 10)
    return model, weights_of(model)


def weights_of(model: Any) -> list[Array]:
    return [weight for name in NAMES for weight in model.get_layer(name).get_weights()]


def stepper(model: Any) -> Any:
    from deconvviz.config import TrainConfig
    from deconvviz.training.loop import make_optimizer, make_train_step

    return make_train_step(model, make_optimizer(TrainConfig()), TrainConfig())


def test_twenty_steps_give_the_classic_programs_losses_and_weights() -> None:
    model, weights = network()
    program, step = ClassicProgram(weights), stepper(model)
    for number, (x, labels) in enumerate(batches(0)):
        expected, _ = program.run([program.loss, program.train_step], x, labels)
        loss = float(step(tf.constant(x), tf.constant(labels)))
        assert np.isfinite(expected)
        assert loss == pytest.approx(expected, rel=1e-5), f"step {number}"

    ours = weights_of(model)
    theirs = program.session.run(program.variables)
    for start, mine, other in zip(weights, ours, theirs, strict=True):
        assert np.abs(mine - other).max() < 1e-4 * np.abs(other).max()
        # Twenty steps move a weight by 2e-3 at most, so the way itself is compared as well.
        assert np.linalg.norm(mine - other) < 1e-2 * np.linalg.norm(other - start)


def test_the_loss_is_the_one_before_the_update() -> None:
    model, weights = network()
    x, labels = next(batches(1))
    program, step = ClassicProgram(weights), stepper(model)
    expected = float(program.run(program.loss, x, labels))
    assert float(step(tf.constant(x), tf.constant(labels))) == pytest.approx(expected, rel=1e-5)
    assert float(step(tf.constant(x), tf.constant(labels))) != pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("std", [0.01, 0.1])
def test_the_initial_loss_is_what_the_initialisation_lets_expect(std: float) -> None:
    """METHOD 4.1: at .01, 128 ln 10 = 294.73 for the guess and 4.76 for the kernels."""
    model, weights = network(init_std=std)
    density = np.exp(-2) / np.sqrt(2 * np.pi)  # of a normal, where truncation cuts it at 2
    spread = 1 - 4 * density / 0.954499736  # the variance that truncation leaves
    count = 25 * (3 * 64 + 64 * 64 + 64 * 10)
    expected_l2 = count * std**2 * spread / 2
    x, labels = next(batches(2))
    program = ClassicProgram(weights)
    cross_entropy, l2 = program.run([program.cross_entropy, program.l2], x, labels)
    assert l2 == pytest.approx(expected_l2, rel=0.02)  # a hundred thousand draws scatter by .005
    assert all(np.all(bias == np.float32(0.1)) for bias in weights[1::2])
    loss = float(stepper(model)(tf.constant(x), tf.constant(labels)))
    assert loss == pytest.approx(cross_entropy + l2, rel=1e-5)
    if std == 0.01:  # so small that all ten answers are nearly alike
        assert loss == pytest.approx(BATCH * np.log(10) + expected_l2, rel=0.01)

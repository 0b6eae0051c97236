#!/usr/bin/env python3
"""What deconvviz costs, as ratios measured in one run: `python scripts/bench.py [--quick]`.

The two sides of a ratio are timed in turn, and the median of the pairs counts, so that a machine
that grows slower or busier meanwhile slows both. Exit status 1 says that a limit was missed.

A row of the table is a function from `Effort` to `Row`; a new one joins `ROWS` at the end.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deconvviz.cli.quiet import import_tensorflow

BATCH = 128
EPOCH = 50_000 // BATCH


@dataclass(frozen=True)
class Effort:
    """How long to measure: pairs of timings, and training steps in each timing."""

    pairs: int
    steps: int


@dataclass(frozen=True)
class Row:
    """One line of the table: every pair's number, of which the median must keep the limit."""

    what: str
    measured: list[float]
    limit: float
    unit: str = ""

    @property
    def kept(self) -> bool:
        return statistics.median(self.measured) <= self.limit

    def __str__(self) -> str:
        median, low, high = (f(self.measured) for f in (statistics.median, min, max))
        return (
            f"| {self.what} | {median:.3f}{self.unit} ({low:.3f} to {high:.3f}) "
            f"| at most {self.limit:g}{self.unit} | {'kept' if self.kept else 'MISSED'} |"
        )


def training_step(effort: Effort) -> Row:
    """Our step against Keras's own `fit` of the same network, loss, optimizer and batches."""
    import tensorflow as tf

    from deconvviz.config import ModelConfig, TrainConfig
    from deconvviz.models.classic import classic_network
    from deconvviz.training.loop import make_optimizer, make_train_step

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

    pairs = _in_turn(ours, theirs, effort.pairs)
    ratios = [one / other for one, other in pairs]
    return Row("training step / Keras `fit` with stock MaxPooling2D", ratios, 1.05)


def waiting_for_input(effort: Effort) -> Row:
    """The share of the time that training steps wait for their batch, an epoch's end among them."""
    from deconvviz.config import ModelConfig, TrainConfig
    from deconvviz.models.classic import classic_network
    from deconvviz.training.loop import make_optimizer, make_train_step

    config = TrainConfig(batch_size=BATCH)
    model = classic_network(ModelConfig(), (24, 24, 3), 10)
    step = make_train_step(model, make_optimizer(config), config)
    batches = iter(_batches(start_step=EPOCH - effort.pairs * effort.steps // 2))
    step(*next(batches))  # the first step is compiled
    shares = [_share_waiting(step, batches, effort.steps) for _ in range(effort.pairs)]
    return Row("share of an epoch spent waiting for input", shares, 0.05)


def start_of_help(effort: Effort) -> Row:
    """The seconds of `deconvviz --help`; it must not import TensorFlow."""
    command = [str(Path(sys.executable).with_name("deconvviz")), "--help"]
    traced = [sys.executable, "-X", "importtime", "-m", "deconvviz", "--help"]
    imports = subprocess.run(traced, capture_output=True, text=True, check=True).stderr
    if "tensorflow" in imports:
        raise SystemExit("deconvviz --help imports TensorFlow.")
    seconds = [
        _seconds(lambda: subprocess.run(command, capture_output=True, check=True))
        for _ in range(2 * effort.pairs)
    ]
    return Row("`deconvviz --help`, no TensorFlow imported", seconds, 0.4, " s")


ROWS: tuple[Callable[[Effort], Row], ...] = (training_step, waiting_for_input, start_of_help)


def _stock_network() -> Any:
    """The classic network as anyone would write it in Keras."""
    from keras import Input, Sequential, layers, regularizers

    def convolution(filters: int) -> layers.Conv2D:
        decay = regularizers.L2(0.5)
        return layers.Conv2D(
            filters, 5, padding="same", activation="relu", kernel_regularizer=decay
        )

    return Sequential(
        [
            Input((24, 24, 3)),
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
    import keras

    return keras.losses.SparseCategoricalCrossentropy(reduction="sum")


def _batches(start_step: int = 0) -> Any:
    """Training batches of noise in the shape of CIFAR-10."""
    from deconvviz.data import Preprocess, Split, training_batches

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


def _in_turn(
    one: Callable[[], object], other: Callable[[], object], pairs: int
) -> list[tuple[float, float]]:
    one(), other()  # whatever is compiled or cached on first use
    timed = []
    for pair in range(pairs):
        if pair % 2:
            later = _seconds(other)
            timed.append((_seconds(one), later))
        else:
            timed.append((_seconds(one), _seconds(other)))
    return timed


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what deconvviz costs.")
    parser.add_argument("--quick", action="store_true", help="about a minute, less exact")
    effort = Effort(pairs=5, steps=20) if parser.parse_args().quick else Effort(pairs=9, steps=60)

    import_tensorflow()
    import tensorflow as tf

    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}{load}; medians of {effort.pairs} pairs taken in turn\n"
    )
    print("| what | median (range) | allowed | |\n|---|---|---|---|")
    rows = []
    for row in ROWS:
        rows.append(row(effort))
        print(rows[-1], flush=True)
    sys.exit(not all(row.kept for row in rows))


if __name__ == "__main__":
    main()

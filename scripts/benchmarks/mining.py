"""Mining: the strongest units of both layers of the classic network, and their figure.

The bare forward pass runs to conv2 in one `tf.function` and gives one number, in batches of the
size that suits it best. Peak memory is taken of processes of their own that mine a stream of
images, none of which stays in memory.
"""

import statistics
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import deconvviz
from deconvviz.data import Preprocess
from deconvviz.drawings.features import Features, write_features
from deconvviz.drawings.rows import Pictured
from scripts.benchmarks.classic import SIDE, forward, network
from scripts.benchmarks.timing import Effort, Limit, Row, as_long, in_turn, quickest

LAYERS = ("conv1", "conv2")
BATCHES = (64, 128, 256)
PREPROCESS = Preprocess("standardize")
MEMORY = """
import re, sys
from pathlib import Path
from deconvviz.cli.quiet import import_tensorflow
import_tensorflow()
import tensorflow as tf, deconvviz
from deconvviz.config import ModelConfig
from deconvviz.models.classic import classic_network
net = deconvviz.Deconvnet(classic_network(ModelConfig(), (24, 24, 3), 10))
images = tf.data.Dataset.range(int(sys.argv[1]) // 250).map(
    lambda batch: tf.random.stateless_normal((250, 24, 24, 3), (0, batch))
)
deconvviz.strongest_activations(net, images, ["conv1", "conv2"], k=9)
# getrusage would count in what the parent held when it started this process.
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def mining(effort: Effort) -> Row:
    """Time mining against the bare forward pass."""
    net, images = deconvviz.Deconvnet(network()), PREPROCESS(_pixels(effort.images))
    batch = quickest(BATCHES, lambda size: _bare(images, size))
    pairs = in_turn(
        lambda: deconvviz.strongest_activations(net, images, LAYERS, k=9),
        lambda: _bare(images, batch),
        effort.pairs,
    )
    what = (
        f"strongest 9 of every feature of conv1 and conv2, {effort.images:,} images: ours / bare "
        f"forward pass (batches of {batch})"
    )
    return as_long(what, pairs, 1.15)


def figure(effort: Effort) -> Row:
    """Time mining and drawing against mining alone."""
    net, pixels = deconvviz.Deconvnet(network()), _pixels(effort.images)
    images = PREPROCESS(pixels)
    pictured = Pictured("noise", pixels, ("noise",) * len(pixels), "test")

    def alone() -> Any:
        return deconvviz.strongest_activations(net, images, LAYERS, k=9)

    def drawn() -> None:
        tops = alone()
        with tempfile.TemporaryDirectory() as folder:
            for layer, top in tops.items():
                features = Features(net, top, pictured, PREPROCESS, "deconvnet")
                write_features(Path(folder) / layer, features, None, 0, {})

    pairs = in_turn(drawn, alone, effort.pairs)
    return as_long("mining and its figure, 1,152 reconstructions: ours / mining alone", pairs, 1.3)


def memory(_: Effort) -> Row:
    """Compare the peak memory of mining five times as many images."""
    what = "peak memory of mining 50,000 streamed images / 10,000"
    if not Path("/proc/self/status").exists():
        return Row(what, [], Limit(1.1), why="this system does not tell a process's peak")
    peaks = [(_peak(50_000), _peak(10_000))]  # memory, not time: there is no noise
    sides = [f"{statistics.median(side) / 2**10:.0f} MiB" for side in zip(*peaks, strict=True)]
    return Row(what, [more / less for more, less in peaks], Limit(1.1), times=" | ".join(sides))


@cache
def _pixels(count: int) -> Any:
    """Draw images of coarse patches and fine grain."""
    random = np.random.default_rng(0)
    patches = random.integers(0, 256, (count, 6, 6, 3)).repeat(SIDE // 6, 1).repeat(SIDE // 6, 2)
    return np.clip(patches + random.normal(0, 20, patches.shape), 0, 255).astype(np.uint8)


@tf.function(autograph=False)
def _scalar(images: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(forward(images))


def _bare(images: Any, batch: int) -> float:
    cuts = (images[first : first + batch] for first in range(0, len(images), batch))
    return sum(float(_scalar(tf.constant(cut))) for cut in cuts)


def _peak(count: int) -> int:
    command = [sys.executable, "-c", MEMORY, str(count)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    return int(done.stdout.split()[-1])

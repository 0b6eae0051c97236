"""One event directory and one real TensorBoard over it, for all tests that ask it."""

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deconvviz.render.tensorboard import EventLog


@dataclass(frozen=True)
class Written:
    """What lies in the log directory: a run with pictures, and one that was resumed."""

    logdir: Path
    steps: tuple[int, ...] = tuple(range(0, 500, 20))  # 25, more than TensorBoard's sample of 10
    description: str = "original | pool1 | pool2. Zero is grey (128)."

    @staticmethod
    def pictures(step: int) -> np.ndarray:
        """Give the pictures of a step, uint8 [4, 24, 72, 3]; no two steps have the same."""
        return np.random.default_rng(step).integers(0, 256, (4, 24, 72, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Server:
    """A running TensorBoard."""

    url: str

    def ask(self, path: str, **query: object) -> bytes:
        """Give the answer of its HTTP interface."""
        asked = f"{self.url}data/plugin/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.read()

    def ask_json(self, path: str, **query: object) -> Any:
        """Give the answer, read as JSON."""
        return json.loads(self.ask(path, **query))


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 24, 24, 3))])
    def network(x: Any) -> Any:
        return tf.nn.relu(tf.nn.conv2d(x, tf.ones((5, 5, 3, 8)), 1, "SAME", name="conv1"))

    made = Written(tmp_path_factory.mktemp("logs"))
    with EventLog(made.logdir / "run") as log:
        log.graph(network.get_concrete_function().graph)
        log.text("config", "**steps** = 500", 0)
        for step in made.steps:
            log.scalar("train/loss", 1 / (step + 1), step)
            log.images("source/cifar10", made.pictures(step), step, made.description)
            log.images("filters/conv1", made.pictures(step)[:1, :, :24], step, "The filters.")
    _killed_at_500_and_resumed_from_400(made.logdir / "resumed")
    return made


def _killed_at_500_and_resumed_from_400(directory: Path) -> Any:
    first = EventLog(directory)
    for step in range(50, 501, 50):
        first.scalar("train/loss", 1.0, step)
    with EventLog(directory, first_step=401) as second:
        for step in range(450, 601, 50):
            second.scalar("train/loss", 2.0, step)
    first.close()


@pytest.fixture(scope="session")
def server(written: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("tensorboard") / "out.txt"
    flags = ["--logdir", written.logdir, "--port", "0", "--samples_per_plugin", "images=1000"]
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", *flags], stdout=file, stderr=file
        )
    try:
        yield _ready(process, out)
    finally:
        process.terminate()
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:  # it sometimes lingers for its threads
            process.kill()
            process.wait()


def _ready(process: Any, out: Any) -> Any:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
        if found := re.search(r"at (http://localhost:\d+/)", out.read_text(errors="replace")):
            server = Server(found[1])
            with contextlib.suppress(OSError):
                if len(server.ask_json("scalars/tags")) == 2:
                    return server
    raise AssertionError(f"TensorBoard did not start: {out.read_text(errors='replace')[-2000:]}")

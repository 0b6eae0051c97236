"""A run's folder: everything that a run writes lies in `logs/<run>/`, and nowhere else.

config.toml       the resolved configuration       checkpoints/      last.keras, best.keras,
run.json          versions, threads, data                            state.npz to go on from,
metrics.csv       one row a report                                   step-*.keras, kept on the way
events.out.*      for TensorBoard
reconstructions/  pictures made afterwards
"""

import csv
import json
import os
import platform
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import deconvviz
from deconvviz.atomic import replacing
from deconvviz.config import RunConfig, load_config, to_toml
from deconvviz.errors import CheckpointError, ConfigError, DeconvvizError
from deconvviz.models.preflight import LAST

COLUMNS = ("step", "loss", "accuracy", "test_accuracy")


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run, and its small files."""

    path: Path

    @classmethod
    def create(cls, logdir: Path, name: str | None, stem: str) -> Self:
        """Make a new folder; it never takes one that exists.

        Args:
            logdir: the folder of all runs, made where it lacks.
            name: the run's name; None takes `stem`-1, or the first number that is free.
            stem: what a run without a name is called after.

        Raises:
            ConfigError: for a name that is taken, or is no plain folder name.
            DeconvvizError: where the folder cannot be made.
        """
        if name is not None and not re.fullmatch(r"[\w][\w.+-]*", name):
            raise ConfigError(
                f"--name got {name!r}; a run's name is letters, digits, '.', '_', '+' and '-'."
            )
        try:
            logdir.mkdir(parents=True, exist_ok=True)
            if name is not None:
                (logdir / name).mkdir()
                return cls(logdir / name)
            number = 1
            while True:  # another process may take the same number between a look and a mkdir
                try:
                    (logdir / f"{stem}-{number}").mkdir()
                    return cls(logdir / f"{stem}-{number}")
                except FileExistsError:
                    number += 1
        except FileExistsError:
            taken = logdir / str(name)
            raise ConfigError(
                f"{taken} exists already, and a run is never overwritten. Choose another --name, "
                f"or go on with it: deconvviz train --resume {taken}"
            ) from None
        except OSError as error:
            raise DeconvvizError(
                f"The run's folder cannot be made under {logdir}: {error.strerror}. "
                "Give a --logdir that can be written."
            ) from None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Take an existing run's folder.

        Raises:
            CheckpointError: where it is none.
        """
        if not (path / "config.toml").is_file():
            raise CheckpointError(
                f"{path} is not a run: it has no config.toml. Give the folder that a training run "
                "wrote, such as logs/classic-1."
            )
        return cls(path)

    @property
    def last(self) -> Path:
        """The network as of the last checkpoint."""
        return self.path / LAST

    @property
    def best(self) -> Path:
        """The network with the best evaluation so far."""
        return self.path / "checkpoints" / "best.keras"

    @property
    def state(self) -> Path:
        """All that resuming needs, in one file."""
        return self.path / "checkpoints" / "state.npz"

    def kept_at(self, step: int) -> Path:
        """The network as it was at one step, kept to look back on."""
        return self.path / "checkpoints" / f"step-{step:08d}.keras"

    def kept(self) -> dict[int, Path]:
        """Every network that was kept, by its step, in rising order."""
        found = (self.path / "checkpoints").glob("step-*.keras")
        steps = {path.stem.removeprefix("step-"): path for path in sorted(found)}
        return {int(step): path for step, path in steps.items() if step.isdecimal()}

    def config(self) -> RunConfig:
        """Read the resolved configuration back."""
        return load_config(self.path / "config.toml")

    def write_config(self, config: RunConfig) -> None:
        """Write the resolved configuration."""
        with replacing(self.path / "config.toml") as temporary:
            temporary.write_text(to_toml(config), encoding="utf-8")

    def record(self) -> dict[str, Any]:
        """Read run.json.

        Raises:
            CheckpointError: where it lacks or is damaged.
        """
        try:
            loaded: dict[str, Any] = json.loads((self.path / "run.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path / 'run.json'} cannot be read: {error}.") from None
        return loaded

    def write_record(self, record: dict[str, Any]) -> None:
        """Write run.json."""
        with replacing(self.path / "run.json") as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def metrics(self) -> "Metrics":
        """The run's metrics.csv."""
        return Metrics(self.path / "metrics.csv")


@dataclass(frozen=True)
class Report:
    """One row of metrics.csv.

    Attributes:
        step: the steps done.
        loss: of the step's batch, before its update.
        accuracy: on the same batch after the update, 0 to 1, as the classic program printed it.
        test_accuracy: over the whole test set, 0 to 1, at the steps that evaluate.
    """

    step: int
    loss: float
    accuracy: float
    test_accuracy: float | None = None


@dataclass(frozen=True)
class Metrics:
    """A run's metrics.csv, one row a report."""

    path: Path

    def begin(self, step: int) -> None:
        """Keep the rows up to a step, so that a resumed run does not report twice."""
        rows = []
        if step and self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if row and row[0].isdecimal()]
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *(row for row in rows if int(row[0]) <= step)])

    def append(self, report: Report) -> None:
        """Add a row."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(asdict(report).values())


def environment() -> dict[str, Any]:
    """The versions and the machine's traits that a run's numbers depend on."""
    import tensorflow as tf

    packages = ("tensorflow", "keras", "numpy", "tensorflow-datasets", "scikit-image")
    return {
        "deconvviz": deconvviz.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "machine": platform.machine(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "cpus": _cpus(),
    }


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""A run's folder: everything that a run writes lies in `logs/<run>/`, and nowhere else.

config.toml       the resolved configuration       checkpoints/      last.keras, best.keras,
run.json          versions, threads, data                            state.npz to go on from,
metrics.csv       one row a report                                   step-*.keras, kept on the way
events.out.*      for TensorBoard
reconstructions/  pictures made afterwards
"""

import csv
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import deconvviz
from deconvviz.atomic import TEMPORARY, remove_abandoned, replacing
from deconvviz.config import RunConfig, load_config, to_toml
from deconvviz.errors import CheckpointError, ConfigError, DeconvvizError
from deconvviz.locks import LOCK, one_writer
from deconvviz.models.preflight import LAST
from deconvviz.training.small_files import Row, RunRecord, csv_rows, json_value, read_small

CONFIG = "config.toml"
COLUMNS = ("step", "loss", "accuracy", "test_accuracy")


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run, and its small files."""

    path: Path

    @classmethod
    def create(cls, logdir: Path, name: str | None, stem: str) -> Self:
        """Make a new folder; it never takes one that holds anything.

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
                return cls(_new_or_empty(logdir / name))
            number = 1
            while True:  # another process may take the same number between a look and a mkdir
                try:
                    (logdir / f"{stem}-{number}").mkdir()
                    return cls(logdir / f"{stem}-{number}")
                except FileExistsError:
                    number += 1
        except OSError as error:
            raise DeconvvizError(
                f"The run's folder cannot be made under {logdir}: {error.strerror}. "
                "Give a --logdir that is a folder and can be written."
            ) from None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Take an existing run's folder.

        Raises:
            CheckpointError: where it is none.
        """
        if is_empty(path):
            raise CheckpointError(
                f"{path} is empty: its run was stopped before it began. Begin it again: deconvviz "
                f"train --logdir {path.parent} --name {path.name}, with its other options."
            )
        if not os.path.isfile(path / CONFIG):
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
        return load_config(self.path / CONFIG)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one process that writes this run; what killed ones left half written goes.

        Raises:
            DeconvvizError: where another process writes it, or nobody can.
        """
        with one_writer(self.path):
            remove_abandoned(self.path)
            yield

    def begin(self, config: RunConfig) -> None:
        """Write the resolved configuration of a new run, whose one writer calls this.

        Raises:
            ConfigError: where another process began it.
        """
        if (self.path / CONFIG).exists():
            raise _taken(self.path)
        self.write_config(config)

    def write_config(self, config: RunConfig) -> None:
        """Write the resolved configuration."""
        with replacing(self.path / CONFIG) as temporary:
            temporary.write_text(to_toml(config), encoding="utf-8")

    def end_at(self, steps: int) -> None:
        """Let the run end at another step from now on."""
        config = self.config()
        if config.train.steps != steps:
            train = config.train.model_copy(update={"steps": steps})
            self.write_config(config.model_copy(update={"train": train}))

    def record(self) -> RunRecord:
        """Read run.json.

        Raises:
            CheckpointError: where it lacks or is damaged.
        """
        remedy = "Restore it, or start a new run."
        return read_small(self.path / "run.json", RunRecord, json_value, remedy)

    def write_record(self, record: RunRecord) -> None:
        """Write run.json."""
        with replacing(self.path / "run.json") as temporary:
            text = record.model_dump_json(indent=2, exclude_none=True)
            temporary.write_text(text + "\n", encoding="utf-8")

    def metrics(self) -> "Metrics":
        """The run's metrics.csv."""
        return Metrics(self.path / "metrics.csv")

    def remove_events(self) -> None:
        """Remove what TensorBoard was given, where a run begins anew with its first step.

        Raises:
            DeconvvizError: where a file cannot be removed.
        """
        try:
            for file in self.path.glob("events.out.tfevents.*"):
                file.unlink()
        except OSError as error:
            raise DeconvvizError(
                f"{error.filename} of an earlier start could not be removed: {error.strerror}. "
                "Remove it, and resume the run."
            ) from None


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing but what a killed process of ours may leave in one."""
    if not os.path.isdir(folder):
        return False
    return all(one.name == LOCK or one.name.startswith(TEMPORARY) for one in folder.iterdir())


def _new_or_empty(folder: Path) -> Path:
    try:
        folder.mkdir()
    except FileExistsError:
        if not is_empty(folder):
            raise _taken(folder) from None
    return folder


def _taken(folder: Path) -> ConfigError:
    if not (folder / CONFIG).exists():
        return ConfigError(f"{folder} exists already, and is no run. Choose another --name.")
    return ConfigError(
        f"{folder} exists already, and a run is never overwritten. Choose another --name, or go on "
        f"with it: deconvviz train --resume {folder}"
    )


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
        """Keep the rows up to a step, so that a resumed run does not report twice.

        Raises:
            CheckpointError: for a file that is no such table.
        """
        rows: list[Row] = []
        if step and self.path.exists():
            remedy = "Move it away, and the run goes on with a new one."
            rows = read_small(self.path, list[Row], csv_rows, remedy)
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *(row for row in rows if row[0] <= step)])

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

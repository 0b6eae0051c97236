"""Train a network in a run's folder, from the start or from where it stopped.

A run is a function of its configuration: the order of the images, their augmentation and dropout
depend on the seed and the step alone. So a run that was killed and resumed ends with the very
weights of one that was not, on the same machine with the same number of threads.
"""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Protocol

import keras
import tensorflow as tf

from deconvviz.atomic import replacing
from deconvviz.config import RunConfig, TrainConfig
from deconvviz.data import (
    Dataset,
    Preprocess,
    evaluation_batches,
    training_batches,
)
from deconvviz.errors import CheckpointError, DataError, DeconvvizError
from deconvviz.models.networks import build_network
from deconvviz.models.step_mark import mark_step
from deconvviz.render.tensorboard import EventLog
from deconvviz.training.evolution import EvolutionPictures
from deconvviz.training.loop import make_accuracy, make_optimizer, make_train_step
from deconvviz.training.pictures import Pictures
from deconvviz.training.rundir import Report, RunDirectory, environment
from deconvviz.training.small_files import Progress, RunRecord
from deconvviz.training.state import restore_state, save_state


class Listener(Protocol):
    """Whoever shows a run's progress to a person."""

    def begin(self, first_step: int, last_step: int, batch_size: int) -> None:
        """Training starts, or goes on, at a step."""

    def advance(self, step: int) -> None:
        """A step is done."""

    def report(self, report: Report) -> None:
        """A report is due."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: complete, or stopped by a signal that may be resumed after.

    Attributes:
        step: the steps done.
        accuracy: over the whole test set, 0 to 1; None for a run that was stopped.
        stopped_by: the signal that stopped it.
    """

    step: int
    accuracy: float | None = None
    stopped_by: signal.Signals | None = None


class Trainer:
    """A network and its data, ready to be trained in a run's folder.

    Args:
        config: what to train on what.
        dataset: what `config.data` names, loaded.

    Raises:
        DataError: for images that do not fit the configuration.
        DeconvvizError: for a layer of `config.pictures` or `config.evolution`, or a feature map
            of the latter, that the network lacks.
    """

    def __init__(self, config: RunConfig, dataset: Dataset) -> None:
        keras.utils.set_random_seed(config.train.seed)
        self.config, self.dataset = config, dataset
        self.preprocess = Preprocess(config.data.preprocess, config.data.crop)
        shape = self.preprocess.window(dataset.train.images[:1]).shape[1:]
        self.model = build_network(config.model, shape, len(dataset.classes))
        self.optimizer = make_optimizer(config.train)
        self.train_step = make_train_step(self.model, self.optimizer, config.train)
        self.accuracy = make_accuracy(self.model)
        self.batches(0)  # refuses a batch larger than the data before a run's folder is made
        self.pictures = Pictures(self.model, dataset, self.preprocess, config.pictures)
        self.evolution = EvolutionPictures(self.model, dataset, self.preprocess, config.evolution)

    def fit(self, run: RunDirectory, listener: Listener) -> Outcome:
        """Train to the configured step, from the run's saved state where it has one.

        Args:
            run: the folder; everything is written there, in a `run.writing()` of the caller's.
            listener: is told of every step and every report.

        Raises:
            CheckpointError: for a state that cannot be resumed from.
            DeconvvizError: where the folder cannot be written or the training diverges; the last
                checkpoint stays whole.
        """
        with _stop_requests() as stop:
            progress = self._restore(run)
            run.end_at(self.config.train.steps)
            if progress.step == 0:
                run.remove_events()
            run.metrics().begin(progress.step)
            with EventLog(run.path, progress.step + 1) as log:
                outcome = _Fit(self, run, log, listener, progress).to_the_end(stop)
        if outcome.accuracy is not None:
            ended = {"finished": _now(), "test_accuracy": outcome.accuracy}
            run.write_record(run.record().model_copy(update=ended))
        return outcome

    def test_accuracy(self) -> float:
        """The accuracy over the whole test set, 0 to 1."""
        batch_size = self.config.train.batch_size
        return self.accuracy(evaluation_batches(self.dataset.test, self.preprocess, batch_size))

    def batches(self, done: int) -> tf.data.Dataset:
        """The training batches, from the one after `done` steps on."""
        data, train = self.config.data, self.config.train
        return training_batches(
            self.dataset.train,
            self.preprocess,
            batch_size=train.batch_size,
            seed=train.seed,
            start_step=done,
            random_crop=data.random_crop,
            flip=data.flip,
        )

    def _restore(self, run: RunDirectory) -> Progress:
        """Go on from the saved state; a new run saves its beginning, so that it can be resumed."""
        if run.state.exists():
            self._require_same_data(run.record())
            progress = restore_state(run.state, self.model, self.optimizer)
            self._require_within(run, progress)
            if progress.step < self.config.train.steps:  # the end that was recorded is none now
                going_on = {"finished": None, "test_accuracy": None}
                run.write_record(run.record().model_copy(update=going_on))
            return progress
        if run.last.exists():
            raise CheckpointError(
                f"{run.state} is gone, so this run cannot go on. Its network is still in "
                f"{run.last}; start a new run."
            )
        run.write_record(self._record())
        save_state(run.state, self.model, self.optimizer, Progress())
        return Progress()

    def _require_within(self, run: RunDirectory, progress: Progress) -> None:
        last = self.config.train.steps
        if progress.step > last:
            raise CheckpointError(
                f"{run.state} is of step {progress.step}, and the run's config.toml ends it at "
                f"train.steps = {last}. Set that to {progress.step} or more, or start a new run."
            )

    def _require_same_data(self, record: RunRecord) -> None:
        recorded = record.data.fingerprint
        if recorded != self.dataset.fingerprint:
            raise CheckpointError(
                f"The data {self.dataset.name!r} is not what this run began with: its fingerprint "
                f"is {self.dataset.fingerprint[:12]}…, the run's {recorded[:12]}…. Give the same "
                "data (--data-dir), or start a new run."
            )

    def _record(self) -> RunRecord:
        return RunRecord.model_validate(
            {
                "started": _now(),
                "seed": self.config.train.seed,
                "data": {
                    "name": self.dataset.name,
                    "classes": self.dataset.classes,
                    "train_images": len(self.dataset.train.labels),
                    "test_images": len(self.dataset.test.labels),
                    "skipped_files": self.dataset.skipped,
                    "fingerprint": self.dataset.fingerprint,
                },
                "environment": environment(),
            }
        )


@dataclass
class _Fit:
    """One process's part of a run: the loop over steps, and what happens at some of them."""

    trainer: Trainer
    run: RunDirectory
    log: EventLog
    listener: Listener
    progress: Progress

    def to_the_end(self, stop: "_Stop") -> Outcome:
        train, done = self.trainer.config.train, self.progress.step
        batches = iter(self.trainer.batches(done))
        self.listener.begin(done, train.steps, train.batch_size)
        for step in range(done + 1, train.steps + 1):
            images, labels = next(batches)
            loss = _finite(float(self.trainer.train_step(images, labels)), step, train)
            self.listener.advance(step)
            self._observe(step, loss, images, labels)
            if _due(step, train.checkpoint_every, train) or stop.requested:
                self._checkpoint(step)
            if stop.requested and step < train.steps:
                return Outcome(step, stopped_by=stop.requested)
        return Outcome(train.steps, self.trainer.test_accuracy())

    def _observe(self, step: int, loss: float, images: tf.Tensor, labels: tf.Tensor) -> None:
        config = self.trainer.config
        if step == 1:
            self.log.graph(self.trainer.train_step.get_concrete_function(images, labels).graph)
        if _due(step, config.train.report_every, config.train):
            evaluate = _due(step, config.train.evaluate_every, config.train)
            accuracy = self.trainer.accuracy([(images, labels)])
            test_accuracy = self.trainer.test_accuracy() if evaluate else None
            self._report(Report(step, loss, accuracy, test_accuracy))
        if step == 1 or _due(step, config.pictures.every, config.train):
            self._draw(self.trainer.pictures, step)
        if step in config.kept_steps:
            self._draw(self.trainer.evolution, step)
            _save_model(self.trainer.model, self.run.kept_at(step), step)

    def _draw(self, pictures: Pictures | EvolutionPictures, step: int) -> None:
        try:
            pictures.draw(self.log, step)
        except DataError as error:  # the images are sound, so the network no longer is
            raise _diverged("an activation", step, self.trainer.config.train) from error

    def _report(self, report: Report) -> None:
        self.run.metrics().append(report)
        self.log.scalar("train/loss", report.loss, report.step)
        self.log.scalar("train/accuracy", report.accuracy, report.step)
        if report.test_accuracy is not None:
            self.log.scalar("test/accuracy", report.test_accuracy, report.step)
            self._keep_the_best(report.test_accuracy, report.step)
        self.listener.report(report)

    def _keep_the_best(self, accuracy: float, step: int) -> None:
        if accuracy > self.progress.best:
            self.progress = self.progress.model_copy(update={"best": accuracy})
            _save_model(self.trainer.model, self.run.best, step)

    def _checkpoint(self, step: int) -> None:
        """The state last: whatever a kill leaves half done is done again from the state before."""
        self.progress = self.progress.model_copy(update={"step": step})
        _save_model(self.trainer.model, self.run.last, step)
        save_state(self.run.state, self.trainer.model, self.trainer.optimizer, self.progress)


def _due(step: int, every: int, train: TrainConfig) -> bool:
    return step % every == 0 or step == train.steps


def _finite(loss: float, step: int, train: TrainConfig) -> float:
    if math.isfinite(loss):
        return loss
    raise _diverged("the loss", step, train)


def _diverged(what: str, step: int, train: TrainConfig) -> DeconvvizError:
    return DeconvvizError(
        f"Training diverged: at step {step} {what} was no longer finite. This step was not saved. "
        f"Lower train.learning_rate (it is {train.learning_rate}) and start a new run."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _save_model(model: keras.Model, path: Path, step: int) -> None:
    with replacing(path) as temporary:
        model.save(temporary)
        mark_step(temporary, step)


class _Stop:
    requested: signal.Signals | None = None


@contextmanager
def _stop_requests() -> Iterator[_Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a request; a second one takes its usual way.

    A signal that is ignored, as under nohup, stays so.
    """
    stop = _Stop()

    def ask(number: int, _: FrameType | None) -> None:
        stop.requested = signal.Signals(number)
        signal.signal(number, before[stop.requested])

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {
        number: signal.getsignal(number)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

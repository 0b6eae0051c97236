"""The progress of long work: a live line on a terminal; elsewhere, in training, a line a report."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from deconvviz.training.rundir import Report


@contextmanager
def kept_when_stopped() -> Iterator[None]:
    """Tell a person who stops long work that it is not lost."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            "Stopped. What was found so far is kept: the same command goes on from there.",
            err=True,
        )
        raise


class TrainingProgress:
    """Shows steps, rate, time left, loss and accuracy while a run trains."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[report]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = TaskID(0)
        self._first = self._last = self._batch = self._done = 0
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def begin(self, first_step: int, last_step: int, batch_size: int) -> None:
        """Training starts, or goes on, at a step."""
        self._first, self._last, self._batch = first_step, last_step, batch_size
        self._began = time.monotonic()
        self._task = self._live.add_task(
            "", total=last_step, completed=first_step, rate="", report=""
        )

    def advance(self, step: int) -> None:
        """A step is done."""
        self._done = step
        self._live.update(self._task, completed=step, rate=f"{self._rate():.0f} images/s")

    def report(self, report: Report) -> None:
        """A report is due: loss and accuracy, and on a plain stream the whole line."""
        words = f"loss {report.loss:.2f}  accuracy {report.accuracy:.3f}"
        if report.test_accuracy is not None:
            words += f"  test {report.test_accuracy:.3f}"
        self._live.update(self._task, report=words)
        if not self._console.is_terminal:
            seconds = (self._last - report.step) * self._batch / max(self._rate(), 1e-9)
            left = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
            print(
                f"step {report.step}/{self._last}  {words}  {self._rate():.0f} images/s  "
                f"{left} left",
                flush=True,
            )

    def _rate(self) -> float:
        seconds = time.monotonic() - self._began
        return (self._done - self._first) * self._batch / max(seconds, 1e-9)

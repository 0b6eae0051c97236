"""What a person is told while a command works, always on the standard error stream.

On a terminal it is one live line of the terminal's width, which goes when the work is done.
Elsewhere, and on a terminal that cannot move its cursor, it is plain lines: one when a piece of
work is done, and in long work one now and then.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from deconvviz.cli.stopping import if_stopped

if TYPE_CHECKING:
    from deconvviz.training.rundir import Report

Item = TypeVar("Item")

_EVERY = 10.0  # seconds between two lines
_WIDE, _NARROW = 100, 60  # columns


def kept_when_stopped() -> AbstractContextManager[None]:
    """Tell a person who stops long work that it is not lost."""
    return if_stopped(
        "Stopped. What was found so far is kept: the same command goes on from there."
    )


@contextmanager
def working(what: str, screen: IO[str] | None = None) -> Iterator[Callable[[str], None]]:
    """Show that something is being done that cannot be counted.

    Args:
        what: such as "checking pool2".
        screen: where to, instead of the standard error stream.

    Yields:
        A function that takes other words for what is being done now.
    """
    console = Console(file=screen or sys.stderr)
    if _is_live(console):
        with console.status(what) as status:
            yield status.update
        return
    lines = _Lines(screen or sys.stderr)
    lines.now(what)
    yield lines.now_and_then


def waiting(what: str) -> AbstractContextManager[object]:
    """Show on a terminal that something takes its time; elsewhere it says itself when it is done.

    Args:
        what: such as "loading cifar10".
    """
    console = Console(stderr=True)
    return console.status(what) if _is_live(console) else nullcontext()


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how much of something is done.

    Args:
        what: such as "looking through 400 images".
        total: how much there is.

    Yields:
        A function that takes how much is done by now.
    """
    console = Console(stderr=True)
    if _is_live(console):
        with Progress(*_columns(console.width), console=console, transient=True) as live:
            task = live.add_task(what, total=total)
            yield lambda done: live.update(task, completed=done)
        return
    lines, began = _Lines(sys.stderr), time.monotonic()
    yield lambda done: lines.now_and_then(f"{what}: {done} of {total}")
    lines.now(f"{what}: done in {time.monotonic() - began:.0f} s")


def each(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Give items one after the other, and show how many are done."""
    count = total if total is not None else len(items) if isinstance(items, Sized) else 0
    with counting(what, count) as done:
        for number, item in enumerate(items):
            done(number)
            yield item


def _is_live(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def _columns(width: int) -> list[ProgressColumn]:
    bar = [BarColumn()] if width >= _NARROW else []
    return [TextColumn("{task.description}"), *bar, MofNCompleteColumn(), TimeRemainingColumn()]


class _Lines:
    """Lines on a stream that nothing can be taken back from."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._last = time.monotonic()

    def now(self, words: str) -> None:
        self._last = time.monotonic()
        print(words[:1].upper() + words[1:], file=self._stream, flush=True)

    def now_and_then(self, words: str) -> None:
        if time.monotonic() - self._last > _EVERY:
            self.now(words)


class TrainingProgress:
    """Shows steps, rate, time left, loss and accuracy while a run trains."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Progress(
            *_training_columns(self._console.width),
            console=self._console,
            disable=not _is_live(self._console),
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

    def report(self, report: "Report") -> None:
        """A report is due: loss and accuracy, and on a plain stream the whole line."""
        words = f"loss {report.loss:.2f}  accuracy {report.accuracy:.3f}"
        if report.test_accuracy is not None:
            words += f"  test {report.test_accuracy:.3f}"
        if _is_live(self._console):
            narrow = self._console.width < _NARROW
            self._live.update(self._task, report=words.partition("  ")[0] if narrow else words)
            return
        seconds = (self._last - report.step) * self._batch / max(self._rate(), 1e-9)
        left = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
        print(
            f"step {report.step}/{self._last}  {words}  {self._rate():.0f} images/s  {left} left",
            file=sys.stderr,
            flush=True,
        )

    def _rate(self) -> float:
        seconds = time.monotonic() - self._began
        return (self._done - self._first) * self._batch / max(seconds, 1e-9)


def _training_columns(width: int) -> list[ProgressColumn]:
    report = TextColumn("{task.fields[report]}")
    if width < _NARROW:
        return [MofNCompleteColumn(), TimeRemainingColumn(), report]
    if width < _WIDE:
        return [BarColumn(10), MofNCompleteColumn(), TimeRemainingColumn(), report]
    rate = TextColumn("{task.fields[rate]}")
    told = [BarColumn(30), MofNCompleteColumn(), rate, TimeRemainingColumn(), report]
    return [TextColumn("training"), *told]

"""Ctrl-C, SIGTERM and SIGHUP: a command stops at once, and says what was kept.

A signal raises `Stopped` wherever the command is, so that whatever was begun is cleaned up on the
way out. It is no KeyboardInterrupt, which other libraries catch and put words of their own to. Two
moments need more than that: an exception that passes through a C extension while it is imported
comes out as another one, and one in a finalizer goes nowhere.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_AGAIN = 0.02  # seconds


class Stopped(BaseException):
    """A person, or the system, wants this command to end.

    Attributes:
        number: the signal.
        words: what was kept and how to go on; None where nobody has said it yet.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.words: str | None = None


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Stopped` for the signals that end a command, unless the process is to ignore them.

    What nohup starts, and a shell in the background, ignores some of them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    unraisable, sys.unraisablehook = sys.unraisablehook, _stopped_again(sys.unraisablehook)
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        atexit.register(_ignore, numbers)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def if_stopped(words: str) -> Iterator[None]:
    """Say what was kept, where a command is stopped in this block; the innermost block's words win.

    Args:
        words: one sentence or two, such as "Stopped. The search goes on where it was."
    """
    try:
        yield
    except Stopped as stopped:
        stopped.words = stopped.words or words
        raise


@contextmanager
def ends_at_once(words: bytes) -> Iterator[None]:
    """End the process on a signal in this block, which leaves nothing to clean up.

    Args:
        words: what then goes to the standard error stream, as it was when the block began.
    """
    global _last_words
    screen = os.dup(2)
    _last_words = (screen, words)
    try:
        yield
    finally:
        _last_words = None
        os.close(screen)


_last_words: tuple[int, bytes] | None = None


def _stop(number: int, frame: FrameType | None) -> None:
    if _last_words is not None:
        _end(number, *_last_words)
    if _imports(frame) and hasattr(signal, "setitimer"):
        _stop_later(number)
    else:
        raise Stopped(number)


def _stop_later(number: int) -> None:
    signal.signal(signal.SIGALRM, lambda _, frame: _stop(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN)


def _end(number: int, screen: int, words: bytes) -> NoReturn:
    try:
        os.write(screen, words)
    finally:
        os._exit(128 + number)


def _ignore(numbers: list[int]) -> None:
    """The command is done: while Python and TensorFlow shut down, there is nothing to stop."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def _imports(frame: FrameType | None) -> bool:
    while frame is not None and "importlib._bootstrap" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None


def _stopped_again(otherwise: Any) -> Any:
    """A hook that stops again where the exception met a finalizer and was dropped there."""

    def hook(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Stopped):
            _stop_later(unraisable.exc_value.number)
        else:
            otherwise(unraisable)

    return hook

"""The standard streams, which a person may have closed, filled up, or given another coding."""

import io
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

_PACKAGE = str(Path(__file__).parents[1])


def make_usable() -> None:
    """Open what is closed onto nothing, and let every character through, escaped where need be.

    A descriptor that is closed would be the next file's that is opened, and messages would go in
    there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stdout_fails() -> bool:
    """Whether what was printed cannot be written; then it is dropped, so that Python can end."""
    try:
        sys.stdout.flush()
        os.write(1, b"\n")  # what failed may be gone from the buffer: only another try can tell
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return True
    return False


def only_our_warnings(verbose: bool) -> None:
    """Keep other packages' warnings off the screen, whose paths and words are for developers.

    Args:
        verbose: let them through.
    """
    if verbose:
        return
    for name in ("absl", "matplotlib", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)

    def ours(message: Any, category: Any, filename: str, *more: Any, **named: Any) -> None:
        if filename.startswith(_PACKAGE):
            print(f"Note: {message}", file=sys.stderr)

    warnings.showwarning = ours

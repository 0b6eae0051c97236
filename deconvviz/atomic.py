"""Write a file whole or not at all.

A reader, a killed process or a full disk never meets half a file: the bytes go to a temporary file
beside the target, are flushed to the disk, and take the target's name in one step. The temporary
file is locked while it is written, so that those of killed processes are told from those of
living ones.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deconvviz.errors import DeconvvizError
from deconvviz.locks import is_named, lock

TEMPORARY = ".deconvviz-"  # what their names begin with


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` when the block ends without an error.

    Args:
        path: the file to create or to replace; its directory is made where it lacks.

    Yields:
        A path in the same directory with the same ending, for the block to write to.

    Raises:
        DeconvvizError: where the directory cannot be written or the disk is full; what stood at
            `path` before still stands there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path) as temporary:
            yield temporary
            _flush(temporary)
            os.chmod(temporary, 0o666 & ~_UMASK)
            os.replace(temporary, path)
            _flush(path.parent)
    except OSError as error:
        raise DeconvvizError(
            f"{path} could not be written: {error.strerror or error}. What was there before is "
            "untouched. Make room or choose a directory that can be written, then run again."
        ) from error


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder and those below it."""
    for file in folder.rglob(f"{TEMPORARY}*"):
        # One that cannot be locked, or removed, is left alone: it does no harm.
        with contextlib.suppress(OSError), _open(file) as handle:
            if lock(handle):
                file.unlink()


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY, suffix=path.suffix)
        temporary = Path(name)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                lock(handle)
            if is_named(handle, temporary):  # else it was taken for abandoned before it was locked
                yield temporary
                return
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)


@contextmanager
def _open(file: Path) -> Iterator[int]:
    handle = os.open(file, os.O_RDWR)
    try:
        yield handle
    finally:
        os.close(handle)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _current_umask()  # mkstemp makes files private; a run's files follow the user's umask

"""Write a file whole or not at all.

A reader, a killed process or a full disk never meets half a file: the bytes go to a temporary file
beside the target, are flushed to the disk, and take the target's name in one step.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deconvviz.errors import DeconvvizError


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
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            os.chmod(temporary, 0o666 & ~_UMASK)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DeconvvizError(
            f"{path} could not be written: {error.strerror or error}. What was there before is "
            "untouched. Make room or choose a directory that can be written, then run again."
        ) from error


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

"""One writer a folder: a run, or an answer's folder, is written by one process at a time.

The lock is the operating system's, on an open file, so a process that died holds nothing. Readers
need none, since every file is replaced whole.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deconvviz.errors import DeconvvizError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = "writer.lock"
_BEHIND = 2**30  # Windows locks bytes, also against reading: one far behind the holder's name


def lock(handle: int) -> bool:
    """Lock an open file for as long as it stays open, without waiting.

    Returns:
        False where another process holds it.

    Raises:
        OSError: where the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            os.lseek(handle, _BEHIND, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_named(handle: int, path: Path) -> bool:
    """Whether a path still names the open file; another process may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Be the one that writes to a folder, which is made where it lacks.

    Raises:
        DeconvvizError: where another process is, which it names, or the folder cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _take(path)
    except OSError as error:
        raise DeconvvizError(
            f"{folder} cannot be written to: {error.strerror or error}. Choose another folder."
        ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _take(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            free = _locked_or_unlockable(handle)
            if not free:
                raise _held(path, handle)
            if is_named(handle, path):  # else its holder removed it, being done
                with contextlib.suppress(OSError):  # a full disk: nobody reads who holds it
                    os.ftruncate(handle, 0)
                    os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _locked_or_unlockable(handle: int) -> bool:
    try:
        return lock(handle)
    except OSError:  # a file system without locks is no reason not to work
        return True


def _held(path: Path, handle: int) -> DeconvvizError:
    told = os.pread(handle, 200, 0) if hasattr(os, "pread") else os.read(handle, 200)
    holder = "".join(c for c in told.decode("utf-8", "replace") if c.isprintable())
    return DeconvvizError(
        f"{path.parent} is being written by {holder or 'another process'}. Wait until it is done, "
        "or stop it, and give the command again."
    )

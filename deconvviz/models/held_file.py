"""A file that is opened once: whatever takes its name afterwards, the same bytes are read.

Seconds lie between the first look at a model file and its loading, and a run that is being trained
replaces its checkpoints all the while. A replaced file lives on for whoever has it open.
"""

import io
import os
import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path


class HeldFile:
    """An open file; it is closed when nobody holds this object any more.

    Args:
        path: what to open; a pipe is not waited for.

    Raises:
        OSError: where it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        weakref.finalize(self, os.close, self._handle)
        self.found = os.fstat(self._handle)

    @cached_property
    def source(self) -> Path:
        """A path under which this process and its children read these bytes, and no others."""
        link = Path(f"/proc/{os.getpid()}/fd/{self._handle}")
        return link if link.exists() else self._copy()

    def open(self) -> io.BufferedReader:
        """Open it once more, at its beginning."""
        return self.source.open("rb")

    def changed(self) -> bool:
        """Whether somebody wrote into it since it was opened; replacing it is no such change."""
        now = os.fstat(self._handle)
        return (now.st_size, now.st_mtime_ns) != (self.found.st_size, self.found.st_mtime_ns)

    def _copy(self) -> Path:
        """For systems that give an open file no path."""
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        copy = Path(folder, "copy")
        with open(self._handle, "rb", closefd=False) as file, copy.open("wb") as out:
            file.seek(0)
            shutil.copyfileobj(file, out)
        return copy

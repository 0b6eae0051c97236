"""A part of a file that is read as if it were a file of its own."""

import io
from typing import Any


class Window(io.RawIOBase):
    """Some bytes of a file, such as a member that an archive stores as it is, as a file of its own.

    Args:
        file: where they lie.
        start: where they begin.
        size: how many there are.
    """

    def __init__(self, file: io.FileIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """Any place of it can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, counted from the part's beginning."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """The place where the next byte is read."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read what fits into the buffer, and nothing beyond the part."""
        self._file.seek(self._start + self._at)
        count = self._file.readinto(memoryview(buffer)[: max(self._size - self._at, 0)])
        self._at += count
        return count

"""The training step that a `.keras` file was saved at, written into the file itself.

It is the comment that every zip archive may end with, which Keras does not read. So the step and
the weights are replaced in one, and go together wherever the file is copied.
"""

import re
import zipfile
from pathlib import Path

_FORM = re.compile(rb"deconvviz: step (\d{1,18})")  # so many digits fit an int64


def mark_step(path: Path, step: int) -> None:
    """Write the step into a `.keras` file that was just saved."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"deconvviz: step %d" % step


def marked_step(comment: bytes) -> int | None:
    """Read the step from an archive's comment; None where it says something else, or nothing."""
    found = _FORM.fullmatch(comment)
    return int(found[1]) if found else None

"""Look through an HDF5 file before Keras reads it, in a process that may hang or crash over it.

libhdf5 believes what a file says: one flipped bit and it loops for ever, or writes where it must
not, and nothing inside of a process stops that. So another Python, which needs no framework and
starts in a fraction of a second, reads all that Keras will read, and tells what it found.
"""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from deconvviz.errors import CheckpointError

LARGEST_CONFIG = 2**23  # bytes of JSON; DenseNet121 has a twentieth of that
# What can be imported here, from whichever folder, is to be importable there, and nothing else.
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from deconvviz.models.hdf5_visit import main; main()"
)
_AT_LEAST, _BYTES_A_SECOND = 3, 2**24  # four times what a sound file of many layers takes
_PATIENCE = 4  # times as long by the clock, where other programs have the processor
_REMEDY = (
    "It was not opened. Copy it again, or save the model again with model.save('model.keras')."
)


@dataclass(frozen=True)
class Survey:
    """What an HDF5 file holds: the stored arrays' axes and values, and what stands at the root."""

    axes: frozenset[int]
    values: int
    names: frozenset[str]
    texts: dict[str, str]
    lists_layers: bool  # in an attribute, as the old weights files do


@dataclass(frozen=True)
class _Refusal:
    refused: str


_ANSWER: TypeAdapter[Survey | _Refusal] = TypeAdapter(Survey | _Refusal)


def survey(path: Path, file: BinaryIO, start: int, size: int, stored: int) -> Survey:
    """Visit every object of an HDF5 file, and read it.

    Args:
        path: the file that a person named, for the refusals.
        file: an open file, of which the HDF5 file may be a part.
        start: where that part begins.
        size: its bytes.
        stored: the bytes that it takes on the disk, fewer where an archive compresses it.

    Raises:
        CheckpointError: for a damaged file, one that points out of itself, one that claims more
            than it can hold, and one over which the library hangs or crashes.
    """
    seconds = _AT_LEAST + size // _BYTES_A_SECOND
    numbers = map(str, (start, size, stored, LARGEST_CONFIG, seconds))
    command = [sys.executable, "-P", "-c", _CHILD, json.dumps(sys.path), str(path), *numbers]
    try:
        ended = subprocess.run(
            command,
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE * seconds,
        )
    except subprocess.TimeoutExpired:
        raise _endless(path) from None
    except OSError as error:
        raise CheckpointError(
            f"{path} is looked at by a second Python, {sys.executable}, which cannot be started "
            f"({error.strerror}). Free some memory, and see that it may be run."
        ) from None
    try:
        answer = _ANSWER.validate_python(json.loads(ended.stdout))
    except (ValueError, ValidationError):
        raise _died(path, ended.returncode) from None
    if isinstance(answer, _Refusal):
        raise CheckpointError(answer.refused)
    return answer


def _endless(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is or holds an HDF5 file that is damaged: reading it does not come to an end. "
        f"{_REMEDY}"
    )


def _died(path: Path, code: int) -> CheckpointError:
    if code in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0)):
        return _endless(path)
    return CheckpointError(
        f"{path} is or holds an HDF5 file that is damaged: the HDF5 library crashes over it. "
        f"{_REMEDY}"
    )

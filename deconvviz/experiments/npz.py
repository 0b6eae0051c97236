"""Read arrays that a stopped search left, trusting the file no more than a stranger's.

A header of a few bytes can claim an array of terabytes, and numpy gives it the memory before it
looks whether the values are there. Ours are stored as they are, so no array is larger than its part
of the file.
"""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.wording import one_line

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read all arrays of an `.npz` file that `numpy.savez` wrote.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for whatever else cannot be read; the text says why.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as saved:
            if not isinstance(saved, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array, not several")
            assert saved.zip is not None  # it is open
            for member in saved.zip.infolist():
                _require_stored(saved.zip, member, path.stat().st_size)
            return {name: saved[name] for name in saved.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise what they like for damaged bytes
        raise ValueError(one_line(str(error) or type(error).__name__, 150)) from None


def _require_stored(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> None:
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > size:
        raise ValueError(f"its {member.filename} is not stored as it is")
    with archive.open(member) as file:
        shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"its {member.filename} claims more than it holds")

"""Visit every object of an HDF5 file and read it, as a program of its own.

HDF5 can point out of itself (external links, external storage, virtual data sets), and can claim
gigabytes in a kilobyte. All that Keras will read is read here first, in small pieces, so whatever
the library does over a damaged file, it does here. `preflight_hdf5` starts this and waits.
"""

import contextlib
import json
import math
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import h5py

from deconvviz.errors import CheckpointError
from deconvviz.models.file_window import Window
from deconvviz.models.memory_limit import at_most_more

_MOST_OBJECTS = 100_000
_MEMORY = 2**28  # bytes, for the library's own tables and all that it reads here
_PIECE = 2**24  # bytes of an array that are read at once
_ALWAYS_ALLOWED = 2**26  # bytes that any file may claim
_MOST_EXPANSION = 32  # times its own size that a larger one may claim; Keras does not compress
_LARGEST_WEIGHTS = 2**32  # bytes
_POINTS_OUT = "It was not opened. Load it where you trust it, and save the model from there."


def main() -> None:
    """Look at a part of the file on standard input, and print what was found as JSON."""
    path, *numbers = sys.argv[1:]
    start, size, stored, largest, seconds = map(int, numbers)
    _limit_time(seconds)
    with FileIO(0, closefd=False) as file:
        answer = _look(Path(path), Window(file, start, size), stored, largest)
    json.dump(answer, sys.stdout)


def _look(path: Path, source: Any, stored: int, largest: int) -> dict[str, Any]:
    try:
        with at_most_more(_MEMORY), h5py.File(source, "r") as file:
            return _survey(path, file, stored, largest)
    except CheckpointError as error:
        return {"refused": str(error)}
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, TypeError, ...
        line = " ".join(str(error).split())
        return {
            "refused": f"{path} is or holds an HDF5 file that is truncated or damaged ({line}). "
            "Copy it again, or save the model again with model.save('model.keras')."
        }


def _limit_time(seconds: int) -> None:
    """Let the system end this process once it has worked for so long."""
    with contextlib.suppress(ImportError):  # Windows has no such limit; there the clock ends it
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _survey(path: Path, file: h5py.File, size: int, largest: int) -> dict[str, Any]:
    arrays = []
    for entry in _objects(path, file):
        _check_attributes(path, entry, largest)
        if isinstance(entry, h5py.Dataset):
            _require_inside(path, entry)
            arrays.append(entry)
    claimed = sum((array.size or 0) * array.dtype.itemsize for array in arrays)
    allowed = min(max(_ALWAYS_ALLOWED, _MOST_EXPANSION * size), _LARGEST_WEIGHTS)
    if claimed > allowed:
        raise CheckpointError(
            f"{path} claims {claimed} bytes of weights in {size} bytes; at most {allowed} are "
            "allowed, since more would fill the memory. It was not opened."
        )
    for array in arrays:
        _read(array, tuple(slice(0, length) for length in array.shape or ()))
    return {
        "axes": list({axis for array in arrays for axis in array.shape or ()}),
        "values": sum(array.size or 0 for array in arrays),
        "names": [_utf8(name) for name in file],
        "texts": {_utf8(name): _utf8(text) for name, text in _texts(file)},
        "lists_layers": "layer_names" in file.attrs,
    }


def _read(array: h5py.Dataset, window: tuple[slice, ...]) -> None:
    """Read an array in small pieces: the halves of its halves."""
    lengths = [part.stop - part.start for part in window]
    if max(lengths, default=1) <= 1 or math.prod(lengths) * array.dtype.itemsize <= _PIECE:
        array[window]
        return
    axis = lengths.index(max(lengths))
    part = window[axis]
    middle = (part.start + part.stop) // 2
    for half in (slice(part.start, middle), slice(middle, part.stop)):
        _read(array, (*window[:axis], half, *window[axis + 1 :]))


def _objects(path: Path, file: h5py.File) -> Iterator[h5py.HLObject]:
    """Every group and data set, once, though hard links may form loops."""
    waiting: list[Any] = [file]
    seen: set[int] = set()
    while waiting:
        entry = waiting.pop()
        address = h5py.h5o.get_info(entry.id).addr
        if address in seen:
            continue
        seen.add(address)
        yield entry
        if isinstance(entry, h5py.Group):
            "vars" in entry  # noqa: B015  Keras asks each group for names that it may lack
            if len(seen) + len(waiting) + len(entry) > _MOST_OBJECTS:
                raise CheckpointError(
                    f"{path} has more than {_MOST_OBJECTS} HDF5 objects; no network that can be "
                    "shown has as many. It was not opened."
                )
            waiting.extend(_member(path, entry, name) for name in entry)


def _member(path: Path, group: h5py.Group, name: str) -> h5py.HLObject:
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
        raise CheckpointError(
            f"{path} has {kind} at {group.name}/{name}, which can read other files of this "
            f"machine, and Keras never writes one. {_POINTS_OUT}"
        )
    return group[name]


def _require_inside(path: Path, dataset: h5py.Dataset) -> None:
    if dataset.is_virtual or dataset.external:
        kind = "a virtual data set" if dataset.is_virtual else "external storage"
        raise CheckpointError(
            f"{path} has {kind} at {dataset.name}, which can read other files of this machine, "
            f"and Keras never writes one. {_POINTS_OUT}"
        )


def _check_attributes(path: Path, entry: h5py.HLObject, largest: int) -> None:
    for name in entry.attrs:
        attribute = entry.attrs.get_id(name)
        count = attribute.get_space().get_simple_extent_npoints()
        texts = h5py.check_string_dtype(attribute.dtype) is not None
        if (attribute.dtype.kind == "O" and not (texts and count <= _MOST_OBJECTS)) or (
            count * attribute.dtype.itemsize > largest
        ):
            raise CheckpointError(
                f"{path} has an attribute {name} at {entry.name} that no Keras model has: "
                f"{count} values of type {attribute.dtype}. It was not opened."
            )
        entry.attrs.get(name)  # where a text's length is a lie, this fails


def _texts(file: h5py.File) -> Iterator[tuple[str, str]]:
    for name, value in file.attrs.items():
        if isinstance(value, bytes):
            yield name, value.decode("utf-8")
        elif isinstance(value, str):
            yield name, str(value)


def _utf8(text: str) -> str:
    """Write what is no text of UTF-8 in hexadecimal digits."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

"""Look through an HDF5 file before Keras reads it.

HDF5 can point out of itself (external links, external storage, virtual data sets), and can claim
gigabytes in a kilobyte. Every object is visited here, and no weight is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from deconvviz.errors import CheckpointError
from deconvviz.models.memory_limit import at_most_more

LARGEST_CONFIG = 2**23  # bytes of JSON; DenseNet121 has a twentieth of that
_MOST_OBJECTS = 100_000
_MEMORY = 2**28  # bytes, for the library's own tables and all that it reads here
_ALWAYS_ALLOWED = 2**26  # bytes that any file may claim
_MOST_EXPANSION = 32  # times its own size that a larger one may claim; Keras does not compress
_LARGEST_WEIGHTS = 2**32  # bytes
_POINTS_OUT = "It was not opened. Load it where you trust it, and save the model from there."


@dataclass(frozen=True)
class Survey:
    """What an HDF5 file holds: the stored arrays' axes and values, and what stands at the root."""

    axes: frozenset[int]
    values: int
    names: frozenset[str]
    texts: dict[str, str]
    lists_layers: bool  # in an attribute, as the old weights files do


def survey(path: Path, source: Path | BinaryIO, size: int) -> Survey:
    """Visit every object of an HDF5 file.

    Args:
        path: the file that a person named, for the refusals.
        source: the HDF5 file itself, or what stands for it inside an archive.
        size: its bytes on the disk.

    Raises:
        CheckpointError: for a damaged file, one that points out of itself, and one that claims more
            than it can hold.
    """
    try:
        with at_most_more(_MEMORY), h5py.File(source, "r") as file:
            return _survey(path, file, size)
    except CheckpointError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, TypeError, ...
        line = " ".join(str(error).split())
        raise CheckpointError(
            f"{path} is or holds an HDF5 file that is truncated or damaged ({line}). Copy it "
            "again, or save the model again with model.save('model.keras')."
        ) from None


def _survey(path: Path, file: h5py.File, size: int) -> Survey:
    axes: set[int] = set()
    values = claimed = 0
    for entry in _objects(path, file):
        _check_attributes(path, entry)
        if isinstance(entry, h5py.Dataset):
            _require_inside(path, entry)
            axes.update(entry.shape or ())
            values += entry.size or 0
            claimed += (entry.size or 0) * entry.dtype.itemsize
    allowed = min(max(_ALWAYS_ALLOWED, _MOST_EXPANSION * size), _LARGEST_WEIGHTS)
    if claimed > allowed:
        raise CheckpointError(
            f"{path} claims {claimed} bytes of weights in {size} bytes; at most {allowed} are "
            "allowed, since more would fill the memory. It was not opened."
        )
    lists_layers = "layer_names" in file.attrs
    return Survey(frozenset(axes), values, frozenset(file), dict(_texts(file)), lists_layers)


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


def _check_attributes(path: Path, entry: h5py.HLObject) -> None:
    for name in entry.attrs:
        attribute = entry.attrs.get_id(name)
        count = attribute.get_space().get_simple_extent_npoints()
        texts = h5py.check_string_dtype(attribute.dtype) is not None
        if (attribute.dtype.kind == "O" and not (texts and count <= _MOST_OBJECTS)) or (
            count * attribute.dtype.itemsize > LARGEST_CONFIG
        ):
            raise CheckpointError(
                f"{path} has an attribute {name} at {entry.name} that no Keras model has: "
                f"{count} values of type {attribute.dtype}. It was not opened."
            )
        if texts:
            entry.attrs.get(name)  # Keras will read it; where its length is a lie, this fails


def _texts(file: h5py.File) -> Iterator[tuple[str, str]]:
    for name, value in file.attrs.items():
        if isinstance(value, bytes):
            yield name, value.decode("utf-8")
        elif isinstance(value, str):
            yield name, str(value)

"""Whether what lies in two folders is the same to the last bit.

Compared are the sets of files and the bytes of each file, with these exceptions, which hold times
or the process: of an event file, whose name is the moment and the process, what a reader of
TensorBoard ends up with (tag, step, value of every point that was not struck out, and the number of
graphs); of a `.keras` file, all but metadata.json, which holds the date, and the addresses in
memory by which Keras names shared objects, the weights array by array; of state.npz the arrays,
since a zip file holds times; of run.json, all but the times at which the run began and finished.
"""

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog

_EVENTS = "*.tfevents.*"
_SHARED = re.compile(rb',? ?"shared_object_id": \d+')


def difference(one: Path, other: Path, also: Callable[[Path], bool] = lambda path: True) -> str:
    """Name the first difference of two folders, or nothing where they are the same.

    Args:
        one: what was tortured.
        other: what was not.
        also: chooses among the paths, relative to the folder.
    """
    ours, theirs = ({path for path in _files(folder) if also(path)} for folder in (one, other))
    if left := ours - theirs:
        return f"{sorted(map(str, left))[0]} is left over"
    if lacking := theirs - ours:
        return f"{sorted(map(str, lacking))[0]} is missing"
    for path in sorted(theirs):
        if content(one / path) != content(other / path):
            return f"{path} differs"
    events = {path.relative_to(folder) for folder in (one, other) for path in folder.rglob(_EVENTS)}
    folders = sorted({path.parent for path in events if also(path)})
    return next(filter(None, (_events_differ(one, other, path) for path in folders)), "")


def _files(folder: Path) -> set[Path]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in paths if ".tfevents." not in path.name}


def content(path: Path) -> Any:
    """Read all that must be the same in two files, which fails where a file is not whole."""
    if path.name == "run.json":
        record = json.loads(path.read_bytes())
        return {key: value for key, value in record.items() if key not in ("started", "finished")}
    if path.suffix == ".npz":
        with np.load(path) as saved:
            return {key: saved[key].tobytes() for key in saved.files}
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as file:
            weights = file.read("model.weights.h5")
            return _SHARED.sub(b"", file.read("config.json")), _arrays(weights)
    return path.read_bytes()


def _arrays(weights: bytes) -> dict[str, bytes]:
    arrays: dict[str, bytes] = {}
    with h5py.File(io.BytesIO(weights), "r") as file:
        file.visititems(
            lambda name, item: (
                arrays.update({name: item[()].tobytes()})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return arrays


def _events_differ(one: Path, other: Path, path: Path) -> str:
    if _shown(one / path) != _shown(other / path):
        return f"what TensorBoard shows of {path} differs"
    ours, theirs = graphs(one / path), graphs(other / path)
    if ours != theirs:
        return f"{path} holds the graph {ours} times"
    # A run has an event file a session, an answer has one.
    files = (len(list((folder / path).glob(_EVENTS))) for folder in (one, other))
    return "" if path == Path() or len(set(files)) == 1 else f"{path} holds several event files"


def graphs(folder: Path) -> int:
    """Count the graphs in a folder's event files."""
    return sum(bool(event.graph_def) for event in _events(folder))


def _shown(folder: Path) -> dict[tuple[str, int], bytes]:
    """Every point that was not struck out by a later session."""
    points: dict[tuple[str, int], bytes] = {}
    for event in _events(folder):
        if event.session_log.status == SessionLog.START:
            points = {key: value for key, value in points.items() if key[1] < event.step}
        for value in event.summary.value:
            points[value.tag, event.step] = value.SerializeToString(deterministic=True)
    return points


def _events(folder: Path) -> Iterator[Event]:
    for path in sorted(folder.glob(_EVENTS)):
        with path.open("rb") as file:
            while len(length := file.read(12)) == 12:
                (size,) = struct.unpack("<Q4x", length)
                record = file.read(size + 4)
                if len(record) < size + 4:
                    break  # the process was killed while it wrote
                yield Event.FromString(record[:size])

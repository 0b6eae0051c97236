"""A file over which the HDF5 library hangs or crashes is refused like any other damaged one."""

import io
import json
import os
import struct
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from deconvviz.errors import CheckpointError
from deconvviz.models import preflight_hdf5
from deconvviz.models.preflight import inspect_file
from deconvviz.models.preflight_hdf5 import Survey, survey

CONFIG = {"class_name": "Functional", "config": {"layers": []}}


def h5() -> bytes:
    """A file as Keras writes it, of one array and a description that lies in a heap."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["model_config"] = json.dumps(CONFIG)
        file.create_group("model_weights")["kernel"] = np.zeros((3, 5), np.float32)
    return content.getvalue()


def endless() -> bytes:
    """Let the heap's first object be so long that the next one is itself: libhdf5 goes round."""
    content = h5()
    size = content.index(b"GCOL") + 24  # behind the heap's head, and the object's own two words
    return content[:size] + struct.pack("<Q", 2**64 - 16) + content[size + 8 :]


def write(path: Path, content: bytes) -> Path:
    """Write an HDF5 file, or a `.keras` archive around it."""
    if path.suffix == ".h5":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("config.json", json.dumps(CONFIG))
            archive.writestr("model.weights.h5", content)
    return path


def look(path: Path, content: bytes) -> Survey:
    path.write_bytes(content)
    with path.open("rb") as file:
        return survey(path, file, 0, len(content), len(content))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_file_that_libhdf5_never_finishes_is_refused(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight_hdf5, "_AT_LEAST", 0)
    path = write(tmp_path / f"model{suffix}", endless())
    with pytest.raises(CheckpointError, match=r"does not come to an end.*Copy it again"):
        inspect_file(path)


def test_the_damaged_files_that_strangers_sent_are_refused_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight_hdf5, "_AT_LEAST", 0)
    if "DECONVVIZ_DAMAGED" not in os.environ:
        pytest.skip("DECONVVIZ_DAMAGED names no folder of damaged files")
    files = sorted(Path(os.environ["DECONVVIZ_DAMAGED"]).glob("*.h5"))
    assert files
    for file in files:
        began = time.monotonic()
        with pytest.raises(CheckpointError, match="damaged"):
            inspect_file(file)
        assert time.monotonic() - began < 30  # 1 or 2 seconds, where nothing else runs


CHILDREN = {
    "sleeps": ("import time; time.sleep(60)", "does not come to an end"),
    "is killed for its time": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "does not come to an end",
    ),
    "crashes": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "library crashes"),
    "fails": ("raise MemoryError", "library crashes"),
    "says nothing": ("", "library crashes"),
    "says no JSON": ("print('{')", "library crashes"),
    "says something else": ('print(\'{"axes": ["many"]}\')', "library crashes"),
}


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signals")
@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_that_gives_no_answer_is_a_sentence(
    child: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, words = CHILDREN[child]
    monkeypatch.setattr(preflight_hdf5, "_CHILD", program)
    if child == "sleeps":
        monkeypatch.setattr(preflight_hdf5, "_PATIENCE", 0.5)
    with pytest.raises(CheckpointError, match=words):
        look(tmp_path / "model.h5", h5())


def test_a_python_that_cannot_be_started_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(CheckpointError, match="cannot be started"):
        look(tmp_path / "model.h5", h5())


def test_what_a_sound_file_holds_is_told(tmp_path: Path) -> None:
    found = look(tmp_path / "model.h5", h5())
    expected = Survey(
        frozenset({3, 5}),
        15,
        frozenset({"model_weights"}),
        {"model_config": json.dumps(CONFIG)},
        False,
    )
    assert found == expected


def test_arrays_larger_than_a_piece_are_read_to_their_end(tmp_path: Path) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        values = np.arange(3 * 2**23).astype(np.uint8).reshape(3, 2**23)
        file.create_dataset("x", data=values, chunks=(1, 2**20), compression="gzip")
        last = file["x"].id.get_chunk_info(23)
    assert look(tmp_path / "a.h5", content.getvalue()).values == 3 * 2**23
    broken = bytearray(content.getvalue())
    broken[last.byte_offset + 100 : last.byte_offset + 200] = bytes(100)
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        look(tmp_path / "b.h5", bytes(broken))


def test_a_library_that_is_found_elsewhere_is_found_by_the_child_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    look(tmp_path / "model.h5", h5())

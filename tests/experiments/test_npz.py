"""What a stopped search left is read, or refused in words, whatever happened to the file."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deconvviz.experiments.npz import read_npz


def header(shape: tuple[int, ...]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return content.getvalue()


def archive(path: Path, content: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("a.npy", content)
    return path


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.arange(6).reshape(2, 3), about=np.array("{}"))
    found = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(found["a"], np.arange(6).reshape(2, 3))
    assert str(found["about"]) == "{}"


def test_an_array_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="claims more than it holds"):
        read_npz(archive(tmp_path / "a.npz", header((2**40,))))


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    bomb = header((2**20,)) + bytes(2**23)
    with pytest.raises(ValueError, match="not stored as it is"):
        read_npz(archive(tmp_path / "a.npz", bomb, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        b"PK\x05\x06" + bytes(18),
        b"\x93NUMPY\x01\x00v\x00{",
        header((2,)) + bytes(16),
    ],
)
def test_what_holds_no_arrays_is_refused_or_empty(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    if content.startswith(b"PK"):
        assert read_npz(tmp_path / "a.npz") == {}
    else:
        with pytest.raises(ValueError, match=r"."):
            read_npz(tmp_path / "a.npz")


def test_bytes_that_changed_are_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.arange(600))
    whole = (tmp_path / "a.npz").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 300):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "a.npz").write_bytes(changed)
        try:
            found = read_npz(tmp_path / "a.npz")
        except ValueError:
            continue
        assert all(array.tolist() == list(range(600)) for array in found.values())

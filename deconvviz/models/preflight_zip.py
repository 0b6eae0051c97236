"""Read a `.keras` archive without trusting what it says about itself.

A zip's directory may claim sizes that its data do not have, in either direction, and Python's own
reader believes it. So the members' bytes are found and inflated here, up to a limit.
"""

import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deconvviz.errors import CheckpointError
from deconvviz.models.file_window import Window
from deconvviz.models.preflight_hdf5 import LARGEST_CONFIG, Survey, survey
from deconvviz.models.step_mark import marked_step

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_LIMITS = {METADATA: 2**20, CONFIG: LARGEST_CONFIG, WEIGHTS: 2**32}
_LARGEST_DIRECTORY = 2**20
_CHUNK = 2**16
_LOCAL_HEADER = struct.Struct("<26xHH")  # the lengths of the name and of the extra field


@dataclass(frozen=True)
class Archive:
    """A `.keras` file's texts, what a look through its weights found, and its training step."""

    metadata: bytes
    config: bytes
    weights: Survey
    step: int | None


def read_archive(path: Path, source: Path) -> Archive:
    """Take a `.keras` file apart, every member's size told and true.

    Args:
        path: the file that a person named, for the refusals.
        source: where its bytes are read.

    Raises:
        CheckpointError: for a damaged archive, another archive, and one that would fill the memory.
    """
    try:
        with _Directory(source) as file, zipfile.ZipFile(file) as archive:
            members = _require_members(path, archive)
            metadata, config = (
                b"".join(_content(path, file, members[name])) for name in (METADATA, CONFIG)
            )
            weights = _weights(path, file, members[WEIGHTS])
            step = marked_step(archive.comment)
    except (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError) as error:
        raise CheckpointError(
            f"{path} is truncated or damaged ({error}). Copy or save the model again."
        ) from None
    return Archive(metadata, config, weights, step)


class _Directory(io.FileIO):
    """A file whose zip directory cannot fill the memory: `ZipFile` reads it in one piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        whole = size is None or size < 0
        content = super().read(_LARGEST_DIRECTORY + 1 if whole or size is None else size) or b""
        if len(content) > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile("its directory has more than a model's three files")
        return content


def _require_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = {member.filename: member for member in archive.infolist()}
    if any(name.endswith(".pkl") for name in members):
        raise CheckpointError(
            f"{path} is a PyTorch file: a zip with a pickle inside, which can run any code. It was "
            "not opened. Only Keras models are shown: rebuild the model in Keras, and save that."
        )
    if members.keys() != _LIMITS.keys() or len(archive.infolist()) != len(members):
        listed = ", ".join(sorted(members)[:5]) or "nothing"
        raise CheckpointError(
            f"{path} is a zip of {listed}, not a .keras file, which holds {', '.join(_LIMITS)}. "
            "Save the model with model.save('model.keras')."
        )
    for name, member in members.items():
        _require_size(path, name, member.file_size)
    return members


def _require_size(path: Path, name: str, size: int) -> None:
    if size > _LIMITS[name]:
        raise CheckpointError(
            f"{path} unpacks {name} to {size} bytes; at most {_LIMITS[name]} are allowed. It "
            "was not opened."
        )


def _weights(path: Path, file: io.FileIO, member: zipfile.ZipInfo) -> Survey:
    if member.compress_type == zipfile.ZIP_STORED:
        start, size = _place(file, member)
        return survey(path, file, start, size, member.file_size)
    if member.file_size > max(2**26, 32 * member.compress_size):
        raise CheckpointError(
            f"{path} unpacks {member.filename} from {member.compress_size} to {member.file_size} "
            "bytes, more than weights ever shrink. It was not opened."
        )
    with tempfile.TemporaryFile() as unpacked:
        for piece in _content(path, file, member):
            unpacked.write(piece)
        unpacked.flush()
        return survey(path, unpacked, 0, member.file_size, member.compress_size)


def _content(path: Path, file: io.FileIO, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's bytes in small pieces; those that it does not own up to are never inflated."""
    window = Window(file, *_place(file, member))
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = member.compress_type == zipfile.ZIP_STORED
    size = checksum = 0
    while compressed := window.read(_CHUNK):
        while compressed:
            piece = compressed if plain else inflate.decompress(compressed, _CHUNK)
            compressed = b"" if plain else inflate.unconsumed_tail
            size += len(piece)
            if size > member.file_size:
                raise CheckpointError(
                    f"{path} lies about {member.filename}: the zip says {member.file_size} bytes, "
                    "and more come out. It was not opened."
                )
            checksum = zlib.crc32(piece, checksum)
            yield piece
    if size != member.file_size or checksum != member.CRC:
        raise zipfile.BadZipFile(f"{member.filename} is not what was written")


def _place(file: io.FileIO, member: zipfile.ZipInfo) -> tuple[int, int]:
    """Where a member's bytes begin, and how many there are."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{member.filename} is compressed as Keras never does")
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    name, extra = _LOCAL_HEADER.unpack(header)
    start = member.header_offset + len(header) + name + extra
    return start, member.compress_size

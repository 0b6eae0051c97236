"""Look at a model file before Keras, or even TensorFlow, does.

A model file is a stranger's program: it can name code to run, or claim sizes that fill the memory.
So what it is, what it holds and every class that it names are checked here, without a framework;
only a file that passes reaches `deconvviz.models.files`.
"""

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deconvviz.errors import CheckpointError
from deconvviz.models.held_file import HeldFile
from deconvviz.models.preflight_config import check_config, parse
from deconvviz.models.preflight_hdf5 import Survey, survey
from deconvviz.models.preflight_zip import read_archive
from deconvviz.wording import one_line

LAST = Path("checkpoints") / "last.keras"
_SAVE = "Save the model with model.save('model.keras')."


@dataclass(frozen=True)
class ModelFile:
    """A model file that was looked at and found sound.

    Attributes:
        path: the file.
        suffix: what it is, whatever its name says.
        keras_version: the Keras that wrote it, such as "3.15.1"; None where it does not say.
        config: the model's description, the JSON that Keras builds it from.
        values: how many numbers its arrays hold, the optimizer's among them.
        step: the training step that it was saved at; None where it does not say.
        held: the file itself, open, so that what is loaded is what was looked at.
    """

    path: Path
    suffix: Literal[".keras", ".h5"]
    keras_version: str | None
    config: dict[str, Any] = field(repr=False)
    values: int
    step: int | None
    held: HeldFile = field(repr=False)

    @property
    def format(self) -> str:
        """The format and the writer, such as ".h5 (Keras 2.4.0)"."""
        return self.suffix + (f" (Keras {self.keras_version})" if self.keras_version else "")

    @property
    def sha256(self) -> str:
        """The file's fingerprint, 64 hexadecimal digits; the whole file is read for it."""
        with self.held.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def model_file(path: Path) -> Path:
    """The model file that a path names: a run's last checkpoint, or the path itself.

    Raises:
        CheckpointError: for a run that has no checkpoint yet.
    """
    if not os.path.isfile(path / "config.toml"):
        return path
    if not os.path.exists(path / LAST):
        raise CheckpointError(
            f"The run {path} has no checkpoint yet. Let it go on: deconvviz train --resume {path}"
        )
    return path / LAST


def inspect_file(path: Path) -> ModelFile:
    """Refuse whatever is not a sound model file of Keras's own classes.

    Args:
        path: a `.keras` or a full `.h5` file; what it is, is told by its content.

    Returns:
        What the file says of itself; no weight was read, and no code of the file was run.

    Raises:
        CheckpointError: it says what the file is instead, and what to do.
    """
    try:
        held = HeldFile(path)
        head = _require_file(path, held)
        read = _read_keras if head.startswith(b"PK\x03\x04") else _read_h5
        suffix: Literal[".keras", ".h5"] = ".keras" if read is _read_keras else ".h5"
        content = read(path, held)
        check_config(path, content.config, content.weights.axes, content.keras_version)
        values, step = content.weights.values, content.step
        return ModelFile(path, suffix, content.keras_version, content.config, values, step, held)
    except CheckpointError as error:  # it may quote the file
        raise CheckpointError(one_line(str(error))) from None
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"There is no {path}. Give a run's folder, such as logs/classic-1, or a .keras or .h5 "
            "file."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = getattr(error, "strerror", None) or error
        name = one_line(str(path), 200)
        raise CheckpointError(f"{name} cannot be read: {reason}. Check the path.") from None


def _require_file(path: Path, held: HeldFile) -> bytes:
    """The first bytes of what may be a model file."""
    mode = held.found.st_mode
    if stat.S_ISDIR(mode):
        raise _folder(path)
    if not stat.S_ISREG(mode):
        raise CheckpointError(
            f"{path} is a pipe or a device, not a file. Copy the model to a file, and give that."
        )
    with held.open() as file:
        head = file.read(64)
    if not head:
        raise CheckpointError(f"{path} is empty. Copy or save the model again.")
    if not head.startswith((b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")):
        raise _stranger(path, head)
    return head


def _folder(path: Path) -> CheckpointError:
    if (path / "saved_model.pb").exists():
        return CheckpointError(
            f"{path} is a TensorFlow SavedModel, which holds a compiled program and no layers. In "
            "the program that made it, save the model with model.save('model.h5') under Keras 2, "
            "or model.save('model.keras') under Keras 3, and give that file."
        )
    return CheckpointError(
        f"{path} is a folder, but not a run of deconvviz: it has no config.toml. Give a run's "
        "folder, such as logs/classic-1, or a .keras or .h5 file."
    )


def _stranger(path: Path, head: bytes) -> CheckpointError:
    if head.startswith(b"version https://git-lfs"):
        return CheckpointError(
            f"{path} is a git-lfs pointer, not the model itself. Fetch it with git lfs pull."
        )
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return CheckpointError(
            f"{path} is a Python pickle, which can run any code when it is read. It was not "
            f"opened. Load it where you trust it. {_SAVE}"
        )
    return CheckpointError(
        f"{path} is not a .keras file, nor an .h5 file: it begins with {head[:8]!r}, not with a "
        f"zip's b'PK' or HDF5's b'\\x89HDF'. {_SAVE}"
    )


@dataclass(frozen=True)
class _Content:
    config: dict[str, Any]
    keras_version: str | None
    weights: Survey
    step: int | None = None


def _read_keras(path: Path, held: HeldFile) -> _Content:
    archive = read_archive(path, held.source)
    version = parse(path, archive.metadata).get("keras_version")
    version = version and one_line(str(version), 20)
    return _Content(parse(path, archive.config), version, archive.weights, archive.step)


def _read_h5(path: Path, held: HeldFile) -> _Content:
    size = held.found.st_size
    with held.open() as file:
        found = survey(path, file, 0, size, size)
    if "model_config" in found.texts:
        version = found.texts.get("keras_version")
        version = version and one_line(version, 20)
        return _Content(parse(path, found.texts["model_config"]), version, found)
    if found.names & {"layers", "_layer_checkpoint_dependencies"} or found.lists_layers:
        raise CheckpointError(
            f"{path} holds weights alone, and no description of the network. Build the network, "
            "load them with model.load_weights, and save both with model.save('model.keras')."
        )
    listed = ", ".join(sorted(found.names)[:5]) or "nothing"
    raise CheckpointError(f"{path} is an HDF5 file of {listed}, not a Keras model. {_SAVE}")

"""Look at a model file before Keras does.

A model file is a stranger's program: it can name code to run, or claim sizes that fill the memory.
So the format, the members, their sizes and every class that the configuration names are checked
here, with the standard library alone, before a byte reaches Keras.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deconvviz.errors import CheckpointError

_MEMBERS = {"metadata.json": 2**20, "config.json": 2**24, "model.weights.h5": 2**32}
_LARGEST_SIZE = 2**24  # of one axis of anything in a configuration: units, filters, input sizes
_SIZE_KEYS = {"units", "filters", "input_dim", "output_dim", "shape", "batch_shape", "input_shape"}
_RUNS_CODE = {"Lambda", "TFSMLayer"}


def inspect_file(path: Path) -> None:
    """Refuse whatever is not a sound `.keras` file of known classes.

    Raises:
        CheckpointError: it says what the file is instead, and what to do.
    """
    _require_file(path)
    config = _read_config(path)
    for entry in _classes(config):
        _require_known(path, entry)
    for key, size in _sizes(config):
        if size > _LARGEST_SIZE:
            raise CheckpointError(
                f"{path} claims {key} = {size}; at most {_LARGEST_SIZE} is allowed, since more "
                "would fill the memory. It was not opened."
            )


def _require_file(path: Path) -> None:
    if not path.exists():
        raise CheckpointError(
            f"There is no {path}. Give a run's folder, such as logs/classic-1, or a .keras file."
        )
    if path.is_dir():
        raise CheckpointError(
            f"{path} is a folder, but not a run of deconvviz (a SavedModel, perhaps). Give a run's "
            "folder, such as logs/classic-1, or save the model with model.save('model.keras')."
        )
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise CheckpointError(f"{path} is empty. Copy or save the model again.")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path} is a git-lfs pointer, not the model itself. Fetch it with git lfs pull."
        )
    if head.startswith(b"\x89HDF"):
        raise CheckpointError(
            f"{path} is an HDF5 file, and only .keras files are opened. Load it with Keras, and "
            "save it with model.save('model.keras')."
        )
    if not head.startswith(b"PK"):
        raise CheckpointError(
            f"{path} is not a .keras file: it begins with {head[:8]!r}, not with a zip's 'PK'. "
            "Save the model with model.save('model.keras')."
        )


def _read_config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            _require_members(path, archive)
            return json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path} is truncated or damaged ({error}). Copy or save the model again."
        ) from None


def _require_members(path: Path, archive: zipfile.ZipFile) -> None:
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    if sizes.keys() != _MEMBERS.keys():
        raise CheckpointError(
            f"{path} is a zip of {', '.join(sorted(sizes)[:5]) or 'nothing'}, not a .keras file, "
            f"which holds {', '.join(_MEMBERS)}. Save the model with model.save('model.keras')."
        )
    for name, limit in _MEMBERS.items():
        if sizes[name] > limit:
            raise CheckpointError(
                f"{path} unpacks {name} to {sizes[name]} bytes; at most {limit} are allowed. It "
                "was not opened."
            )


def _classes(config: Any) -> Iterator[dict[str, Any]]:
    """Every entry, at any depth, that tells Keras to build an object."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)


def _require_known(path: Path, entry: dict[str, Any]) -> None:
    name, module = str(entry["class_name"]), str(entry.get("module") or "")
    registered = str(entry.get("registered_name") or "")
    if name in _RUNS_CODE:
        raise CheckpointError(
            f"{path} has a {name} layer, which can run any code when it is loaded. It was not "
            "opened. Rebuild the model without it, and save that."
        )
    builtin = name.startswith("__") and not module  # tuples, slices, tensors in a configuration
    keras = module == "keras" or module.startswith("keras.") or module == "builtins"
    if not (keras or builtin or registered.startswith("deconvviz>")):
        raise CheckpointError(
            f"{path} asks for the class {module or '?'}.{name}, which is not Keras's own. It was "
            "not opened. Load it in your own program, where you trust it, and hand the model to "
            "deconvviz.Deconvnet."
        )


def _sizes(config: Any, key: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(config, dict):
        for name, value in config.items():
            yield from _sizes(value, name)
    elif isinstance(config, list):
        for value in config:
            yield from _sizes(value, key)
    elif key in _SIZE_KEYS and isinstance(config, int):
        yield key, config

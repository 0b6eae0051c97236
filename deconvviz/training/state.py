"""All that a run needs to go on exactly as if it had never stopped, in one file.

Weights, the optimizer's moments, dropout's random states, the step and the best accuracy so far are
written together and replaced together, so that a kill at any moment leaves one whole state.
(Keras's own formats leave out the random states, and are not written atomically.)
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deconvviz.atomic import replacing
from deconvviz.errors import CheckpointError
from deconvviz.training.small_files import Progress, validated

if TYPE_CHECKING:
    import keras

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# Keras numbers seed generators and optimizers by what the process made before: adam_3/…
_NUMBER = re.compile(r"_\d+(?=/)")
_Kind = tuple[tuple[int, ...], np.dtype[Any]]  # an array's shape and type


def save_state(
    path: Path, model: "keras.Model", optimizer: "keras.optimizers.Optimizer", progress: Progress
) -> None:
    """Write the state of a run, whole or not at all."""
    arrays: dict[str, Any] = {
        key: np.asarray(value) for key, value in _variables(model, optimizer).items()
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, step=progress.step, best=progress.best, **arrays)


def restore_state(
    path: Path, model: "keras.Model", optimizer: "keras.optimizers.Optimizer"
) -> Progress:
    """Give a freshly built model and optimizer the state that was saved.

    Raises:
        CheckpointError: where the file lacks, is damaged, or belongs to another network.
    """
    variables = _variables(model, optimizer)
    with _saved(path) as saved:
        progress = _progress(saved)
        keys = {_NUMBER.sub("", key): key for key in saved.files}
        _require(path, saved, keys, variables)
        arrays = {key: saved[keys[key]] for key in variables}
    for key, variable in variables.items():
        variable.assign(arrays[key])
    return progress


def saved_progress(path: Path) -> Progress:
    """Read how far a run has come, and nothing else of its state.

    Raises:
        CheckpointError: where the file lacks or is damaged.
    """
    with _saved(path) as saved:
        return _progress(saved)


@contextmanager
def _saved(path: Path) -> Iterator[Any]:
    try:
        # numpy leaves a file open that it opened itself and could not read.
        with path.open("rb") as file:
            saved = np.load(file, allow_pickle=False)
            if not isinstance(saved, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array, not many")
            with saved:
                yield saved
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} does not exist, so this run saved no state to go on from. Start a new run."
        ) from None
    except Exception as error:  # zipfile, zlib and numpy raise what they like for damaged bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"{path} is damaged and cannot be resumed from ({reason}). Start a new run."
        ) from None


def _progress(saved: Any) -> Progress:
    values = {}
    for key in ("step", "best"):
        if _kind(saved, key)[0] != ():
            raise ValueError(f"{key} is not one number")
        values[key] = saved[key].item()
    return validated(Progress, values)


def _require(path: Path, saved: Any, keys: Mapping[str, str], variables: Mapping[str, Any]) -> None:
    """Hold the arrays to the variables by their headers, before memory is given to any."""
    wanted = {key: _of(variable) for key, variable in variables.items()}
    if keys.keys() - {"step", "best"} != wanted.keys() or any(
        _kind(saved, keys[key]) != kind for key, kind in wanted.items()
    ):
        raise CheckpointError(
            f"{path} holds the state of another network than the run's config.toml describes. "
            "Restore the config.toml that the run began with, or start a new run."
        )


def _of(variable: Any) -> _Kind:
    value: npt.NDArray[Any] = np.asarray(variable)
    return value.shape, value.dtype


def _kind(saved: Any, key: str) -> _Kind:
    with saved.zip.open(f"{key}.npy") as member:
        shape, _, dtype = _HEADERS[np.lib.format.read_magic(member)](member)
    return shape, dtype


def _variables(model: "keras.Model", optimizer: "keras.optimizers.Optimizer") -> dict[str, Any]:
    """Every variable by its place and path; a model's variables include dropout's random states."""
    return {
        f"{place:04d} {_NUMBER.sub('', variable.path)}": variable
        for place, variable in enumerate([*model.variables, *optimizer.variables])
    }

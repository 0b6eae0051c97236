"""All that a run needs to go on exactly as if it had never stopped, in one file.

Weights, the optimizer's moments, dropout's random states, the step and the best accuracy so far are
written together and replaced together, so that a kill at any moment leaves one whole state.
(Keras's own formats leave out the random states, and are not written atomically.)
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from deconvviz.atomic import replacing
from deconvviz.errors import CheckpointError


@dataclass(frozen=True)
class Progress:
    """How far a run has come: the steps done, and the best evaluation so far (0 to 1)."""

    step: int = 0
    best: float = 0.0


def save_state(
    path: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer, progress: Progress
) -> None:
    """Write the state of a run, whole or not at all."""
    arrays: dict[str, Any] = {
        key: np.asarray(value) for key, value in _variables(model, optimizer).items()
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, step=progress.step, best=progress.best, **arrays)


def restore_state(
    path: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> Progress:
    """Give a freshly built model and optimizer the state that was saved.

    Raises:
        CheckpointError: where the file lacks, is damaged, or belongs to another network.
    """
    variables = _variables(model, optimizer)
    try:
        # numpy leaves a file open that it opened itself and could not read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            arrays = {key: saved[key] for key in saved.files}
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} does not exist, so this run saved no state to go on from. Start a new run."
        ) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is damaged and cannot be resumed from ({error}). Start a new run."
        ) from None
    progress = Progress(int(arrays.pop("step", 0)), float(arrays.pop("best", 0.0)))
    shapes = {key: tuple(value.shape) for key, value in variables.items()}
    if {key: value.shape for key, value in arrays.items()} != shapes:
        raise CheckpointError(
            f"{path} holds the state of another network than the run's config.toml describes. "
            "Restore the config.toml that the run began with, or start a new run."
        )
    for key, variable in variables.items():
        variable.assign(arrays[key])
    return progress


def _variables(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Every variable by its place and path; a model's variables include dropout's random states."""
    both = [*model.variables, *optimizer.variables]
    return {f"{place:04d} {variable.path}": variable for place, variable in enumerate(both)}

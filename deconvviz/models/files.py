"""Open a model that lies on disk: a run's folder or a `.keras` file."""

from pathlib import Path

import keras

import deconvviz.models.pooling  # noqa: F401  Keras finds the layer once it is registered
from deconvviz.errors import CheckpointError
from deconvviz.models.preflight import inspect_file

LAST = Path("checkpoints") / "last.keras"


def model_file(path: Path) -> Path:
    """The `.keras` file that a path names: a run's last checkpoint, or the path itself.

    Raises:
        CheckpointError: for a run that has no checkpoint yet.
    """
    if not (path / "config.toml").is_file():
        return path
    if not (path / LAST).exists():
        raise CheckpointError(
            f"The run {path} has no checkpoint yet. Let it go on: deconvviz train --resume {path}"
        )
    return path / LAST


def load_model(path: str | Path) -> keras.Model:
    """Open a trained model after a look at what the file holds.

    Args:
        path: a run's folder (its last checkpoint is opened) or a `.keras` file.

    Returns:
        The model, for inference: no optimizer is loaded, no code of the file is run.

    Raises:
        CheckpointError: for a file that lacks, is damaged, or names classes that are not Keras's.
    """
    file = model_file(Path(path))
    inspect_file(file)
    try:
        model: keras.Model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # whatever Keras raises for a file that passed the look
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{file} looks like a .keras file, but Keras cannot open it: {line} Save the model "
            "again with the Keras version that is installed here."
        ) from error
    return model

"""Open a model that lies on disk: a run's folder, a `.keras` file or a full `.h5` file."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import keras

import deconvviz.models.pooling
import deconvviz.models.renormalise  # noqa: F401  Keras finds a class once it is registered
from deconvviz.errors import CheckpointError
from deconvviz.models.allowance import TooManyWeights, at_most
from deconvviz.models.preflight import ModelFile, inspect_file, model_file
from deconvviz.received import require
from deconvviz.wording import one_line


def load_model(path: str | Path) -> keras.Model:
    """Open a trained model after a look at what the file holds.

    Args:
        path: a run's folder (its last checkpoint is opened), a `.keras` or a full `.h5` file.

    Returns:
        The model, for inference: no optimizer is loaded, no code of the file is run.

    Raises:
        CheckpointError: for a file that lacks, is damaged, or names classes that are not Keras's.
    """
    require("path", path, (str, PathLike), "the path of a run's folder or of a model file")
    return open_model(inspect_file(model_file(Path(path))))


def open_model(found: ModelFile) -> keras.Model:
    """Open the very bytes that were looked at, whatever has taken the file's name since.

    Raises:
        CheckpointError: for a file that Keras cannot open, or that was written into meanwhile.
    """
    with _named_by_content(found) as file:
        model = _load(found, file)
    _require_unchanged(found)
    return model


def _load(found: ModelFile, file: Path) -> keras.Model:
    try:
        with at_most(found.values), warnings.catch_warnings():
            # A nested model keeps its optimizer, which has nothing to do here.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except TooManyWeights as error:
        raise CheckpointError(
            f"{found.path} describes more weights than the {found.values} numbers that it stores: "
            f"{error}. It was not opened. Save the model again."
        ) from None
    except Exception as error:  # whatever Keras raises for a file that passed the look
        _require_unchanged(found)
        reason = one_line(str(error) or type(error).__name__, longest=300).rstrip(".")
        raise CheckpointError(
            f"{found.path} looks like a sound {found.format} file, but Keras {keras.__version__} "
            f"cannot open it: {reason}. {_remedy(found)}"
        ) from error
    if not isinstance(model, keras.Model):
        raise CheckpointError(
            f"{found.path} holds a {type(model).__name__}, not a model. Save a keras.Model with "
            "model.save('model.keras')."
        )
    return model


@contextmanager
def _named_by_content(found: ModelFile) -> Iterator[Path]:
    """The file under a name that Keras, which goes by the suffix, takes for what it is."""
    with tempfile.TemporaryDirectory() as folder:
        name = Path(folder, "model").with_suffix(found.suffix)
        try:
            name.symlink_to(found.held.source)
        except (OSError, NotImplementedError):  # Windows leaves links to administrators
            shutil.copyfile(found.held.source, name)
        yield name


def _require_unchanged(found: ModelFile) -> None:
    if found.held.changed():
        raise CheckpointError(
            f"{found.path} changed while it was being opened. Open it again when it is written."
        )


def _remedy(found: ModelFile) -> str:
    if (found.keras_version or "").startswith(("1.", "2.")):
        return (
            "Rebuild the model with Keras 3's layers, load its weights (tf_keras still opens the "
            "file and can save them), and save that with model.save('model.keras')."
        )
    return "Save the model again with the Keras that is installed here, as model.keras."

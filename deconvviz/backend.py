"""Keras on TensorFlow and Matplotlib off screen, whatever a person's shell has chosen.

Both libraries take settings from the environment and from files while they are imported: notebooks
set MPLBACKEND, other projects KERAS_BACKEND, and keras.json also turns images' axes round and
weights into half precision. The command line's process is ours, so there nobody else's choice
counts. A person's own Python process is theirs, so there a choice that cannot work is told.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from deconvviz.errors import DeconvvizError

_WAY_OUT = (
    'deconvviz needs TensorFlow\'s. In a new process, set os.environ["KERAS_BACKEND"] = '
    '"tensorflow" before anything imports Keras.'
)


def own_process() -> None:
    """Give this process its own settings; to be called before Keras or Matplotlib is imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["MPLBACKEND"] = "agg"
    # Here neither can find, nor leave, a settings file.
    os.environ["KERAS_HOME"] = os.environ["MATPLOTLIBRC"] = os.devnull


def require_keras_on_tensorflow() -> None:
    """Refuse a Keras that was imported with another backend than TensorFlow."""
    config = getattr(sys.modules.get("keras"), "config", None)
    running = config.backend() if config else "tensorflow"
    if running != "tensorflow":
        raise DeconvvizError(f"Keras runs on the backend {running!r} here; {_WAY_OUT}")


def require_importable() -> None:
    """Refuse settings with which Keras, once imported, would run elsewhere or not at all."""
    require_keras_on_tensorflow()
    if "keras" in sys.modules:
        return
    chosen, where = os.environ.get("KERAS_BACKEND"), "KERAS_BACKEND"
    if not chosen:
        chosen, where = _of_keras_json()
    if chosen != "tensorflow":
        raise DeconvvizError(f"{where} chooses Keras's backend {chosen!r}; {_WAY_OUT}")
    drawing = os.environ.get("MPLBACKEND", "").removeprefix("module://")
    if "matplotlib" not in sys.modules and "." in drawing and not _is_installed(drawing):
        raise DeconvvizError(
            f"MPLBACKEND names {drawing!r}, which is not installed here, so neither Matplotlib nor "
            "Keras can be imported. Unset it, or set it to agg."
        )


def _of_keras_json() -> tuple[str, str]:
    """The backend that keras.json chooses, and the file's name."""
    file = Path(os.environ.get("KERAS_HOME") or Path("~", ".keras").expanduser(), "keras.json")
    try:
        return json.loads(file.read_text("utf-8")).get("backend", "tensorflow"), str(file)
    except (OSError, ValueError, AttributeError):  # then Keras does not go by it either
        return "tensorflow", str(file)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False

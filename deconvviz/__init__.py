"""See what the layers of a Keras CNN have learnt, by running their activations back to pixels.

The names below load TensorFlow when they are first used, so that `import deconvviz` and
`deconvviz --help` answer at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deconvviz.backend import require_importable, require_keras_on_tensorflow
from deconvviz.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DeconvvizError,
    EmptyReconstructionWarning,
    UnsupportedLayerError,
)

if TYPE_CHECKING:
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.experiments.strongest import strongest_activations
    from deconvviz.experiments.top import TopActivations
    from deconvviz.models.files import load_model
    from deconvviz.training.callback import ReconstructionCallback

__version__ = "0.1.0.dev0"

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "Deconvnet",
    "DeconvvizError",
    "EmptyReconstructionWarning",
    "ReconstructionCallback",
    "TopActivations",
    "UnsupportedLayerError",
    "load_model",
    "strongest_activations",
]

_HOMES = {
    "Deconvnet": "deconvviz.deconv.deconvnet",
    "ReconstructionCallback": "deconvviz.training.callback",
    "TopActivations": "deconvviz.experiments.top",
    "load_model": "deconvviz.models.files",
    "strongest_activations": "deconvviz.experiments.strongest",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deconvviz' has no attribute {name!r}")
    require_importable()
    return getattr(import_module(_HOMES[name]), name)


require_keras_on_tensorflow()

"""Images become arrays, and arrays become batches.

The names below are loaded when they are first used: several of them bring TensorFlow, which the
command line does without as long as it only checks what it was asked.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deconvviz.data.batches import evaluation_batches, training_batches
    from deconvviz.data.cifar10_archive import import_cifar10
    from deconvviz.data.dataset import Dataset, Split, load_dataset
    from deconvviz.data.fitting import fit_images
    from deconvviz.data.pictures import read_images
    from deconvviz.data.preprocess import Preprocess

__all__ = [
    "Dataset",
    "Preprocess",
    "Split",
    "evaluation_batches",
    "fit_images",
    "import_cifar10",
    "load_dataset",
    "read_images",
    "training_batches",
]

_HOMES = {
    "Dataset": "dataset",
    "Preprocess": "preprocess",
    "Split": "dataset",
    "evaluation_batches": "batches",
    "fit_images": "fitting",
    "import_cifar10": "cifar10_archive",
    "load_dataset": "dataset",
    "read_images": "pictures",
    "training_batches": "batches",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deconvviz.data' has no attribute {name!r}")
    return getattr(import_module(f"deconvviz.data.{_HOMES[name]}"), name)

"""Images become arrays, and arrays become batches."""

from deconvviz.data.batches import evaluation_batches, training_batches
from deconvviz.data.cifar10_archive import import_cifar10
from deconvviz.data.dataset import Dataset, Split, load_dataset
from deconvviz.data.pictures import read_images
from deconvviz.data.preprocess import Preprocess

__all__ = [
    "Dataset",
    "Preprocess",
    "Split",
    "evaluation_batches",
    "import_cifar10",
    "load_dataset",
    "read_images",
    "training_batches",
]

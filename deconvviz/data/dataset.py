"""Images as arrays: what every source gives, and the way from a configuration to it.

A data set is decoded once into uint8 arrays and stays in memory; training and pictures read those
and never a file. The fingerprint goes into the run's record, so that a run says which pixels it
saw.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deconvviz.config import DataConfig


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their classes: `images` uint8 [n, H, W, 3], `labels` int64 [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory; label k means `classes[k]`.

    `skipped` counts images left out; `note` says what was taken for what, where that is no matter
    of course.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    fingerprint: str
    skipped: int = 0
    note: str = ""

    def split(self, name: str) -> Split:
        """Give the part that `"test"` or `"train"` names."""
        return {"test": self.test, "train": self.train}[name]


def load_dataset(config: DataConfig, seed: int) -> Dataset:
    """Load the data set that a configuration names.

    Args:
        config: which data set, from where, and at what size.
        seed: decides the crops of `photos`; the other data sets do not depend on it.

    Returns:
        The whole data set, decoded.

    Raises:
        DataError: where it is not there, cannot be read, or cannot be fetched.
    """
    # Each source brings packages that the others do not need, so it is imported when it is asked.
    if config.name == "cifar10":
        from deconvviz.data.cifar10 import load_cifar10

        return load_cifar10(config.dir)
    if config.name == "photos":
        from deconvviz.data.photos import load_photos

        return load_photos(config.size, seed)
    from deconvviz.data.folder import load_folder

    assert config.dir is not None  # DataConfig refuses a folder without it
    return load_folder(config.dir, config.size, skip_broken=config.skip_broken)


def fingerprint(train: Split, test: Split) -> str:
    """Name the pixels and labels of a data set by their sha256, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for array in (train.images, train.labels, test.images, test.labels):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()

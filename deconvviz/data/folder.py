"""A directory of class directories of images as a data set.

`flowers/rose/1.jpg` is an example of the class `rose`. In every class about one image in five is
held out for testing, chosen by a hash of its path below the directory: the same images whatever the
seed, the machine or the order of the file system.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deconvviz.data.dataset import Dataset, Split, fingerprint
from deconvviz.data.fitting import Target
from deconvviz.data.pictures import read_image
from deconvviz.errors import DataError

_HOLD_OUT_ONE_IN = 5


def load_folder(directory: Path, size: int, *, skip_broken: bool = False) -> Dataset:
    """Read a directory of class directories.

    Every file in a class directory, at any depth, must be an image, but for hidden ones. Files
    beside the class directories belong to no class and are not looked at.

    Args:
        directory: holds one directory a class.
        size: every image is scaled to cover size x size pixels and cut around its centre.
        skip_broken: leave out, and count, what cannot be read, rather than refuse the directory.

    Returns:
        The images in a mixed order that is always the same; `skipped` says how many were left out.

    Raises:
        DataError: naming the directory without two classes, the class without two images, or the
            first file that is no sound image.
    """
    classes = _classes(directory)
    train: list[_Example] = []
    test: list[_Example] = []
    skipped = 0
    for label, name in enumerate(classes):
        paths = _files(directory / name)
        examples = _read(paths, directory, label, size, skip_broken)
        if len(examples) < 2:
            raise DataError(
                f"The class directory {directory / name} holds {len(examples)} readable images; "
                "every class needs at least 2, one to train on and one to test on."
            )
        held_out = max(1, round(len(examples) / _HOLD_OUT_ONE_IN))
        test += examples[:held_out]
        train += examples[held_out:]
        skipped += len(paths) - len(examples)
    splits = _split(train), _split(test)
    return Dataset("folder", classes, *splits, fingerprint(*splits), skipped)


@dataclass(frozen=True, order=True)
class _Example:
    rank: str  # the hash of its path: the order within a class, and in the whole
    label: int = field(compare=False)
    image: NDArray[np.uint8] = field(compare=False)


def _classes(directory: Path) -> tuple[str, ...]:
    try:
        classes = sorted(
            entry.name
            for entry in directory.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )
    except OSError as error:
        raise DataError(
            f"The image folder {directory} cannot be read ({error.strerror}); give the path of a "
            "directory that holds one directory of images for each class."
        ) from None
    if len(classes) < 2:
        raise DataError(
            f"The image folder {directory} holds {len(classes)} class directories, and at least 2 "
            "are needed; put the images of each class into a directory named after it."
        )
    return tuple(classes)


def _files(directory: Path) -> list[Path]:
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )


def _read(
    paths: list[Path], directory: Path, label: int, size: int, skip_broken: bool
) -> list[_Example]:
    examples = []
    for path in paths:
        name = path.relative_to(directory).as_posix()
        try:
            image = read_image(path, Target(size))
        except DataError as error:
            if skip_broken:
                continue
            raise DataError(f"{error} Or leave out all such files: --skip-broken.") from None
        rank = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        examples.append(_Example(rank, label, image))
    return sorted(examples)


def _split(examples: list[_Example]) -> Split:
    mixed = sorted(examples)
    return Split(
        np.stack([example.image for example in mixed]),
        np.array([example.label for example in mixed], np.int64),
    )

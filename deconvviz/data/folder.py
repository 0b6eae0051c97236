"""A directory of class directories of images as a data set.

`flowers/rose/1.jpg` is an example of the class `rose`. Where the directory is split already,
`flowers/train/rose/1.jpg` and `flowers/test/rose/2.jpg`, that split is taken. Else in every class
about one image in five is held out for testing, chosen by a hash of its path below the directory:
the same images whatever the seed, the machine or the order of the file system.
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
from deconvviz.listing import counted, listed

_HOLD_OUT_ONE_IN = 5
_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "validation", "valid")  # the first that is there is taken


def load_folder(directory: Path, size: int, *, skip_broken: bool = False) -> Dataset:
    """Read a directory of class directories, or of `train/` and `test/` with class directories.

    Every file in a class directory, at any depth, must be an image, but for hidden ones. Files
    beside the class directories belong to no class and are not looked at. Where `train/` has no
    `test/` beside it, the images of `val/`, `validation/` or `valid/` are tested on.

    Args:
        directory: holds one directory a class, or one a split.
        size: every image is scaled to cover size x size pixels and cut around its centre.
        skip_broken: leave out, and count, what cannot be read, rather than refuse the directory.

    Returns:
        The images in a mixed order that is always the same; `skipped` says how many were left out,
        `note` which directories were taken for what.

    Raises:
        DataError: naming the directory without two classes, the class without images enough, the
            class that only one split has, or the first file that is no sound image.
    """
    layout = _layout(directory)
    reader = _Reader(directory, size, skip_broken)
    train: list[_Example] = []
    test: list[_Example] = []
    for label, name in enumerate(layout.classes):
        examples = reader.read(layout.train / name, label)
        if layout.test is None:
            held_out = _held_out(examples, layout.train / name)
            test += examples[:held_out]
            train += examples[held_out:]
            continue
        _some(examples, layout.train / name)
        train += examples
        test += reader.read(layout.test / name, label)
    _some(test, layout.test or directory)
    splits = _split(train), _split(test)
    note = layout.note(len(train), len(test))
    return Dataset("folder", layout.classes, *splits, fingerprint(*splits), reader.skipped, note)


@dataclass(frozen=True)
class _Layout:
    """Where the classes' directories lie: `test` is None where nothing is split yet."""

    root: Path
    classes: tuple[str, ...]
    train: Path
    test: Path | None
    left_out: tuple[str, ...] = ()

    def note(self, train: int, test: int) -> str:
        """Say in one sentence which directories were taken, and as what."""
        named = f"{counted(len(self.classes), 'class', 'classes')} ({listed(self.classes)})"
        images = counted(train, "image")
        if self.test is None:
            return f"{self.root}: {named}, {images} to train on and {test:,} held out to test on."
        left_out = f" Left out: {listed(self.left_out)}." if self.left_out else ""
        return (
            f"{self.root}: {named}, {images} of {self.train.name} to train on and {test:,} of "
            f"{self.test.name} to test on.{left_out}"
        )


@dataclass(frozen=True, order=True)
class _Example:
    rank: str  # the hash of its path: the order within a class, and in the whole
    label: int = field(compare=False)
    image: NDArray[np.uint8] = field(compare=False)


def _layout(root: Path) -> _Layout:
    """Find the classes, and the split where there is one.

    A directory of classes may have one called `train`, for the railway; it is a split where another
    such name stands beside it.
    """
    names = _directories(root)
    of = {name.lower(): name for name in names}
    train = next((of[name] for name in _TRAIN if name in of), None)
    test = next((of[name] for name in _TEST if name in of), None)
    if train is None and test is not None and all(name in _TEST for name in of):
        raise DataError(
            f"The image folder {root} holds {listed(names)} and no train. Add the class "
            "directories to train on as train/, or give the directory that holds the classes."
        )
    if train is None or test is None:
        return _Layout(root, _two_or_more(root, names), root, None)
    classes = _two_or_more(root / train, _directories(root / train))
    unknown = [name for name in _directories(root / test) if name not in classes]
    if unknown:
        raise DataError(
            f"{root / test} has the class {unknown[0]}, and {root / train} has "
            f"{listed(classes, unknown[0])}. Give both the same classes."
        )
    left_out = tuple(name for name in names if name not in (train, test))
    return _Layout(root, classes, root / train, root / test, left_out)


def _directories(directory: Path) -> tuple[str, ...]:
    try:
        return tuple(
            sorted(
                entry.name
                for entry in directory.iterdir()
                if entry.is_dir() and not entry.name.startswith(".")
            )
        )
    except OSError as error:
        raise DataError(
            f"The image folder {directory} cannot be read ({error.strerror}); give the path of a "
            "directory that holds one directory of images for each class."
        ) from None


def _two_or_more(directory: Path, classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(classes) < 2:
        raise DataError(
            f"The image folder {directory} holds "
            f"{counted(len(classes), 'class directory', 'class directories')}, and at least 2 "
            "are needed; put the images of each class into a directory named after it."
        )
    return classes


def _held_out(examples: list[_Example], directory: Path) -> int:
    """How many of a class's examples are held out."""
    if len(examples) < 2:
        raise DataError(
            f"The class directory {directory} holds "
            f"{counted(len(examples), 'readable image')}; "
            "every class needs at least 2, one to train on and one to test on."
        )
    return max(1, round(len(examples) / _HOLD_OUT_ONE_IN))


def _some(examples: list[_Example], directory: Path) -> None:
    if not examples:
        raise DataError(
            f"{directory} holds no readable image; put images of its class there, or leave the "
            "directory out."
        )


def _files(directory: Path) -> list[Path]:
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )


@dataclass
class _Reader:
    root: Path
    size: int
    skip_broken: bool
    skipped: int = 0

    def read(self, directory: Path, label: int) -> list[_Example]:
        """Read a class, in the order of the examples' ranks."""
        examples = []
        for path in _files(directory):
            name = path.relative_to(self.root).as_posix()
            try:
                image = read_image(path, Target(self.size))
            except DataError as error:
                if not self.skip_broken:
                    raise DataError(
                        f"{error} Or leave out all such files: --skip-broken."
                    ) from None
                self.skipped += 1
                continue
            rank = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
            examples.append(_Example(rank, label, image))
        return sorted(examples)


def _split(examples: list[_Example]) -> Split:
    mixed = sorted(examples)
    return Split(
        np.stack([example.image for example in mixed]),
        np.array([example.label for example in mixed], np.int64),
    )

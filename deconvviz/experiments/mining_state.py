"""What a pass over a data set has found so far, and the file that lets it go on another day.

The file remembers the images by a checksum of those looked at, and the network by one of its
weights, so that what belongs to others is refused and never mixed in.
"""

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from deconvviz.atomic import replacing
from deconvviz.errors import DataError
from deconvviz.experiments.top import ARRAYS, TopActivations

_FORMAT = 1


@dataclass(frozen=True)
class Asked:
    """What is sought: `k` units of each map of `layers`; `first` numbers the first image."""

    layers: tuple[str, ...]
    k: int
    first: int


@dataclass(frozen=True)
class Mined:
    """What was found in the first images.

    Attributes:
        tops: the strongest units, by their layers' paths; none before the first image.
        images: how many images were looked at.
        marks: a checksum of those images, one an input of the model.
    """

    tops: dict[str, TopActivations] = field(default_factory=dict)
    images: int = 0
    marks: tuple[int, ...] = ()


def marked(marks: tuple[int, ...], images: tuple[Any, ...]) -> tuple[int, ...]:
    """Take more images into their checksums; how they were cut into batches leaves no mark."""
    before = marks or (0,) * len(images)
    return tuple(
        zlib.crc32(np.ascontiguousarray(x).data, mark)
        for mark, x in zip(before, images, strict=True)
    )


def save_state(path: Path, asked: Asked, model: keras.Model, mined: Mined) -> None:
    """Write what was found so far, whole or not at all.

    Raises:
        DeconvvizError: where the file cannot be written; what was there before still is.
    """
    about = {**_about(asked, model), "images": mined.images, "marks": mined.marks}
    arrays = {
        f"{number}/{name}": getattr(mined.tops[layer], name)
        for number, layer in enumerate(asked.layers)
        for name in ARRAYS
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)


def open_state(path: Path, asked: Asked, model: keras.Model) -> Mined:
    """Read what an earlier call found, nothing where there is no file yet.

    Raises:
        DataError: for a file that is no such state, and for one of other layers, k, numbering or
            weights.
    """
    if not path.exists():
        return Mined()
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            tops = {
                layer: TopActivations(
                    layer, about["images"], *(file[f"{number}/{name}"] for name in ARRAYS)
                )
                for number, layer in enumerate(about["layers"])
            }
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} holds no strongest activations found so far ({error}). Remove it, or keep "
            "them in another file."
        ) from error
    wanted = _about(asked, model)
    other = [key for key in wanted if json.loads(json.dumps(wanted[key])) != about.get(key)]
    if other:
        raise refusal(path, " and ".join(other))
    return Mined(tops, about["images"], tuple(about["marks"]))


def refusal(path: Path, what: str) -> DataError:
    """Say that a state belongs to something else."""
    return DataError(
        f"{path} holds the strongest activations of other {what}. Remove it to begin anew, or keep "
        "them in another file."
    )


def _about(asked: Asked, model: keras.Model) -> dict[str, Any]:
    weights = 0
    for weight in model.weights:
        weights = zlib.crc32(np.ascontiguousarray(weight).data, weights)
    return {
        "format": _FORMAT,
        "layers": asked.layers,
        "k": asked.k,
        "numbering": asked.first,
        "weights": weights,
    }

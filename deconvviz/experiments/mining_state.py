"""What a pass over a data set has found so far, and the file that lets it go on another day.

The file remembers the images by a checksum of those looked at, and the network by one of its
weights, so that what belongs to others is refused and never mixed in.
"""

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
from pydantic import BaseModel, Field

from deconvviz.atomic import replacing
from deconvviz.errors import DataError
from deconvviz.experiments.npz import read_npz
from deconvviz.experiments.top import ARRAYS, TopActivations
from deconvviz.wording import one_line

_FORMAT = 1
_KINDS = ("float32", "int64", "int32", "int32")  # of ARRAYS


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
        file = read_npz(path)
        about = _About.model_validate_json(str(file["about"]))
        tops = {
            layer: _top(layer, about, [file[f"{number}/{name}"] for name in ARRAYS])
            for number, layer in enumerate(about.layers)
        }
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} holds no strongest activations found so far ({one_line(str(error), 150)}). "
            "Remove it, or keep them in another file."
        ) from error
    found, wanted = about.model_dump(), _about(asked, model)
    other = [key for key in wanted if wanted[key] != found[key]]
    if other:
        raise refusal(path, " and ".join(other))
    return Mined(tops, about.images, about.marks)


def _top(layer: str, about: "_About", arrays: list[Any]) -> TopActivations:
    """Hold arrays to what the record promises of them."""
    kinds = [(array.dtype, array.shape) for array in arrays]
    shape = (len(arrays[0]) if arrays[0].ndim else 0, about.k)
    if kinds != [(np.dtype(kind), shape) for kind in _KINDS]:
        raise ValueError(f"the arrays of {layer} are of other types and shapes")
    image = arrays[ARRAYS.index("image")]
    if image.size and not -1 <= image.min() <= image.max() < about.numbering + about.images:
        raise ValueError(f"the arrays of {layer} name images that were not looked at")
    return TopActivations(layer, about.images, *arrays)


class _About(BaseModel):
    format: int
    layers: tuple[str, ...]
    k: int
    numbering: int
    weights: int
    images: Annotated[int, Field(ge=0, lt=2**63)]
    marks: tuple[int, ...]


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

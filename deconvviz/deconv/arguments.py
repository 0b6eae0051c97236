"""What a caller may ask `Deconvnet` for, checked before any image is spent on it.

Every refusal says what was received, and what the model at hand allows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.errors import DataError, DeconvvizError
from deconvviz.listing import listed, nearest


def no_such_layer(layer: str, paths: Sequence[str]) -> DeconvvizError:
    """Say that a model lacks a layer, and which ones it has, or of many the nearest."""
    has = listed(paths)
    if has == ", ".join(paths):
        alike = nearest(layer, paths, 0.6)[:1]
    else:
        alike = nearest(layer, paths)
        has = f"{len(paths)} layers, which net.layers and deconvviz inspect list"
    meant = f"Did you mean {' or '.join(alike)}? " if alike else ""
    return DeconvvizError(f"The model has no layer {layer[:60]!r}. {meant}It has {has}.")


def require_numbers(images: Sequence[Any]) -> None:
    """Refuse what cannot become float32 without a loss: complex numbers, text, objects.

    Raises:
        DataError: naming the type that was received.
    """
    for kind in (np.asarray(x).dtype for x in images):
        if kind.kind not in "biuf":
            raise DataError(
                f"The images are of type {kind}; they are arrays of real numbers, in the "
                "network's input space."
            )


def require_shapes(images: Sequence[Any], wanted: Sequence[tuple[int | None, ...]]) -> None:
    """Refuse images that a model does not take.

    Args:
        images: one array `[n, ...]` an input, the same n for all.
        wanted: the inputs' shapes without the batch; None where a size is open.

    Raises:
        DataError: for another number of inputs, or other shapes.
    """
    shapes = [np.shape(x) for x in images]
    fit = len(shapes) == len(wanted) and all(map(_fits, shapes, wanted))
    if not fit or len({shape[0] for shape in shapes}) > 1:
        raise DataError(
            f"The model takes images of shape {_shapes(('n', *shape) for shape in wanted)}; "
            f"received {_shapes(shapes)}."
        )


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) + 1 and all(
        size in (None, have) for size, have in zip(wanted, shape[1:], strict=True)
    )


def _shapes(shapes: Any) -> str:
    return " and ".join(
        "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
        for shape in shapes
    )


def wanted(feature: Any, at: Any, count: int) -> int:
    """How many maps are asked of `count` images; of one, as many as features or places are."""
    if count != 1:
        return count
    features, places = np.shape(feature), np.shape(at)
    return max(features[0] if len(features) == 1 else 1, places[0] if len(places) == 2 else 1)


def checked_features(
    feature: int | npt.ArrayLike | None, count: int, target: Sequence[int | None], layer: str
) -> npt.NDArray[np.int32] | None:
    """Give one feature for each of `count` images, int32 `[count]`, or None for the whole layer.

    Raises:
        DeconvvizError: for a feature that the layer, of the shape `target`, does not have.
    """
    if feature is None:
        return None
    features, channels = np.asarray(feature), target[-1]
    whole = np.issubdtype(features.dtype, np.integer) and features.shape in ((), (count,))
    if not whole or np.any(features < 0) or (channels and np.any(features >= channels)):
        raise DeconvvizError(
            f"Layer {layer!r} has features 0 to {(channels or 0) - 1}; feature takes one of them, "
            f"or an int array with one for each of the {count} images; received "
            f"{_one_line(feature)}."
        )
    return np.broadcast_to(features, (count,)).astype(np.int32)


def checked_start(start: str) -> None:
    """Refuse a start signal that there is not.

    Raises:
        DeconvvizError: naming those that there are.
    """
    if start not in ("activation", "one"):
        raise DeconvvizError(f"start got {start!r}; allowed are 'activation' and 'one'.")


def _one_line(received: Any) -> str:
    return repr(received.tolist() if isinstance(received, np.ndarray) else received)[:60]


def checked_places(
    at: Any, features: Any, count: int, target: Sequence[int | None], layer: str
) -> str | npt.NDArray[np.int32] | None:
    """Give one (y, x) for each of `count` images, int32 `[count, 2]`; or "max", or None.

    Raises:
        DeconvvizError: for a place outside the layer's maps, and for a layer without maps.
    """
    if at is None or (isinstance(at, str) and at == "max" and _is_map(features, target)):
        return at if at is None else "max"
    if features is None:
        raise DeconvvizError("at chooses a unit of one feature map: give feature too.")
    if len(target) == 1:
        raise DeconvvizError(
            f"Layer {layer!r} has no spatial axes: feature alone chooses a unit; leave out at."
        )
    places = np.asarray(at)
    whole = np.issubdtype(places.dtype, np.integer) and places.shape in ((2,), (count, 2))
    sizes = np.array([size or np.iinfo(np.int32).max for size in target[:2]])
    if not whole or np.any(places < 0) or np.any(places >= sizes):
        raise DeconvvizError(
            f"Layer {layer!r} is {target[0]} units high and {target[1]} wide; at takes 'max', "
            f"(y, x) within it, or an int array [{count}, 2]; received {_one_line(at)}."
        )
    return np.broadcast_to(places, (count, 2)).astype(np.int32)


def _is_map(features: Any, target: Sequence[int | None]) -> bool:
    return features is not None and len(target) == 3

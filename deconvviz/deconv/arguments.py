"""What a caller may ask `Deconvnet` for, checked before any image is spent on it.

Every refusal says what was received, and what the model at hand allows.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from deconvviz.deconv.graph import Graph
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.listing import listed, nearest
from deconvviz.received import shown

Layer: TypeAlias = str | keras.Operation
"""A layer's path, or the Keras layer itself."""


def path_of(layer: Any, graph: Graph) -> str:
    """Give the path of a layer that is named, or given as Keras's own object.

    Raises:
        DeconvvizError: for what names no layer of the model, or names more than one place.
    """
    if isinstance(layer, keras.Operation):
        return _place_of(layer, graph)
    if not isinstance(layer, str):
        index = f"; for Keras's number, model.layers[{layer}]" if isinstance(layer, int) else ""
        raise DeconvvizError(
            "A layer is given by its name, by its path such as 'block/conv1', or as a Keras layer "
            f"of the model{index}; received {shown(layer)}."
        )
    if layer not in graph.targets:
        raise no_such_layer(layer, tuple(graph.targets))
    return layer


def _place_of(layer: Any, graph: Graph) -> str:
    paths = graph.places.get(id(layer), ())
    if len(paths) == 1:
        return paths[0]
    if paths:
        raise DeconvvizError(
            f"The layer {layer.name!r} stands at more than one place: give the path of one, "
            f"{listed([repr(path) for path in paths])}."
        )
    raise DeconvvizError(
        f"The {type(layer).__name__} {layer.name!r} is no layer of this model that computes "
        f"something. It has {listed(list(graph.targets))}."
    )


def paths_of(layers: Any, graph: Graph) -> tuple[str, ...]:
    """Give the paths of one layer or of several, each once.

    Raises:
        DeconvvizError: as `path_of` does, and where none is given.
    """
    several = isinstance(layers, Iterable) and not isinstance(layers, str | Mapping)
    named = [path_of(layer, graph) for layer in (layers if several else (layers,))]
    if not named:
        raise DeconvvizError(f"No layer is named. The model has {listed(list(graph.targets))}.")
    return tuple(dict.fromkeys(named))


def matched(images: Mapping[Any, Any], names: Sequence[str]) -> tuple[Any, ...]:
    """Put images that are given by the inputs' names into the model's order.

    Raises:
        DataError: where a name is missing, or is none of the inputs'.
    """
    if set(images) != set(names) or len(set(names)) < len(names):
        raise DataError(
            f"The model's inputs are called {listed([repr(name) for name in names])}; received "
            f"images for {listed([repr(name) for name in images]) or 'none'}. Give one array "
            "under each of those names, or a tuple in that order."
        )
    return tuple(images[name] for name in names)


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


def as_numbers(images: Any) -> npt.NDArray[Any]:
    """Take what can become float32 without a loss: no complex numbers, text, objects.

    Raises:
        DataError: naming the type that was received.
    """
    try:
        array = np.asarray(images)
    except Exception as error:  # whatever a stranger's object raises
        raise DataError(
            f"The images, {type(images).__name__}, do not become an array of numbers "
            f"({str(error).splitlines()[0][:120]}). Give an array [n, H, W, C]."
        ) from error
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"The images are of type {array.dtype} ({type(images).__name__}); they are arrays of "
            "real numbers, in the network's input space."
        )
    return array


def require_shapes(
    images: Sequence[Any], wanted: Sequence[tuple[int | None, ...]], names: Sequence[str]
) -> None:
    """Refuse images that a model does not take.

    Args:
        images: one array `[n, ...]` an input, the same n for all.
        wanted: the inputs' shapes without the batch; None where a size is open.
        names: what the inputs are called.

    Raises:
        DataError: for another number of inputs, or other shapes.
    """
    shapes = [np.shape(x) for x in images]
    fit = len(shapes) == len(wanted) and all(map(_fits, shapes, wanted))
    if not fit or len({shape[0] for shape in shapes}) > 1:
        raise DataError(
            f"The model takes images of shape {_shapes(('n', *shape) for shape in wanted)}"
            f"{_order(names)}; received {_shapes(shapes)}."
        )


def _order(names: Sequence[str]) -> str:
    if len(names) == 1:
        return ""
    return f", as a dict or in this order: {listed([repr(name) for name in names])}"


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
    features, places = np.shape(_array(feature)), np.shape(_array(at))
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
    features, channels = _array(feature), target[-1]
    whole = np.issubdtype(features.dtype, np.integer) and features.shape in ((), (count,))
    if not whole or np.any(features < 0) or (channels and np.any(features >= channels)):
        raise DeconvvizError(
            f"Layer {layer!r} has features 0 to {(channels or 0) - 1}; feature takes one of them, "
            f"or an int array with one for each of the {count} images; received "
            f"{shown(feature)}."
        )
    return np.broadcast_to(features, (count,)).astype(np.int32)


def checked_signal(signal: Any, wanted: Sequence[int], layer: str) -> None:
    """Refuse a signal that does not have the shape of the layer's activation.

    Raises:
        DeconvvizError: naming both shapes.
    """
    shape = np.shape(_array(signal))
    if shape != tuple(wanted):
        raise DeconvvizError(
            f"The signal at layer {layer!r} has the shape of its activation, {list(wanted)}; "
            f"received {list(shape)}."
        )


def checked_start(start: str) -> None:
    """Refuse a start signal that there is not.

    Raises:
        DeconvvizError: naming those that there are.
    """
    if not isinstance(start, str) or start not in ("activation", "one"):
        raise DeconvvizError(f"start got {shown(start)}; allowed are 'activation' and 'one'.")


def _array(received: Any) -> npt.NDArray[Any]:
    """An array, of objects where there is no other: the checks then refuse it."""
    try:
        return np.asarray(received)
    except (TypeError, ValueError):
        return np.array(None, object)


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
    places = _array(at)
    whole = np.issubdtype(places.dtype, np.integer) and places.shape in ((2,), (count, 2))
    sizes = np.array([size or np.iinfo(np.int32).max for size in target[:2]])
    if not whole or np.any(places < 0) or np.any(places >= sizes):
        raise DeconvvizError(
            f"Layer {layer!r} is {target[0]} units high and {target[1]} wide; at takes 'max', "
            f"(y, x) within it, or an int array [{count}, 2]; received {shown(at)}."
        )
    return np.broadcast_to(places, (count, 2)).astype(np.int32)


def _is_map(features: Any, target: Sequence[int | None]) -> bool:
    return features is not None and len(target) == 3

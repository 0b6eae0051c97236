"""What a question is given: a network, images, and whole numbers; refused in words where it is not.

A data set gives its images in more shapes than arrays do: with labels behind, or, as TFDS does, in
a dict; one array an input is taken out of each batch, and the rest is left.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from deconvviz.data import Preprocess
from deconvviz.deconv.arguments import as_numbers
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.received import require, shown

Arrays = tuple[Any, ...]  # one an input of the model, the same number of images in each

_IMAGE = "image"  # what TFDS calls it
_CHUNK = 128  # images that are taken from an array at once; the engine may want fewer


def require_net(net: Any) -> None:
    """Refuse a network that is no `Deconvnet`, a Keras model above all."""
    require("net", net, Deconvnet, "a Deconvnet, which deconvviz.Deconvnet(model) makes")


def one_input(net: Deconvnet, images: Any) -> npt.NDArray[np.float32]:
    """Take images for a network of one input, float32 `[n, H, W, C]`.

    Raises:
        DataError: for a network of several, and as `Deconvnet.inputs` does.
    """
    if len(net.model.inputs) != 1:
        raise DataError(
            f"The network takes {len(net.model.inputs)} inputs; this takes a network of one image."
        )
    return net.inputs(images)[0]


def require_pixels(images: Any, preprocess: Any) -> None:
    """Refuse what is not a batch of uint8 images, and what cannot make them the network's input."""
    require("preprocess", preprocess, Preprocess, "a Preprocess, such as Preprocess('unit')")
    require("images", images, np.ndarray, "an array of uint8 pixels [n, H, W, C]")
    preprocess.window(images)
    if images.ndim != 4:
        raise DataError(f"images takes pixels [n, H, W, C]; received {list(images.shape)}.")


def filling(name: str, value: Any, channels: int) -> tuple[float, ...]:
    """Take one finite number, or one a channel.

    Raises:
        DeconvvizError: for anything else.
    """
    try:
        filled = np.broadcast_to(np.asarray(value, np.float64), (channels,))
    except (TypeError, ValueError):
        filled = np.array([np.nan])
    if not np.isfinite(filled).all():
        raise DeconvvizError(
            f"{name} takes a finite number, or one for each of the {channels} channels; received "
            f"{shown(value)}."
        )
    return tuple(filled.tolist())


def chunks(net: Deconvnet, images: Any) -> Iterator[Arrays]:
    """Give a data set's batches, or arrays piece by piece, one array an input of the model.

    Args:
        net: the network, which names its inputs.
        images: as `strongest_activations` takes them.

    Raises:
        DataError: for a data set without end, of single images, or whose batches hold no images
            under a name that the network knows.
    """
    if isinstance(images, tf.data.Dataset):
        if images.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise DataError("The data set has no end. Give a part of it, dataset.take(batches).")
        _require_batches(net, images.element_spec)
        return (as_arrays(batch, net.input_names) for batch in images.as_numpy_iterator())
    given = as_arrays(images, net.input_names) if isinstance(images, Mapping) else images
    arrays = tuple(
        np.atleast_1d(as_numbers(x)) for x in (given if isinstance(given, tuple) else (given,))
    )
    counts = {len(x) for x in arrays}
    if len(counts) != 1:
        raise DataError(
            f"Each input of the model takes the same number of images; received {sorted(counts)}."
        )
    starts = range(0, counts.pop(), _CHUNK)
    return (tuple(x[start : start + _CHUNK] for x in arrays) for start in starts)


def as_arrays(element: Any, names: tuple[str, ...]) -> Arrays:
    """Take the images out of one element of a data set: alone, before labels, or in a dict.

    Args:
        element: arrays, or what describes them.
        names: of the network's inputs.

    Raises:
        DataError: for a dict without the inputs' names; of one image, `image` serves too.
    """
    if isinstance(element, tuple) and (len(names) == 1 or isinstance(element[0], tuple | Mapping)):
        element = element[0]
    if not isinstance(element, Mapping):
        return element if isinstance(element, tuple) else (element,)
    if set(names) <= set(element):
        return tuple(element[name] for name in names)
    if len(names) == 1 and _IMAGE in element:
        return (element[_IMAGE],)
    raise DataError(
        f"The data set gives a dict of {', '.join(map(repr, element))}, and the network's inputs "
        f"are {', '.join(map(repr, names))}. Choose the images: dataset.map(lambda batch: "
        "batch['…'])."
    )


def _require_batches(net: Deconvnet, spec: Any) -> None:
    """Refuse single images, which would be taken for a batch of rows."""
    specs = as_arrays(spec, net.input_names)
    ranks = [len(tensor.shape) for tensor in net.model.inputs]
    for given, rank in zip(specs, ranks, strict=False):
        if getattr(getattr(given, "shape", None), "rank", None) == rank - 1:
            raise DataError(
                f"The data set gives single images, {list(given.shape)}; put them into batches: "
                "dataset.batch(128)."
            )

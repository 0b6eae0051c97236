"""What ails a network's feature maps, before anything of them is drawn.

Zeiler & Fergus looked at their first layers and saw one filter that drowned the others, dead maps,
a lack of middle frequencies, and aliasing from a stride that was too large. Here the same is
measured, on the weights and on images.

References:
    Zeiler & Fergus 2013, Sections 3 and 4.1, Figure 6. Odena et al. 2016, Distill, for the lattice
    that strided layers leave in whatever is projected back through them.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.graph import Graph, Step, flatten
from deconvviz.deconv.kinds import RECTIFICATIONS, look_up
from deconvviz.deconv.survey import LayerInfo
from deconvviz.experiments.ailments import Diagnosis, Filters, FirstLayer, Lattice, MapsInUse
from deconvviz.experiments.filters import (
    beyond_lattice,
    colour_share,
    cover_counts,
    frequency_shares,
    rms,
)
from deconvviz.experiments.given import require_net, require_pixels

_CHUNK = 128  # images that are scaled at once; the engine may want fewer


def diagnose(
    net: Deconvnet,
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess | None,
    progress: Callable[[int], None] | None = None,
) -> Diagnosis:
    """Look a network's filters and feature maps over.

    Args:
        net: the network; its rules do not matter here.
        images: uint8 `[n, H, W, C]`, fitted to the network's size.
        preprocess: how they become its input; None where nobody knows, so that no feature map is
            looked at.
        progress: called with the number of images looked at, after each batch.

    Returns:
        What was found.

    Raises:
        DataError: where an activation is not finite, or the images do not come through.
    """
    require_net(net)
    if preprocess is not None:
        require_pixels(images, preprocess)
    graph = flatten(net.model)
    kernels = {step.path: (step, w) for step in graph.steps if (w := _kernel(step)) is not None}
    return Diagnosis(
        images=len(images),
        preprocess=None if preprocess is None else preprocess.name,
        maps=()
        if preprocess is None
        else _maps(net, _rectified(graph), images, preprocess, progress or (lambda _: None)),
        filters=tuple(_filters(graph, *found) for found in kernels.values()),
        first=tuple(_first(path, kernels[path][1]) for path in _sees_pixels(net, kernels)),
        lattices=tuple(one for step in graph.steps if (one := _lattice(step)) is not None),
    )


def _rectified(graph: Graph) -> tuple[str, ...]:
    """The layers whose output is rectified, and of a kind that has feature maps or units."""
    steps = [step for step in graph.steps if look_up(step, dict.fromkeys(RECTIFICATIONS, True))]
    slots = {slot for step in steps for slot in step.outputs if len(graph.shapes[slot]) in (1, 3)}
    paths = {step.path for step in steps}
    return tuple(path for path, slot in graph.targets.items() if slot in slots and path in paths)


def _maps(
    net: Deconvnet,
    layers: tuple[str, ...],
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    progress: Callable[[int], None],
) -> tuple[MapsInUse, ...]:
    largest: dict[str, Any] = dict.fromkeys(layers, -np.inf)
    fired: dict[str, Any] = dict.fromkeys(layers, 0)
    for first in range(0, len(images) if layers else 0, _CHUNK):
        x = preprocess(images[first : first + _CHUNK])
        for batch in net.batches(x, layers):
            for layer, peaks in net.strongest(x[batch], layers).items():
                largest[layer] = np.maximum(largest[layer], peaks.value.max(axis=0))
                fired[layer] = fired[layer] + (peaks.value > 0).sum(axis=0)
        progress(first + len(x))
    return tuple(
        MapsInUse(layer, np.asarray(largest[layer], np.float32), fired[layer] / len(images))
        for layer in layers
    )


def _kernel(step: Step) -> npt.NDArray[np.float32] | None:
    """A convolution's kernel, `[height, width, channels, filters]`; None for any other step."""
    layer: Any = step.operation
    if not look_up(step, {keras.layers.Conv2D: True, keras.layers.DepthwiseConv2D: True}):
        return None
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel), np.float32)
    if isinstance(layer, keras.layers.DepthwiseConv2D):  # a filter looks at one channel
        return kernel.reshape(*kernel.shape[:2], 1, -1)
    return kernel


def _filters(graph: Graph, step: Step, kernel: npt.NDArray[np.float32]) -> Filters:
    readers = [other for other in graph.steps if step.outputs[0] in other.inputs]
    norm: Any = readers[0].operation if len(readers) == 1 else None
    if not isinstance(norm, keras.layers.BatchNormalization):
        return Filters(step.path, rms(kernel), normalised=False)
    scale = 1 / np.sqrt(keras.ops.convert_to_numpy(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        scale = scale * np.abs(keras.ops.convert_to_numpy(norm.gamma))
    return Filters(step.path, rms(kernel) * scale, normalised=True)


def _sees_pixels(net: Deconvnet, kernels: dict[str, Any]) -> list[str]:
    """The convolutions whose units see just what their filters cover, in all of its channels."""
    channels = net.model.inputs[0].shape[-1]
    return [
        info.path
        for info in net.layers
        if info.path in kernels
        and kernels[info.path][1].shape[2] == channels
        and _field(info) == kernels[info.path][1].shape[:2]
    ]


def _field(info: LayerInfo) -> tuple[int, int] | None:
    return info.receptive_field.size if info.receptive_field else None


def _first(path: str, kernel: npt.NDArray[np.float32]) -> FirstLayer:
    colour = colour_share(kernel) if kernel.shape[2] == 3 else None
    return FirstLayer(path, frequency_shares(kernel), colour)


def _lattice(step: Step) -> Lattice | None:
    layer: Any = step.operation
    window = _pair(getattr(layer, "kernel_size", getattr(layer, "pool_size", None)))
    stride = _pair(getattr(layer, "strides", None))
    if window is None or stride is None or max(stride) == 1:
        return None
    counts = [cover_counts(w, s) for w, s in zip(window, stride, strict=True)]
    kernel = _kernel(step)
    return Lattice(
        layer=step.path,
        window=window,
        stride=stride,
        most=math.prod(map(max, counts)),
        least=math.prod(map(min, counts)),
        aliased=None if kernel is None else float(beyond_lattice(kernel, stride).mean()),
    )


def _pair(value: Any) -> tuple[int, int] | None:
    return tuple(value) if isinstance(value, tuple | list) and len(value) == 2 else None

"""The units whose pictures are put to the test, and their maps under whatever was changed.

In each image one unit is watched: the same one, fed with the same value, however the network, the
rules or the switches are changed, so that nothing but the change can move the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.graph import Graph
from deconvviz.deconv.kinds import look_up
from deconvviz.deconv.receptive_field import Box
from deconvviz.deconv.start import start_signal
from deconvviz.deconv.trace import Trace
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.listing import counted
from deconvviz.received import whole

Images = npt.NDArray[np.float32]
Switches = dict[str, tf.Tensor]


@dataclass(frozen=True, eq=False)
class Watched:
    """Images, and the unit that is watched in each.

    Attributes:
        images: float32 `[n, H, W, C]`, n at least 2.
        index: int64 `[n]`, which of the images given these are.
        layer: the target.
        feature: int32 `[n]`.
        place: int32 `[n, 2]`, (y, x); None in a layer without spatial axes.
        value: float32 `[n]`, the activation, above 0.
        other: int32 `[n]`, the strongest other feature at the same place.
        fields: one an image, the unit's receptive field; at the edge it goes on into the padding.
    """

    images: Images
    index: npt.NDArray[np.int64]
    layer: str
    feature: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32] | None
    value: npt.NDArray[np.float32]
    other: npt.NDArray[np.int32]
    fields: tuple[Box, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The parts of the receptive fields that lie in the image."""
        height, width = self.images.shape[1:3]
        return tuple(
            Box(max(one.top, 0), max(one.left, 0), min(one.bottom, height), min(one.right, width))
            for one in self.fields
        )

    def signal(self, activation: Images, of_other: bool = False) -> Images:
        """Give the start signal of the watched units, or of the others at their places."""
        place = None if self.place is None else tf.constant(self.place)
        feature = tf.constant(self.other if of_other else self.feature)
        return np.asarray(start_signal(tf.constant(activation), feature, place), np.float32)


def watch(net: Deconvnet, images: Images, layer: str, feature: int | None = None) -> Watched:
    """Choose a unit in each image: the strongest of the layer, or of one feature map.

    Args:
        net: the network.
        images: float32 `[n, H, W, C]` in network-input space.
        layer: the layer's path; `[h, w, C]` or `[C]` with at least two features.
        feature: the same feature map in every image; None takes, in each image, the one with the
            strongest single activation.

    Returns:
        The units that fire, and their images.

    Raises:
        DataError: where they fire in fewer than two images.
        DeconvvizError: for a layer or a feature that does not exist, or cannot be watched.
    """
    shape = net.require(layer)
    if len(shape) not in (1, 3) or (shape[-1] or 0) < 2:
        raise DeconvvizError(
            f"Layer {layer!r} gives {shape}; single units are watched in a layer of [height, "
            "width, features] or [features], with two features or more."
        )
    if feature is not None and whole("feature", feature) >= (shape[-1] or 0):
        raise DeconvvizError(
            f"Layer {layer!r} has features 0 to {(shape[-1] or 0) - 1}; received {feature}."
        )
    activation = net.activation(images, layer)
    # Of a layer without spatial axes, one row and one column.
    maps = activation.reshape(len(activation), -1, activation.shape[-1])
    strongest = maps.max(axis=1).argmax(axis=1)
    features = strongest if feature is None else np.full(len(images), feature)
    each = np.arange(len(images))
    places = maps[each, :, features].argmax(axis=1)
    values = maps[each, places, features]
    fires = values > 0
    if fires.sum() < 2:
        raise DataError(
            f"{'The strongest unit' if feature is None else f'Feature map {feature}'} of layer "
            f"{layer!r} fires in {int(fires.sum())} of {counted(len(images), 'image')}, and "
            "pictures are compared across two at least. Give more images, or choose another "
            "feature or layer."
        )
    others = maps[each, places].astype(np.float64)
    others[each, features] = -np.inf
    yx = np.stack(np.unravel_index(places, activation.shape[1:-1] or (1,)), axis=1)
    flat = activation.ndim == 2
    return Watched(
        images[fires],
        np.flatnonzero(fires),
        layer,
        features[fires].astype(np.int32),
        None if flat else yx[fires].astype(np.int32),
        values[fires],
        others.argmax(axis=1)[fires].astype(np.int32),
        tuple(_field(net, layer, None if flat else one, images.shape) for one in yx[fires]),
    )


def maps_of(
    net: Deconvnet,
    images: Images,
    layer: str,
    signal: Images,
    switches: Callable[[Trace, slice], Switches] | None = None,
) -> Images:
    """Run a signal back to pixels, in batches.

    Args:
        net: any network of the same shape, with any rules.
        images: `[n, H, W, C]`.
        layer: the layer's path.
        signal: of the shape of the layer's output.
        switches: what to put in place of the images' own, from a batch's trace and its place among
            the images; None leaves them.

    Returns:
        Signed float32 of the images' shape.
    """
    maps = []
    for batch in net.batches(images, [layer]):
        traced = net.trace(images[batch], layer)
        if switches is not None:
            traced = replace(traced, switches=switches(traced, batch))
        maps.append(net.project(traced, signal[batch]))
    return np.concatenate(maps)


def centred(graph: Graph, traced: Trace) -> Switches:
    """Let every max pool's switches point at the centre of its window.

    Mahendran & Vedaldi 2016 ("pool_center"): the pixel ceil(k / 2) of k, counted from one; the
    nearest pixel where that lies in the padding. Other steps keep theirs.
    """
    switches = dict(traced.switches)
    for step in graph.steps:
        if step.path in switches and look_up(step, {keras.layers.MaxPooling2D: True}):
            pooled = traced.values[step.inputs[0]].shape
            switches[step.path] = _centres(step.operation, pooled, switches[step.path])
    return switches


def _centres(pool: keras.layers.MaxPooling2D, pooled: tf.TensorShape, like: tf.Tensor) -> tf.Tensor:
    _, height, width, channels = pooled
    y = _centre_of_windows(pool, 0, height, like.shape[1])[:, None, None]
    x = _centre_of_windows(pool, 1, width, like.shape[2])[None, :, None]
    one = (y * width + x) * channels + np.arange(channels)
    return tf.broadcast_to(tf.constant(one, like.dtype), like.shape)


def _centre_of_windows(
    pool: keras.layers.MaxPooling2D, axis: int, size: int, windows: int
) -> npt.NDArray[np.int64]:
    kernel, stride = pool.pool_size[axis], pool.strides[axis]
    same = pool.padding == "same"
    before = max((windows - 1) * stride + kernel - size, 0) // 2 if same else 0
    centre = np.arange(windows) * stride - before + (kernel - 1) // 2
    return np.clip(centre, 0, size - 1)


def _field(
    net: Deconvnet, layer: str, place: npt.NDArray[np.intp] | None, shape: tuple[int, ...]
) -> Box:
    height, width = shape[1:3]
    if place is None:
        return Box(0, 0, height, width)
    return net.seen(layer, (int(place[0]), int(place[1])), (height, width))

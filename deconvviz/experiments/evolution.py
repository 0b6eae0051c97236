"""How feature maps come to be: what each responds to most, at one training step after the other.

At every kept step the strongest activation of a map among the training images is sought, and run
back to pixels, with that step's own weights and switches. Where another image comes to hold it, the
picture jumps, so which image it was belongs to the record (Zeiler & Fergus 2013, Section 4.1 and
Figure 4).
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.receptive_field import Box
from deconvviz.errors import DeconvvizError

_BATCH = 500


@dataclass(frozen=True, eq=False)
class Moment:
    """The strongest unit of each chosen feature map of a layer, at one training step.

    Attributes:
        layer: the layer's path.
        step: the training step.
        searched: among how many training images.
        features: int64 `[m]`, the feature maps.
        value: float32 `[m]`, the activations; a map whose strongest is not above 0 is dead.
        image: int64 `[m]`, whose activation it is, by the image's number in the training set.
        place: int64 `[m, 2]`, (y, x) of the unit; (-1, -1) in a layer without spatial axes.
        boxes: one a map, the pixels that the unit can depend on.
        maps: float32 `[m, H, W, C]`, the reconstructions, signed; of a dead map zeros.
        depends_on_image: whether the way back is another for another image; see
            `Deconvnet.depends_on_image`.
    """

    layer: str
    step: int
    searched: int
    features: npt.NDArray[np.int64]
    value: npt.NDArray[np.float32]
    image: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    boxes: tuple[Box, ...]
    maps: npt.NDArray[np.float32]
    depends_on_image: bool

    @property
    def dead(self) -> npt.NDArray[np.bool_]:
        """Which of the maps never rise above 0, bool `[m]`."""
        return self.value <= 0


def jumps(moments: Sequence[Moment]) -> npt.NDArray[np.bool_]:
    """Tell where a map's strongest activation comes from another image than at the step before.

    Args:
        moments: of one layer and the same feature maps, in the order of their steps.

    Returns:
        bool `[m, steps]`; the first step never jumps, nor does a map that is dead or was.

    Source: Zeiler & Fergus 2013, Section 4.1, "sudden jumps in appearance".
    """
    image = np.stack([moment.image for moment in moments], axis=1)
    alive = ~np.stack([moment.dead for moment in moments], axis=1)
    found = np.zeros(image.shape, np.bool_)
    found[:, 1:] = (image[:, 1:] != image[:, :-1]) & alive[:, 1:] & alive[:, :-1]
    return found


def strongest_moment(
    net: Deconvnet,
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    layers: Sequence[str],
    features: Sequence[int],
    step: int,
    searched: int,
) -> dict[str, Moment]:
    """Find and reconstruct the strongest unit of chosen feature maps, at one training step.

    Args:
        net: the network as it was at that step.
        images: uint8 `[n, H, W, C]`, all training images, before preprocessing.
        preprocess: what makes them the network's input.
        layers: the layers' paths; one forward pass serves all of them.
        features: the feature maps; of a layer without spatial axes, the units.
        step: the training step, for the record.
        searched: among how many images, spread evenly over the training set; all where there are
            fewer.

    Returns:
        A record for each layer. Among equals the first image holds the maximum, and in it the first
        unit in reading order.

    Raises:
        DataError: where an activation is not finite.
        DeconvvizError: for a layer or a feature map that does not exist.
        UnsupportedLayerError: for a layer on the way that the rules do not define.
    """
    for layer in layers:
        require_features(net, layer, features)
    chosen = np.asarray(features, np.int64)
    sample = spread(len(images), searched)
    winners = _winners(net, images, preprocess, layers, sample)
    return {
        layer: _moment(net, images, preprocess, layer, step, len(sample), chosen, winners[layer])
        for layer in layers
    }


def require_features(net: Deconvnet, layer: str, features: Sequence[int]) -> None:
    """Refuse a layer that cannot be reconstructed from, and feature maps that it lacks.

    Raises:
        DeconvvizError: naming what there is.
        UnsupportedLayerError: for a layer on the way that the rules do not define.
    """
    count = net.require(layer)[-1]
    missing = [feature for feature in features if count is not None and feature >= count]
    if missing:
        raise DeconvvizError(
            f"Layer {layer!r} has features 0 to {(count or 1) - 1}; received {missing[0]}."
        )


def spread(total: int, searched: int) -> npt.NDArray[np.int64]:
    """Choose so many of `total` images, evenly spread, in rising order; all where there are fewer.

    Data sets that lie in class folders come class by class, so the first ones would not do.
    """
    count = min(total, searched)
    return np.arange(count, dtype=np.int64) * total // max(count, 1)


@dataclass(frozen=True, eq=False)
class _Winners:
    value: npt.NDArray[np.float32]
    image: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]


def _winners(
    net: Deconvnet,
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    layers: Sequence[str],
    sample: npt.NDArray[np.int64],
) -> dict[str, _Winners]:
    """Find the strongest unit of every feature map of each layer."""
    best: dict[str, _Winners] = {}
    for batch in _batches(sample):
        inputs = preprocess(images[batch])
        for layer in layers:
            found = _of_batch(net.activation(inputs, layer), batch)
            before = best.get(layer, found)
            better = found.value > before.value
            best[layer] = _Winners(
                np.where(better, found.value, before.value),
                np.where(better, found.image, before.image),
                np.where(better[:, None], found.place, before.place),
            )
    return best


def _batches(sample: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for first in range(0, len(sample), _BATCH):
        yield sample[first : first + _BATCH]


def _of_batch(activation: npt.NDArray[np.float32], batch: npt.NDArray[np.int64]) -> _Winners:
    count, *space, maps = activation.shape
    flat = activation.reshape(-1, maps)
    first = flat.argmax(axis=0)  # in the order of the images, and in each in reading order
    image, *place = np.unravel_index(first, (count, *space))
    where = np.stack(place, axis=1) if place else np.full((maps, 2), -1)
    return _Winners(flat[first, np.arange(maps)], batch[image], where.astype(np.int64))


def _moment(
    net: Deconvnet,
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    layer: str,
    step: int,
    searched: int,
    features: npt.NDArray[np.int64],
    winners: _Winners,
) -> Moment:
    value, image = winners.value[features], winners.image[features]
    place = winners.place[features]
    inputs = preprocess(images[image])
    at = None if (place < 0).all() else place
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a caption says it, from `depends_on_image`
        maps = net.reconstruct(inputs, layer, feature=features, at=at)
    maps[value <= 0] = 0
    size = inputs.shape[1], inputs.shape[2]
    boxes = tuple(
        Box(0, 0, *size) if at is None else net.seen(layer, (int(y), int(x)), size)
        for y, x in place
    )
    return Moment(
        layer=layer,
        step=step,
        searched=searched,
        features=features,
        value=value,
        image=image,
        place=place,
        boxes=boxes,
        maps=maps,
        depends_on_image=net.depends_on_image(layer),
    )

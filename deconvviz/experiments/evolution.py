"""How feature maps come to be: what each responds to most, at one training step after the other.

At every kept step the strongest activation of a map among the training images is sought, and run
back to pixels, with that step's own weights and switches. Where another image comes to hold it, the
picture jumps, so which image it was belongs to the record (Zeiler & Fergus 2013, Section 4.1 and
Figure 4).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deconvviz.data import Preprocess, Split, evaluation_batches
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.receptive_field import Box
from deconvviz.errors import DeconvvizError
from deconvviz.experiments.given import require_net, require_pixels
from deconvviz.experiments.strongest import strongest_activations
from deconvviz.experiments.top import TopActivations
from deconvviz.received import require, whole

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
    keep: Path | None = None,
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
        keep: a file for what was found so far, from which the same search goes on; it serves other
            features of the same layers too.

    Returns:
        A record for each layer. Among equals the first image holds the maximum, and in it the first
        unit in reading order.

    Raises:
        DataError: where an activation is not finite, or `keep` belongs to another search.
        DeconvvizError: for a layer or a feature map that does not exist.
        UnsupportedLayerError: for a layer on the way that the rules do not define.
    """
    require_net(net)
    require_pixels(images, preprocess)
    layers = net.paths(layers)
    for layer in layers:
        require_features(net, layer, features)
    sample = spread(len(images), whole("searched", searched, 1))
    batches = evaluation_batches(
        Split(images[sample], np.zeros(len(sample), np.int64)), preprocess, _BATCH
    )
    tops = strongest_activations(net, batches, layers, k=1, keep=keep)
    chosen = np.asarray(features, np.int64)
    return {
        layer: _moment(net, images, preprocess, top, sample, chosen, step)
        for layer, top in tops.items()
    }


def require_features(net: Deconvnet, layer: str, features: Sequence[int]) -> None:
    """Refuse a layer that cannot be reconstructed from, and feature maps that it lacks.

    Raises:
        DeconvvizError: naming what there is.
        UnsupportedLayerError: for a layer on the way that the rules do not define.
    """
    require("features", features, (Sequence, range, np.ndarray), "the numbers of feature maps")
    count, asked = net.require(layer)[-1], [whole("feature", feature) for feature in features]
    missing = [feature for feature in asked if count is not None and feature >= count]
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


def _moment(
    net: Deconvnet,
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    top: TopActivations,
    sample: npt.NDArray[np.int64],
    features: npt.NDArray[np.int64],
    step: int,
) -> Moment:
    value, image = top.value[features, 0], sample[top.image[features, 0]]
    place = np.stack([top.y[features, 0], top.x[features, 0]], axis=1).astype(np.int64)
    inputs = preprocess(images[image])
    at = None if (place < 0).all() else place
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a caption says it, from `depends_on_image`
        maps = net.reconstruct(inputs, top.layer, feature=features, at=at)
    maps[value <= 0] = 0
    size = inputs.shape[1], inputs.shape[2]
    boxes = tuple(
        Box(0, 0, *size) if at is None else net.seen(top.layer, (int(y), int(x)), size)
        for y, x in place
    )
    return Moment(
        layer=top.layer,
        step=step,
        searched=len(sample),
        features=features,
        value=value,
        image=image,
        place=place,
        boxes=boxes,
        maps=maps,
        depends_on_image=net.depends_on_image(top.layer),
    )

"""Does a network know that parts correspond, such as the left eyes of several faces?

Nothing tells a network that faces have eyes. If hiding the left eye changes its features in the
same way in every face, it has found out by itself (Zeiler & Fergus 2013, Sec. 4.3). So the same
part is hidden in several images, and the signs of what changed are compared over all pairs of
images; parts of the same sizes at random places are the control.

The paper prints a sum of Hamming distances, but its table fits only the share of entries that
differ, averaged over the pairs; that is what is measured here, and the sum is kept beside it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError
from deconvviz.experiments.given import filling, one_input, require_net
from deconvviz.received import require, shown, whole

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Signs = npt.NDArray[np.int8]
Box = tuple[int, int, int, int]
Step = tuple[int, int]  # the part, and 0 for itself or the number of its random repetition


@dataclass(frozen=True, eq=False)
class Correspondence:
    """How alike a network's features change when the same part is hidden in n images.

    All distances are over the m = n (n - 1) / 2 pairs of images, shares of entries in [0, 1]: 0
    where all signs agree, lower for a part that corresponds.

    Attributes:
        layers: L paths.
        parts: P names.
        boxes: int `[P, n, 4]`, each part's top, left, height and width, pixels.
        random_boxes: int `[P, R, n, 4]`, of the same sizes, at random places, R times over.
        distances: float `[P, L, m]`, of the parts.
        random_distances: float `[P, R, L, m]`, of the random boxes.
        changed: float `[P, L]`, the mean share of entries that hiding a part changed. Where it is
            small, so is every distance.
        random_changed: float `[P, L]`, of the random boxes.
        entries: int `[L]`, how many entries a layer's features have.
        value: float `[C]`, what the boxes were filled with, in the network's input space.
        seed: of the random places.
    """

    layers: tuple[str, ...]
    parts: tuple[str, ...]
    boxes: Integers
    random_boxes: Integers
    distances: Doubles
    random_distances: Doubles
    changed: Doubles
    random_changed: Doubles
    entries: Integers
    value: Floats
    seed: int

    @property
    def delta(self) -> Doubles:
        """The mean over pairs, `[P, L]`: the paper's Δ, normalised."""
        return self.distances.mean(axis=-1)

    @property
    def deviation(self) -> Doubles:
        """The standard deviation over pairs, `[P, L]`."""
        return self.distances.std(axis=-1)

    @property
    def total(self) -> Integers:
        """The sum as the paper prints it, `[P, L]`: entries that differ, over ordered pairs."""
        return np.rint(2 * self.distances.sum(axis=-1) * self.entries).astype(np.int64)

    @property
    def random_delta(self) -> Doubles:
        """Δ of each repetition of the random boxes, `[P, R, L]`."""
        return self.random_distances.mean(axis=-1)

    @property
    def random_deviation(self) -> Doubles:
        """The standard deviation over the pairs of all repetitions, `[P, L]`."""
        return self.random_distances.std(axis=(1, 3))


def sign_distances(signs: npt.NDArray[np.generic]) -> Doubles:
    """Compare the signs of changes, over all pairs of images.

    Args:
        signs: `[n, D]`, each -1, 0 or 1; an entry that did not change differs from one that did.

    Returns:
        float `[n (n - 1) / 2]`, the share of the D entries that differ, for the pairs (0, 1),
        (0, 2), … in order.
    """
    pairs = combinations(signs.reshape(len(signs), -1), 2)
    return np.array([np.mean(one != other) for one, other in pairs])


def correspond(
    net: Deconvnet,
    images: Floats,
    parts: Mapping[str, npt.ArrayLike],
    layers: Sequence[str],
    *,
    value: npt.ArrayLike = 0.0,
    repetitions: int = 10,
    seed: int = 0,
    watch: Callable[[Sequence[Step]], Iterable[Step]] = iter,
) -> Correspondence:
    """Hide the same parts in several images, and compare how the layers change.

    Args:
        net: any network of one image input.
        images: float32 `[n, H, W, C]` in network-input space, n at least 2.
        parts: a name and int `[n, 4]` each: top, left, height and width in every image, pixels.
        layers: the layers' paths.
        value: what fills a box, one number or one a channel; 0 is the mean of a standardised image.
        repetitions: how often random boxes of the same sizes are laid for each part.
        seed: decides the random places.
        watch: goes through the steps of the work as it hands them on, to show progress.

    Returns:
        The record. Signs are three-valued: what a box cannot reach is exactly 0.

    Raises:
        DataError: for fewer than two images, no part, and boxes that do not lie in their images.
        DeconvvizError: for a layer that does not exist.

    References:
        Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks", Section 4.3
        and Table 1 (arXiv v3).
    """
    require_net(net)
    images, layers = one_input(net, images), net.paths(layers)
    boxes = np.stack(list(_checked(images, parts)))
    repetitions, seed = whole("repetitions", repetitions, 1), whole("seed", seed)
    random = np.random.default_rng(seed)
    random_boxes = _random_boxes(boxes, images.shape[1:3], repetitions, random)
    filled = np.array(filling("value", value, images.shape[-1]), np.float32)
    plain = _features(net, images, layers)
    count, pairs = len(images), len(images) * (len(images) - 1) // 2
    # The parts first, then their control: [P, 1 + R, n, 4].
    everything = np.concatenate([boxes[:, None], random_boxes], axis=1)
    distances = np.empty((*everything.shape[:2], len(layers), pairs))
    changed = np.empty((*everything.shape[:2], len(layers)))
    for part, time in watch([(p, r) for p in range(len(boxes)) for r in range(repetitions + 1)]):
        hidden = hide(images, everything[part, time], filled)
        for index, features in enumerate(_features(net, hidden, layers)):
            signs: Signs = np.sign(plain[index] - features).astype(np.int8).reshape(count, -1)
            distances[part, time, index] = sign_distances(signs)
            changed[part, time, index] = np.mean(signs != 0)
    return Correspondence(
        layers=tuple(layers),
        parts=tuple(parts),
        boxes=boxes,
        random_boxes=random_boxes,
        distances=distances[:, 0],
        random_distances=distances[:, 1:],
        changed=changed[:, 0],
        random_changed=changed[:, 1:].mean(axis=1),
        entries=np.array([features[0].size for features in plain]),
        value=filled,
        seed=seed,
    )


def hide(images: Floats, boxes: Integers, value: npt.ArrayLike) -> Floats:
    """Fill one box of each image.

    Args:
        images: `[n, H, W, C]`.
        boxes: int `[n, 4]`, top, left, height and width.
        value: one number, or one a channel.

    Returns:
        `[n, H, W, C]`.
    """
    hidden = images.copy()
    for image, (top, left, height, width) in zip(hidden, boxes, strict=True):
        image[top : top + height, left : left + width] = value
    return hidden


def _features(net: Deconvnet, images: Floats, layers: Sequence[str]) -> list[Floats]:
    features = net.activations(images, layers)
    return [features[layer] for layer in layers]


def _checked(images: Floats, parts: Mapping[str, npt.ArrayLike]) -> Iterable[Integers]:
    if len(images) < 2:
        raise DataError(
            f"Correspondence compares images with each other: give at least 2; received "
            f"{len(images)}."
        )
    require("parts", parts, Mapping, "a dict from a part's name to its boxes")
    if not parts:
        raise DataError("There is no part to hide: give boxes for at least one.")
    height, width = images.shape[1:3]
    for name, given in parts.items():
        try:
            boxes = np.asarray(given, np.int64)
        except (TypeError, ValueError):
            boxes = np.empty(0, np.int64)
        if boxes.shape != (len(images), 4):
            raise DataError(
                f"The part {name!r} takes top, left, height and width, whole numbers, for each of "
                f"the {len(images)} images; received {shown(given)}."
            )
        for index, box in enumerate(boxes.tolist()):
            _require_inside((box[0], box[1], box[2], box[3]), (height, width), name, index)
        yield boxes


def _require_inside(box: Box, size: tuple[int, int], name: str, image: int) -> None:
    top, left, height, width = box
    inside = top >= 0 and left >= 0 and top + height <= size[0] and left + width <= size[1]
    if not (inside and height > 0 and width > 0):
        raise DataError(
            f"The box of {name!r} in image {image}, top {top}, left {left}, height {height} and "
            f"width {width}, does not lie in the image, which is {size[0]} pixels high and "
            f"{size[1]} wide."
        )


def _random_boxes(
    boxes: Integers, size: tuple[int, int], repetitions: int, random: np.random.Generator
) -> Integers:
    """Lay boxes of the same sizes anywhere in their images, `[P, R, n, 4]`."""
    sides = np.repeat(boxes[:, None, :, 2:], repetitions, axis=1)
    corners = random.integers(0, np.asarray(size) - sides + 1)
    return np.concatenate([corners, sides], axis=-1)

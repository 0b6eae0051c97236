"""The strongest units of every feature map, as a record that shards of a data set can share.

Zeiler & Fergus show for each feature map the nine units, over a whole data set, that fired most
(2013, Figure 2). The paper leaves open what happens to ties, and whether one image may appear
twice. Here an image counts once, with its strongest unit, and the order is total: by (-value,
image, y, x). So two shards merge to the very answer that the whole would have given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.errors import DataError, DeconvvizError
from deconvviz.received import require

ALIKE = 0.5  # two maps share half of all their winners or more
ARRAYS = ("value", "image", "y", "x")


@dataclass(frozen=True, eq=False)
class TopActivations:
    """The k strongest units of each feature map of a layer, one unit an image, best first.

    Attributes:
        layer: the layer's path.
        images: how many images were looked at.
        value: float32 `[features, k]`, the activations; -inf where there were fewer images than k.
        image: int64 `[features, k]`, the images' numbers; -1 where there were fewer.
        y, x: int32 `[features, k]`, the units' places in the layer's maps; -1 where there were
            fewer images, and in a layer without spatial axes.
    """

    layer: str
    images: int
    value: npt.NDArray[np.float32]
    image: npt.NDArray[np.int64]
    y: npt.NDArray[np.int32]
    x: npt.NDArray[np.int32]

    @property
    def fired(self) -> npt.NDArray[np.bool_]:
        """Tell which of the units rose above 0, bool `[features, k]`."""
        return self.value > 0

    @property
    def dead(self) -> npt.NDArray[np.bool_]:
        """Tell which feature maps never rose above 0 in any image, bool `[features]`.

        Of few images that says little of a map; see `deconvviz.experiments.silence`.
        """
        return ~self.fired[:, 0]

    def merged(self, other: "TopActivations") -> "TopActivations":
        """Give the strongest units of both, as if their images had been looked at together.

        Args:
            other: of the same layer and k, over other images of the same numbering.

        Returns:
            The same record whichever of the two is asked, and whatever was merged before.

        Raises:
            DeconvvizError: for another layer or k, or where both have looked at an image.
        """
        require("other", other, TopActivations, "another TopActivations")
        if (self.layer, self.value.shape) != (other.layer, other.value.shape):
            raise DeconvvizError(
                f"Records merge of one layer, with the same number of features and k; received "
                f"{self.layer!r} {list(self.value.shape)} and {other.layer!r} "
                f"{list(other.value.shape)}."
            )
        arrays = [np.hstack([getattr(self, a), getattr(other, a)]) for a in ARRAYS]
        value, image, y, x = arrays
        _require_one_unit_an_image(image)
        order = np.lexsort((x, y, image, -value), axis=1)[:, : self.value.shape[1]]
        best = (np.take_along_axis(each, order, axis=1) for each in arrays)
        return TopActivations(self.layer, self.images + other.images, *best)


def nothing_yet(layer: str, features: int, k: int) -> TopActivations:
    """Give the record of a layer before any image was looked at."""
    absent = np.full((features, k), -1, np.int32)
    lowest = np.full((features, k), -np.inf, np.float32)
    return TopActivations(layer, 0, lowest, absent.astype(np.int64), absent, absent)


@dataclass(frozen=True)
class Selectivity:
    """Which class a feature map's winners are of.

    Attributes:
        label: the most common one; of equally common ones that of the stronger winner.
        count: how many winners are of it.
        winners: how many there are: the units among the k strongest that rose above 0.
    """

    label: str
    count: int
    winners: int

    @property
    def share(self) -> float:
        """The part of the winners that is of the class, above 0, at most 1."""
        return self.count / self.winners


def selectivity(top: TopActivations, labels: Sequence[str]) -> tuple[Selectivity | None, ...]:
    """Tell for each feature map which class its winners are of; None for a dead one.

    Args:
        top: the strongest units.
        labels: the class of each image, by its number.
    """
    return tuple(
        _commonest([labels[number] for number in images[fired]])
        for images, fired in zip(top.image, top.fired, strict=True)
    )


def near_duplicates(
    top: TopActivations, threshold: float = ALIKE
) -> tuple[tuple[int, int, float], ...]:
    """Find the pairs of feature maps that are won by the same images.

    Args:
        top: the strongest units.
        threshold: the least Jaccard index of two maps' sets of winning images, of those images
            that won in either the share that won in both.

    Returns:
        `(feature, feature, index)`, the first feature below the second, the most alike first. Dead
        maps have no winners and are like none.
    """
    numbers, place = np.unique(top.image, return_inverse=True)
    won = np.zeros((len(top.image), len(numbers)), np.float32)
    feature, rank = np.nonzero(top.fired)
    won[feature, place.reshape(top.image.shape)[feature, rank]] = 1
    both = won @ won.T
    either = won.sum(axis=1)[:, None] + won.sum(axis=1) - both
    index = both / np.maximum(either, 1)
    first, second = np.nonzero(np.triu(index >= threshold, k=1) & (both > 0))
    pairs = zip(first.tolist(), second.tolist(), index[first, second].tolist(), strict=True)
    return tuple(sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1])))


def jaccard_by_chance(k: int, images: int) -> float:
    """Give the Jaccard index that two maps with k winners each, drawn blindly, tend to.

    With few images any two maps share winners: it is 1 where k is all of them.
    """
    return min(k / (2 * images - k), 1.0) if images > k else 1.0


def _require_one_unit_an_image(image: npt.NDArray[np.int64]) -> None:
    ordered = np.sort(image, axis=1)
    twice = ordered[:, 1:][(ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)]
    if twice.size:
        raise DataError(
            f"Both records hold image {twice[0]}: an image counts once. Give each shard the number "
            "of its first image, first=…, when it is looked through."
        )


def _commonest(labels: Sequence[Any]) -> Selectivity | None:
    if not labels:
        return None
    label = max(labels, key=labels.count)  # of equal counts the first, which is the stronger
    return Selectivity(str(label), labels.count(label), len(labels))

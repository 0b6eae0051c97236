"""Which pixels a unit can see: its receptive field, by going down from it, interval by interval.

From a unit, its interval of units in each layer below follows by the windows of the steps between
(`windows`, `descent`). Where paths meet their hull is taken, so that no pixel is missed. Where a
step on the way reads its whole input, the unit sees the whole image.

References:
    Araujo, Norris & Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, doi 10.23915/distill.00021.
"""

from dataclasses import dataclass

import numpy as np

from deconvviz.deconv.arguments import no_such_layer
from deconvviz.deconv.descent import Descent, Integers, Mask
from deconvviz.deconv.graph import Graph
from deconvviz.deconv.windows import Size
from deconvviz.errors import DeconvvizError


@dataclass(frozen=True)
class Box:
    """The pixels from row `top` and column `left` up to, and without, `bottom` and `right`."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of a layer see of an image, in pixels, as (vertical, horizontal) pairs.

    Unit (y, x) sees the `size` pixels that begin at `offset + stride * (y, x)`, those counted that
    would lie in the padding around the image.

    In a layer above an up-sampling or a transposed convolution the fields of neighbours may differ
    in size and go on unevenly. There, `size` is the largest, `stride` the mean, `offset` that of
    unit (0, 0), and `seen` gives the field of one unit.

    Attributes:
        size: how many pixels high and wide; (0, 0) in a layer that does not depend on the image.
        stride: how far the field goes from one unit to the next; a float where uneven.
        offset: where the field of unit (0, 0) begins; negative in the padding.
    """

    size: tuple[int, int]
    stride: tuple[float, float]
    offset: tuple[int, int]

    @property
    def even(self) -> bool:
        """Whether the fields of all units are of one size, and go on by one stride."""
        return all(isinstance(stride, int) and stride > 0 for stride in self.stride)

    def box(self, unit: tuple[int, int]) -> Box:
        """Give the pixels of one unit, where fields are even."""
        top, left = (
            offset + int(stride) * place
            for offset, stride, place in zip(self.offset, self.stride, unit, strict=True)
        )
        return Box(top, left, top + self.size[0], left + self.size[1])


def receptive_fields(
    graph: Graph, image_size: Size | None = None, image: int = 0
) -> dict[str, ReceptiveField | None]:
    """Give `receptive_field` for every layer, which is quicker than to ask for one at a time."""
    descent = _descent(graph, image_size, image)
    return {layer: _field(descent, target) for layer, target in graph.targets.items()}


def receptive_field(
    graph: Graph, layer: str, image_size: Size | None = None, image: int = 0
) -> ReceptiveField | None:
    """Give what the units of a layer see of an image.

    Args:
        graph: the flattened model.
        layer: the layer's path.
        image_size: height and width of the images, for a model that takes any. The offset depends
            on it wherever "same" padding meets a stride. Left out, the sides are a multiple of all
            strides together, as most networks are used.
        image: which of the model's inputs is looked at.

    Returns:
        The receptive field. None where a unit sees the whole image, or may do so, since a dense,
        flattening, globally pooling, attending, reshaping or unknown layer lies on the way; and
        for an input that is no image.

    Raises:
        DeconvvizError: for a layer, an input or an image size that the model does not have.
    """
    return _field(_descent(graph, image_size, image), _target(graph, layer))


def seen(
    graph: Graph,
    layer: str,
    unit: tuple[int, int],
    image_size: Size | None = None,
    image: int = 0,
) -> Box:
    """Give the smallest box that holds all pixels that one unit of a layer can depend on.

    Args:
        graph: the flattened model.
        layer: the layer's path.
        unit: (y, x) in the layer's maps; anything for a layer without maps.
        image_size: as in `receptive_field`.
        image: which of the model's inputs is looked at.

    Returns:
        The box in pixels. Where it reaches the image's edge it goes on into the padding, as the
        unit's receptive field does: it may begin below 0 and end behind the image. The image
        itself where the unit sees the whole of it, or may do so; a box without pixels where the
        unit sees none.

    Raises:
        DeconvvizError: for a layer, a unit, an input or an image size that the model does not
            have, and for an input that is no image.
    """
    descent, target = _descent(graph, image_size, image), _target(graph, layer)
    whole, size = descent.sizes[descent.pixels], descent.sizes[target]
    if whole is None:
        raise DeconvvizError(
            f"Input {image} has the shape {graph.shapes[descent.pixels]}, so there is no box of it "
            "to see. Choose an input with a height, a width and channels."
        )
    if size and not all(0 <= place < n for place, n in zip(unit, size, strict=True)):
        raise DeconvvizError(
            f"Layer {layer!r} is {size[0]} units high and {size[1]} wide; unit takes (y, x) "
            f"within it; received {unit}."
        )
    chosen = unit if size else None
    mask = descent.pixels_seen(target, chosen)
    reach = descent.intervals(target, None if chosen is None else np.array(chosen)[:, None])
    if mask is None or reach is None:
        return Box(0, 0, *whole)
    if not mask.any():
        return Box(0, 0, 0, 0)
    (top, bottom), (left, right) = map(_ends, (mask.max(1), mask.max(0)), reach[..., 0].T)
    return Box(top, left, bottom, right)


def _descent(graph: Graph, image_size: Size | None, image: int) -> Descent:
    if not 0 <= image < len(graph.inputs):
        raise DeconvvizError(
            f"The model has {len(graph.inputs)} inputs, counted from 0; received image={image}."
        )
    return Descent(graph, graph.inputs[image], image_size)


def _target(graph: Graph, layer: str) -> int:
    if layer not in graph.targets:
        raise no_such_layer(layer, tuple(graph.targets))
    return graph.targets[layer]


# A unit so far off that only the mean stride counts; every usual enlargement divides it.
_FAR = 2**20 * 3**3 * 5 * 7 * 11 * 13


def _field(descent: Descent, target: int) -> ReceptiveField | None:
    """All units of the layer go down at once, with one far off that tells the mean stride."""
    size = descent.sizes[target]
    units = np.array([[*range(max(size)), _FAR]] * 2) if size else None
    reach = descent.intervals(target, units)
    if reach is None or descent.sizes[descent.pixels] is None:
        return None
    if not size or not reach.size:
        return ReceptiveField((0, 0), (0, 0), (0, 0))
    y, x = (_along(reach[:, axis], count) for axis, count in enumerate(size))
    return ReceptiveField((y[0], x[0]), (y[1], x[1]), (y[2], x[2]))


def _along(reach: Integers, count: int) -> tuple[int, float, int]:
    """Size, stride and offset along one axis, from the intervals of its `count` first units."""
    starts, sizes = -reach[0], reach.sum(axis=0) + 1
    stride = float(starts[-1] - starts[0]) / _FAR
    even = np.ptp(sizes[:count]) == 0 and np.all(np.diff(starts[:count]) == stride)
    size, offset = max(int(sizes[:count].max()), 0), int(starts[0])
    return size, int(stride) if even and stride.is_integer() else stride, offset


def _ends(marked: Mask, reach: Integers) -> tuple[int, int]:
    """The hull of the marked; where it reaches the image's edge, on to where the field ends."""
    first, last = np.flatnonzero(marked)[[0, -1]]
    start = -reach[0] if first == 0 else first
    return int(start), int(reach[1] if last == len(marked) - 1 else last) + 1

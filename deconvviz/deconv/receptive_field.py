"""Which pixels a unit can see: its receptive field, by going down from it, interval by interval.

A unit's interval of units in each layer below it follows from the windows of the steps between
(`windows`); where paths meet, their hull is taken, so that no pixel is missed. Where a step on the
way reads its whole input, the unit sees the whole image.

References:
    Araujo, Norris & Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, doi 10.23915/distill.00021.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.graph import Graph, Step
from deconvviz.deconv.sizes import slot_sizes
from deconvviz.deconv.windows import POINT, Size, Window, Windows, windows
from deconvviz.errors import DeconvvizError

Integers = npt.NDArray[np.int64]


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


@dataclass(frozen=True)
class Box:
    """The pixels from row `top` and column `left` up to, and without, `bottom` and `right`."""

    top: int
    left: int
    bottom: int
    right: int


def receptive_fields(
    graph: Graph, image_size: Size | None = None, image: int = 0
) -> dict[str, ReceptiveField | None]:
    """Give `receptive_field` for every layer, which is quicker than to ask for one at a time."""
    view = _View(graph, image_size, image)
    return {layer: _field(view, target) for layer, target in graph.targets.items()}


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
    return _field(_View(graph, image_size, image), _target(graph, layer))


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
    view, target = _View(graph, image_size, image), _target(graph, layer)
    whole, size = view.sizes[view.pixels], view.sizes[target]
    if whole is None:
        raise DeconvvizError(
            f"Input {image} has the shape {graph.shapes[view.pixels]}, so there is no box of it "
            "to see. Choose an input with a height, a width and channels."
        )
    if size and not all(0 <= place < n for place, n in zip(unit, size, strict=True)):
        raise DeconvvizError(
            f"Layer {layer!r} is {size[0]} units high and {size[1]} wide; unit takes (y, x) "
            f"within it; received {unit}."
        )
    return _box(view, target, unit if size else None, whole)


def _target(graph: Graph, layer: str) -> int:
    if layer not in graph.targets:
        raise DeconvvizError(
            f"The model has no layer {layer!r}. It has {', '.join(graph.targets)}."
        )
    return graph.targets[layer]


class _View:
    """A graph, looked at from above: how large all is in it, and the way down to one image."""

    def __init__(self, graph: Graph, image_size: Size | None, image: int) -> None:
        if not 0 <= image < len(graph.inputs):
            raise DeconvvizError(
                f"The model has {len(graph.inputs)} inputs, counted from 0; received image={image}."
            )
        self.graph, self.pixels = graph, graph.inputs[image]
        self.sizes = slot_sizes(graph, image_size)
        self._windows: dict[int, tuple[Windows | None, ...]] = {}

    def windows(self, step: Step) -> tuple[Windows | None, ...]:
        after = step.outputs[0]
        if after not in self._windows:
            self._windows[after] = tuple(
                windows(step, self.sizes[slot], self.sizes[after]) for slot in step.inputs
            )
        return self._windows[after]

    def down(
        self, target: int, start: Any, through: Callable[[Any, Windows, int], Any], hull: Any
    ) -> Any:
        """Carry `start` from a slot down to the image.

        Args:
            target: the slot.
            start: what of it is looked at; None for the whole, here and below.
            through: gives what is looked at in the slot behind the given windows.
            hull: unites what is looked at along two paths.

        Returns:
            What is looked at in the image; an empty tuple where no path leads there.
        """
        found = {target: start}
        for step in reversed(self.graph.steps):
            arrived = [found[slot] for slot in step.outputs if slot in found]
            if arrived:
                here = _united(hull, arrived)
                for slot, read in zip(step.inputs, self.windows(step), strict=True):
                    there = _carried(here, read, slot, through)
                    found[slot] = _united(hull, [there, found[slot]]) if slot in found else there
        return found.get(self.pixels, ())


def _carried(here: Any, read: Windows | None, slot: int, through: Any) -> Any:
    if here is None or read is None or read is POINT:
        return None if read is None else here
    return through(here, read, slot)


def _united(hull: Any, parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return None if any(part is None for part in parts) else reduce(hull, parts)


# A unit so far off that only the mean stride counts; every usual enlargement divides it.
_FAR = 2**20 * 3**3 * 5 * 7 * 11 * 13


def _field(view: _View, target: int) -> ReceptiveField | None:
    """All units of the layer go down at once, with one far off that tells the mean stride."""
    size = view.sizes[target]
    units = np.array([*range(max(size)), _FAR]) if size else None
    start = None if units is None else np.array([[-units, -units], [units, units]])
    reach = view.down(target, start, _reach, np.maximum)
    if reach is None or view.sizes[view.pixels] is None:
        return None
    if not len(reach):
        return ReceptiveField((0, 0), (0, 0), (0, 0))
    y, x = (_along(reach[:, axis], n) for axis, n in enumerate(size or ()))
    return ReceptiveField((y[0], x[0]), (y[1], x[1]), (y[2], x[2]))


def _reach(reach: Integers, read: Windows, _: int) -> Integers:
    """Move intervals through windows.

    Args:
        reach: `[2, 2, units]`: minus the first and plus the last position, so that a hull is a
            maximum, along the height and the width.
        read: the windows.

    Returns:
        The intervals that are read, in the same form.
    """
    ends, strides, ups = _bounds(read)
    return (reach * strides + ends) // ups


@cache
def _bounds(read: Windows) -> tuple[Integers, Integers, Integers]:
    last = [window.first + window.dilation * (window.taps - 1) for window in read]
    ends = np.array([[-window.first for window in read], last])[..., None]
    strides, ups = np.array([(window.stride, window.up) for window in read]).T[..., None]
    return ends, strides, ups


def _along(reach: Integers, count: int) -> tuple[int, float, int]:
    """Size, stride and offset along one axis, from the intervals of its `count` first units."""
    starts, sizes = -reach[0], reach.sum(axis=0) + 1
    stride = (starts[-1] - starts[0]) / _FAR
    even = np.ptp(sizes[:count]) == 0 and np.all(np.diff(starts[:count]) == stride)
    size, offset = int(max(sizes[:count].max(), 0)), int(starts[0])
    return size, int(stride) if even and stride.is_integer() else float(stride), offset


def _box(view: _View, target: int, unit: Size | None, whole: Size) -> Box:
    def through(positions: tuple[Integers, Integers], read: Windows, slot: int) -> Any:
        size = view.sizes[slot]
        assert size is not None
        return _nonempty(tuple(map(_read, positions, read, size)))

    def hull(one: tuple[Integers, Integers], other: tuple[Integers, Integers]) -> Any:
        return tuple(map(np.union1d, one, other))

    start = None if unit is None else tuple(np.array([place]) for place in unit)
    positions = view.down(target, start, through, hull)
    if positions is None:
        return Box(0, 0, *whole)
    if not positions or not positions[0].size:
        return Box(0, 0, 0, 0)
    units = np.array(unit)[:, None]
    reach = view.down(target, np.array([-units, units]), _reach, np.maximum)[..., 0]
    (top, bottom), (left, right) = map(_ends, positions, reach.T, whole)
    return Box(top, left, bottom, right)


def _read(positions: Integers, window: Window, size: int) -> Integers:
    """The positions in an axis of `size` that are read from the given ones; padding is none."""
    taps = window.first + window.dilation * np.arange(window.taps)
    reads = np.unique(positions[:, None] * window.stride + taps)
    reads = reads[reads % window.up == 0] // window.up
    return reads[(reads >= 0) & (reads < size)]


def _nonempty(positions: tuple[Integers, ...]) -> tuple[Integers, ...]:
    """What has no rows has no columns either."""
    return positions if all(axis.size for axis in positions) else tuple(p[:0] for p in positions)


def _ends(positions: Integers, reach: Integers, size: int) -> tuple[int, int]:
    """The hull of positions, and beyond the image's edges, where it reaches them, the field's."""
    first, last = positions.min(), positions.max()
    start = -reach[0] if first == 0 else first
    return int(start), int(reach[1] if last == size - 1 else last) + 1

"""The way down from a layer to an image, carrying what its units look at.

Two things are carried. Intervals count the padding as if the image went on there, and go down for
many units at once: they make the regular receptive field. A mask marks the units that are really
there and really read: it makes the smallest box for one unit.
"""

from collections.abc import Callable
from functools import cache, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.graph import Graph, Step
from deconvviz.deconv.sizes import slot_sizes
from deconvviz.deconv.windows import POINT, Size, Window, Windows, windows

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.float32]  # 0 or 1


class Descent:
    """A graph, looked at from above: how large all is in it, and the way down to one image.

    Args:
        graph: the flattened model.
        pixels: the slot of the image.
        image_size: its height and width, where the model leaves them open.

    Attributes:
        sizes: height and width of each slot; None for one that has none.
        pixels: the slot of the image.
    """

    def __init__(self, graph: Graph, pixels: int, image_size: Size | None) -> None:
        self.pixels = pixels
        self.sizes = slot_sizes(graph, image_size)
        self._graph = graph
        self._windows: dict[int, tuple[Windows | None, ...]] = {}

    def intervals(self, target: int, units: Integers | None) -> Integers | None:
        """Give the first and the last pixel that units see, along each axis.

        Args:
            target: the slot of the units.
            units: `[2, n]`, n of them along the height and n along the width; None for the whole.

        Returns:
            `[2, 2, n]`: minus the first, and plus the last, along the height and the width. None
            for the whole image; no units where no path leads to it.
        """
        start = None if units is None else np.stack([-units, units])
        nothing = np.zeros((2, 2, 0), np.int64)
        return self._down(target, start, _through_intervals, np.maximum, nothing)

    def pixels_seen(self, target: int, unit: Size | None) -> Mask | None:
        """Mark every pixel that one unit sees.

        Args:
            target: the slot of the unit.
            unit: (y, x); None for the whole.

        Returns:
            `[H, W]`, 1 where it sees and 0 elsewhere; None for the whole image.
        """
        start = None
        if unit is not None:
            start = np.zeros(self._size(target), np.float32)
            start[unit] = 1
        nothing = np.zeros(self._size(self.pixels), np.float32)
        return self._down(target, start, self._through_mask, np.maximum, nothing)

    def _down(
        self,
        target: int,
        start: Any,
        through: Callable[[Any, Windows, int], Any],
        hull: Callable[[Any, Any], Any],
        nothing: Any,
    ) -> Any:
        """Carry `start` down, `through` each step's windows, and the `hull` where paths meet."""
        found = {target: start}
        for step in reversed(self._graph.steps):
            arrived = [found[slot] for slot in step.outputs if slot in found]
            if arrived:
                here = _united(hull, arrived)
                for slot, read in zip(step.inputs, self._reads(step), strict=True):
                    there = _carried(here, read, slot, through)
                    found[slot] = _united(hull, [there, found[slot]]) if slot in found else there
        return found.get(self.pixels, nothing)

    def _reads(self, step: Step) -> tuple[Windows | None, ...]:
        after = step.outputs[0]
        if after not in self._windows:
            self._windows[after] = tuple(
                windows(step, self.sizes[slot], self.sizes[after]) for slot in step.inputs
            )
        return self._windows[after]

    def _through_mask(self, mask: Mask, read: Windows, slot: int) -> Mask:
        rows, columns = map(_relation, read, mask.shape, self._size(slot))
        return np.sign(rows.T @ mask @ columns)

    def _size(self, slot: int) -> Size:
        size = self.sizes[slot]
        assert size is not None  # what has no maps has no windows and no units
        return size


def _carried(here: Any, read: Windows | None, slot: int, through: Any) -> Any:
    if here is None or read is None:
        return None
    return here if read is POINT else through(here, read, slot)


def _united(hull: Callable[[Any, Any], Any], parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return None if any(part is None for part in parts) else reduce(hull, parts)


def _through_intervals(reach: Integers, read: Windows, _: int) -> Integers:
    """Minus the first and plus the last: so a hull is a maximum, and rounding is down in both."""
    ends, strides, ups = _bounds(read)
    return (reach * strides + ends) // ups


@cache
def _bounds(read: Windows) -> tuple[Integers, Integers, Integers]:
    last = [window.first + window.dilation * (window.taps - 1) for window in read]
    ends = np.array([[-window.first for window in read], last])[..., None]
    strides, ups = np.array([(window.stride, window.up) for window in read]).T[..., None]
    return ends, strides, ups


def _relation(window: Window, count: int, size: int) -> Mask:
    """`[count, size]`: 1 where a unit of the output reads one of the input; padding is none."""
    taps = window.first + window.dilation * np.arange(window.taps)
    reads, rest = np.divmod(np.arange(count)[:, None] * window.stride + taps, window.up)
    there = (rest == 0) & (reads >= 0) & (reads < size)
    relation = np.zeros((count, size), np.float32)
    relation[there.nonzero()[0], reads[there]] = 1
    return relation

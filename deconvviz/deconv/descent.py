"""The way down from a layer to an image, carrying what its units look at.

Two things are carried. Intervals count the padding as if the image went on there, and go down for
many units at once: they make the regular receptive field. Positions are the units that are really
there: they make the box that nothing can be left out of.
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
Places = tuple[Integers, Integers]  # rows and columns


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

    def positions(self, target: int, unit: Size | None) -> Places | None:
        """Give the rows and the columns that hold every pixel that one unit sees.

        Args:
            target: the slot of the unit.
            unit: (y, x); None for the whole.

        Returns:
            Rows and columns, both empty where it sees none; None for the whole image.
        """
        start = None if unit is None else (np.array([unit[0]]), np.array([unit[1]]))
        nothing = np.zeros(0, np.int64)
        return self._down(target, start, self._through_positions, _both, (nothing, nothing))

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

    def _through_positions(self, places: Places, read: Windows, slot: int) -> Places:
        size = self.sizes[slot]
        assert size is not None  # or it would have no windows
        rows, columns = map(_read, places, read, size)
        # What has no rows has no columns either.
        return (rows, columns) if rows.size and columns.size else (rows[:0], columns[:0])


def _carried(here: Any, read: Windows | None, slot: int, through: Any) -> Any:
    if here is None or read is None:
        return None
    return here if read is POINT else through(here, read, slot)


def _united(hull: Callable[[Any, Any], Any], parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return None if any(part is None for part in parts) else reduce(hull, parts)


def _both(one: Places, other: Places) -> Places:
    return np.union1d(one[0], other[0]), np.union1d(one[1], other[1])


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


def _read(positions: Integers, window: Window, size: int) -> Integers:
    """The positions in an axis of `size` that are read from the given ones; padding is none."""
    taps = window.first + window.dilation * np.arange(window.taps)
    reads = np.unique(positions[:, None] * window.stride + taps)
    reads = reads[reads % window.up == 0] // window.up
    return reads[(reads >= 0) & (reads < size)]

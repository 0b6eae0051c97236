"""Two sides timed in turn, and the line of the table that comes of it.

The sides of a ratio run one after the other, first and second by turns, and the median of the
pairs' ratios counts, so that a machine that grows slower or busier meanwhile slows both.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Pairs = list[tuple[float, float]]  # seconds of ours, seconds of the other side


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        pairs: pairs of timings that a ratio is the median of.
        steps: training steps in each timing.
        images: images that are mined.
        maps: maps of VGG16 that the tape makes in each timing.
    """

    pairs: int
    steps: int
    images: int
    maps: int


FULL = Effort(pairs=5, steps=12, images=10_000, maps=8)
QUICK = Effort(pairs=2, steps=8, images=2_000, maps=8)


@dataclass(frozen=True)
class Limit:
    """What a median must keep."""

    value: float
    least: bool = False

    def keeps(self, median: float) -> bool:
        return median >= self.value if self.least else median <= self.value

    def __str__(self) -> str:
        return f"{'at least' if self.least else 'at most'} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """One line of the table: every pair's number, of which the median must keep the limit."""

    what: str
    measured: Sequence[float]
    limit: Limit | None = None
    unit: str = ""
    times: str = "– | –"  # of ours and of the other side
    why: str = ""  # nothing was measured

    @property
    def kept(self) -> bool:
        if not self.measured:
            return self.limit is None
        return self.limit is None or self.limit.keeps(statistics.median(self.measured))

    def __str__(self) -> str:
        verdict = "" if self.limit is None else "kept" if self.kept else "MISSED"
        allowed = "–" if self.limit is None else f"{self.limit}{self.unit}"
        return f"| {self.what} | {self.times} | {self._spread()} | {allowed} | {verdict} |"

    def _spread(self) -> str:
        if not self.measured:
            return f"not measured: {self.why}"
        median, low, high = (f(self.measured) for f in (statistics.median, min, max))
        return f"{median:.3g}{self.unit} ({low:.3g} to {high:.3g})"


HEAD = "| what | ours | other | ratio, median (range) | allowed | |\n|---|---|---|---|---|---|"


def as_fast(what: str, pairs: Pairs, at_least: float | None = None) -> Row:
    """Give the line that says how many times as fast ours is."""
    limit = None if at_least is None else Limit(at_least, least=True)
    return Row(what, [other / ours for ours, other in pairs], limit, times=_medians(pairs))


def as_long(what: str, pairs: Pairs, at_most: float) -> Row:
    """Give the line that says how many times as long ours takes."""
    ratios = [ours / other for ours, other in pairs]
    return Row(what, ratios, Limit(at_most), times=_medians(pairs))


def in_turn(ours: Callable[[], object], other: Callable[[], object], pairs: int) -> Pairs:
    """Time two calls in turn, after one call each that compiles and fills caches."""
    ours(), other()
    timed = []
    for pair in range(pairs):
        if pair % 2:
            later = seconds(other)
            timed.append((seconds(ours), later))
        else:
            timed.append((seconds(ours), seconds(other)))
    return timed


def scaled(pairs: Pairs, times: float) -> Pairs:
    """Give the pairs as if the other side had done so many times its work."""
    return [(ours, other * times) for ours, other in pairs]


def quickest(choices: Sequence[int], call: Callable[[int], object]) -> int:
    """Choose what a call takes the least time with, its first calls not counted."""

    def second_call(choice: int) -> float:
        call(choice)
        return seconds(lambda: call(choice))

    return min(choices, key=second_call)


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def require_equal(what: str, ours: Any, other: Any, tolerance: float = 1e-5) -> None:
    """Stop where the two sides do not do the same work.

    Args:
        what: what is compared.
        ours: an array.
        other: an array of its shape.
        tolerance: the largest difference allowed, as a share of the other's largest value.
    """
    ours, other = np.asarray(ours), np.asarray(other)
    off = np.abs(ours - other).max() / np.abs(other).max()
    if not off <= tolerance:
        raise SystemExit(f"{what}: the two sides differ by {off:.1e} of the largest value.")


def _medians(pairs: Pairs) -> str:
    return " | ".join(_readable(statistics.median(side)) for side in zip(*pairs, strict=True))


def _readable(duration: float) -> str:
    return f"{duration:.2f} s" if duration >= 1 else f"{1000 * duration:.0f} ms"

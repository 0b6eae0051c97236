"""The benchmark's arithmetic: what a line of its table says, and when a limit counts as kept."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TIMING = Path(__file__).parents[2] / "scripts" / "benchmarks" / "timing.py"


@pytest.fixture(scope="module")
def timing() -> Any:
    spec = importlib.util.spec_from_file_location("bench_timing", TIMING)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["bench_timing"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["bench_timing"])
    return sys.modules["bench_timing"]


def test_half_the_time_is_twice_as_fast_and_half_as_long(timing: Any) -> None:
    pairs = [(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]
    assert timing.as_fast("x", pairs, 1.3).measured == [2, 2, 2]
    assert timing.as_long("x", pairs, 1.3).measured == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("others", "kept"), [((2.0, 2.0, 0.1), True), ((2.0, 0.1, 0.1), False), ((1.3,), True)]
)
def test_the_median_keeps_a_lower_limit_or_misses_it(
    timing: Any, others: tuple[float, ...], kept: bool
) -> None:
    row = timing.as_fast("x", [(1.0, other) for other in others], 1.3)
    assert row.kept is kept
    assert ("MISSED" in str(row)) is not kept


@pytest.mark.parametrize(("ours", "kept"), [((9.0, 1.0, 1.0), True), ((1.0, 1.2, 1.2), False)])
def test_the_median_keeps_an_upper_limit_or_misses_it(
    timing: Any, ours: tuple[float, ...], kept: bool
) -> None:
    assert timing.as_long("x", [(each, 1.0) for each in ours], 1.15).kept is kept


def test_a_row_without_limit_is_neither_kept_nor_missed(timing: Any) -> None:
    text = str(timing.as_fast("x", [(1.0, 0.5)]))
    assert "kept" not in text
    assert "MISSED" not in text


def test_a_row_that_was_not_measured_says_why_and_keeps_no_limit(timing: Any) -> None:
    row = timing.Row("x", [], timing.Limit(1.05), why="no such peer")
    assert "not measured: no such peer" in str(row)
    assert not row.kept
    assert timing.Row("a peer", [], why="no such peer").kept


def test_each_line_has_the_columns_of_the_head(timing: Any) -> None:
    columns = timing.HEAD.splitlines()[0].count("|")
    rows = [
        timing.as_fast("x", [(0.1, 2.0)], 3),
        timing.Row("y", [0.2], timing.Limit(0.4), " s"),
        timing.Row("z", [], why="w"),
    ]
    assert [str(row).count("|") for row in rows] == [columns] * 3


def test_sides_take_turns_after_one_call_each(timing: Any) -> None:
    calls: list[str] = []
    timing.in_turn(lambda: calls.append("ours"), lambda: calls.append("other"), 2)
    assert calls == ["ours", "other", "ours", "other", "other", "ours"]


def test_sides_that_differ_stop_the_benchmark(timing: Any) -> None:
    ours = np.array([1.0, 100.0])
    timing.require_equal("x", ours, ours + 1e-4)
    with pytest.raises(SystemExit, match="differ"):
        timing.require_equal("x", ours, ours + 1e-2)
    with pytest.raises(SystemExit, match="differ"):
        timing.require_equal("x", ours, ours * np.nan)

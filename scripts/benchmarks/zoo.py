"""Every network of the tests' zoo: the compiled path against the plain one, the worst ratio.

The plain path is the public `trace` and `project`, each step by its own rule. Whole layers and
single units are measured, in batches large enough for the work to outweigh the calls. Of so many
ratios the worst is far out by chance alone, so the worst few are measured again, longer, and those
count.
"""

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf

import deconvviz
from deconvviz.deconv.start import start_signal
from scripts.benchmarks.timing import Effort, Pairs, Row, as_long, in_turn

COUNT = 64
AGAIN = 3
SLOWEST = 1.05
ZOO = Path(__file__).parents[2] / "tests" / "conftest.py"

Sides = tuple[Callable[[], object], Callable[[], object]]


def worst_of_the_zoo(effort: Effort) -> Row:
    """Time all networks, and the slowest once more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # maps that do not depend on the image
        return _worst(effort)


def _worst(effort: Effort) -> Row:
    try:
        cases = dict(_cases(_zoo()))
    except ModuleNotFoundError as error:
        what = "the zoo: ours / the plain path"
        return Row(what, [], as_long(what, [], SLOWEST).limit, why=f"{error}")
    first = {name: in_turn(*sides, effort.pairs) for name, sides in cases.items()}
    slowest = sorted(first, key=lambda name: _ratio(first[name]))[-AGAIN:]
    again = {name: in_turn(*cases[name], 4 * effort.pairs) for name in slowest}
    worst = max(again, key=lambda name: _ratio(again[name]))
    what = f"the slowest of {len(cases)} calls on the tests' networks ({worst}): ours / plain path"
    return as_long(what, again[worst], SLOWEST)


def _zoo() -> Any:
    spec = importlib.util.spec_from_file_location("zoo", ZOO)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["zoo"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["zoo"])
    return sys.modules["zoo"]


def _cases(zoo: Any) -> Iterator[tuple[str, Sides]]:
    for name in (*zoo.ZOO, *zoo.GRAPHS):
        member = zoo.build(name, images=COUNT)
        if member.targets:
            target = member.targets[-1]
            net = deconvviz.Deconvnet(member.model)
            yield f"{name} {target}, whole layer", _whole_layer(net, member.images, target)
            if len(net.require(target)) == 3 and not isinstance(member.images, tuple):
                yield f"{name} {target}, one unit", _one_unit(net, member.images, target)


def _whole_layer(net: Any, images: Any, layer: str) -> Sides:
    def plain() -> None:
        traced = net.trace(images, layer)
        net.project(traced, traced.activation)

    return lambda: net.reconstruct(images, layer), plain


def _one_unit(net: Any, images: Any, layer: str) -> Sides:
    features = np.zeros(COUNT, np.int32)

    def plain() -> None:
        traced = net.trace(images, layer)
        net.project(traced, start_signal(traced.activation, tf.constant(features), "max"))

    return lambda: net.reconstruct(images, layer, feature=features, at="max"), plain


def _ratio(pairs: Pairs) -> float:
    return median(ours / plain for ours, plain in pairs)

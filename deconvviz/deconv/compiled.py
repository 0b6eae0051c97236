"""The way forward and the way back as compiled functions, a pair for each layer that is asked for.

Compiled, TensorFlow prunes what nobody asked for: an adjoint's filter gradients above all, which
cost time, and of which one crashes.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import tensorflow as tf

from deconvviz.deconv.graph import Graph, Step
from deconvviz.deconv.project import project, wide
from deconvviz.deconv.rules import Rules
from deconvviz.deconv.trace import Trace, first_not_finite, trace

# Images that are in memory at once, with all their activations: at most so many, and no more bytes.
_BATCH = 128
_BYTES = 2**29


class Compiled:
    """A graph's two ways.

    Args:
        graph: the flattened model.
        rules: a rule for each kind of step.
    """

    def __init__(self, graph: Graph, rules: Rules) -> None:
        self._graph, self._rules = graph, rules
        self._functions: dict[tuple[Callable[..., Any], str], Callable[..., Any]] = {}

    def trace(self, inputs: tuple[tf.Tensor, ...], layer: str) -> tuple[Trace, Step | None]:
        """Run a batch forward; give its trace, and the first step that made a value not finite."""
        activation, values, switches, broken = self._function(self._forward, layer)(inputs)
        steps = self._graph.below(self._graph.targets[layer])
        traced = Trace(layer, activation, values, switches)
        return traced, steps[int(broken)] if int(broken) < len(steps) else None

    def project(self, traced: Trace, signal: Any) -> tuple[tf.Tensor, ...]:
        """Run a signal of the activation's shape back, to one tensor an input of the model."""
        signal = tf.cast(tf.convert_to_tensor(signal), wide(traced.activation).dtype)
        back = self._function(self._back, traced.layer)
        maps: tuple[tf.Tensor, ...] = back(traced.values, traced.switches, signal)
        return maps

    def batches(self, inputs: tuple[tf.Tensor, ...], layer: str) -> Iterator[slice]:
        """Cut images into batches whose activations below a layer fit into memory together."""
        side = max((size for x in inputs for size in x.shape[1:]), default=1)
        steps = self._graph.below(self._graph.targets[layer])
        shapes = [self._graph.shapes[slot] for step in steps for slot in step.outputs]
        values = sum(math.prod(size or side for size in shape) for shape in shapes)
        own = self._graph.shapes[self._graph.inputs[0]]
        values = (
            values
            * math.prod(inputs[0].shape[1:])
            // math.prod(
                size or given for size, given in zip(own, inputs[0].shape[1:], strict=True)
            )
        )
        batch = min(max(_BYTES // (4 * max(values, 1)), 1), _BATCH)
        return (slice(first, first + batch) for first in range(0, len(inputs[0]), batch))

    def _function(self, method: Callable[..., Any], layer: str) -> Callable[..., Any]:
        # One function a layer: each is traced once, and TensorFlow has no retracing to warn of.
        if (method, layer) not in self._functions:
            self._functions[method, layer] = tf.function(
                partial(method, layer), autograph=False, reduce_retracing=True
            )
        return self._functions[method, layer]

    def _forward(self, layer: str, inputs: tuple[tf.Tensor, ...]) -> tuple[Any, ...]:
        traced = trace(self._graph, inputs, layer)
        broken = first_not_finite(self._graph, traced)
        return traced.activation, traced.values, traced.switches, broken

    def _back(
        self, layer: str, values: dict[int, tf.Tensor], switches: dict[str, tf.Tensor], signal: Any
    ) -> tuple[tf.Tensor, ...]:
        activation = values[self._graph.targets[layer]]
        return project(self._graph, Trace(layer, activation, values, switches), signal, self._rules)

"""The way back: a signal at a layer's output, reversed step by step to pixels."""

import tensorflow as tf

from deconvviz.deconv.graph import Graph
from deconvviz.deconv.rules import Rules, StepTrace, rule_for
from deconvviz.deconv.trace import Trace


def project(graph: Graph, traced: Trace, signal: tf.Tensor, rules: Rules) -> tuple[tf.Tensor, ...]:
    """Reverse a signal through the steps below a layer.

    Where branches meet again on the way back, their signals are summed.

    Args:
        graph: the flattened model.
        traced: its forward pass up to the layer.
        signal: of the shape of the layer's output.
        rules: a rule for each kind of step.

    Returns:
        For each input of the model, a tensor of its shape; zeros where the layer does not see it.

    Raises:
        UnsupportedLayerError: for the first step on the way that the rules do not define.
    """
    signals = {graph.targets[traced.layer]: wide(signal)}
    for step in reversed(graph.below(graph.targets[traced.layer])):
        inputs = tuple(traced.values[slot] for slot in step.inputs)
        came = [_signal(signals.pop(slot, None), traced.values[slot]) for slot in step.outputs]
        one = StepTrace(step, inputs, traced.switches.get(step.path))
        back = rule_for(step, rules)(one, came[0] if len(came) == 1 else tuple(came))
        for slot, part in zip(step.inputs, map(wide, back), strict=True):
            signals[slot] = signals[slot] + part if slot in signals else part
    return tuple(_signal(signals.get(slot), traced.values[slot]) for slot in graph.inputs)


def wide(signal: tf.Tensor) -> tf.Tensor:
    """Carry half-precision signals in float32: their sums and products soon pass float16's end."""
    return tf.cast(signal, tf.float32) if signal.dtype.size < 4 else signal


def _signal(came: tf.Tensor | None, value: tf.Tensor) -> tf.Tensor:
    return wide(tf.zeros_like(value)) if came is None else came

"""The way back: a signal at a layer's output, reversed step by step to pixels."""

from collections.abc import Mapping

import tensorflow as tf

from deconvviz.deconv.graph import Graph
from deconvviz.deconv.rules import Rule, Rules, StepTrace, rule_for


def project(
    graph: Graph,
    target: int,
    values: Mapping[int, tf.Tensor],
    switches: Mapping[str, tf.Tensor],
    signal: tf.Tensor,
    rules: Rules,
    shortcuts: Mapping[Rule, Rule],
) -> tuple[tf.Tensor, ...]:
    """Reverse a signal through the steps below a slot.

    Where branches meet again on the way back, their signals are summed.

    Args:
        graph: the flattened model.
        target: the slot.
        values, switches: from the forward pass up to it (`run_forward`).
        signal: of the shape of the slot's value.
        rules: a rule for each kind of step.
        shortcuts: for a rule, another that gives the same map.

    Returns:
        For each input of the model, a tensor of its shape; zeros where the target does not see it.

    Raises:
        UnsupportedLayerError: for the first step on the way that the rules do not define.
    """
    signals = {target: wide(signal)}
    for step in reversed(graph.below(target)):
        rule = rule_for(step, rules)
        one = StepTrace(
            step,
            tuple(values[slot] for slot in step.inputs),
            tuple(values[slot] for slot in step.outputs),
            switches.get(step.path),
        )
        came = [_signal(signals.pop(slot, None), values[slot]) for slot in step.outputs]
        back = shortcuts.get(rule, rule)(one, came[0] if len(came) == 1 else tuple(came))
        for slot, part in zip(step.inputs, map(wide, back), strict=True):
            signals[slot] = signals[slot] + part if slot in signals else part
    return tuple(_signal(signals.get(slot), values[slot]) for slot in graph.inputs)


def wide(signal: tf.Tensor) -> tf.Tensor:
    """Carry half-precision signals in float32: their sums and products soon pass float16's end."""
    return tf.cast(signal, tf.float32) if signal.dtype.size < 4 else signal


def _signal(came: tf.Tensor | None, value: tf.Tensor) -> tf.Tensor:
    return wide(tf.zeros_like(value)) if came is None else came

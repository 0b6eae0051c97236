"""The way back: a signal at a layer's output, reversed step by step to pixels."""

import tensorflow as tf

from deconvviz.deconv.graph import Graph, Step
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
    signals = {graph.targets[traced.layer]: signal}
    for step in reversed(graph.below(graph.targets[traced.layer])):
        back = rule_for(step, rules)(_step_trace(step, traced), signals.pop(step.outputs[0]))
        for slot, part in zip(step.inputs, back, strict=True):
            signals[slot] = signals[slot] + part if slot in signals else part
    return tuple(
        signals[slot] if slot in signals else tf.zeros_like(traced.values[slot])
        for slot in graph.inputs
    )


def _step_trace(step: Step, traced: Trace) -> StepTrace:
    return StepTrace(
        step,
        tuple(traced.values[slot] for slot in step.inputs),
        traced.values[step.outputs[0]],
        traced.switches.get(step.path),
    )

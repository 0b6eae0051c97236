"""The way back: a signal at a layer's output, reversed step by step to pixels."""

import operator
from collections import Counter
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from deconvviz.deconv.graph import Graph, Step
from deconvviz.deconv.rules import (
    Rule,
    Rules,
    StepTrace,
    pass_on,
    rectify,
    rule_for,
    unpooling,
)


def project(
    graph: Graph,
    target: int,
    values: Mapping[int, tf.Tensor],
    switches: Mapping[str, tf.Tensor],
    signal: tf.Tensor,
    rules: Rules,
    shortcuts: Mapping[Rule, Rule],
    strengths: dict[int, tf.Tensor] | None = None,
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
        strengths: takes the largest |value| `[n]` of the signal at each slot that one reaches.

    Returns:
        For each input of the model, a tensor of its shape; zeros where the target does not see it.

    Raises:
        UnsupportedLayerError: for the first step on the way that the rules do not define.
    """
    signals = {target: wide(signal)}
    steps = graph.below(target)
    early = _rectified_early(steps, rules) if shortcuts else set()
    for step in reversed(steps):
        rule = rule_for(step, rules)
        one = StepTrace(
            step,
            tuple(values[slot] for slot in step.inputs),
            tuple(values[slot] for slot in step.outputs),
            switches.get(step.path),
        )
        if strengths is not None:
            _note_strengths(strengths, step.outputs, signals)
        came = [_signal(signals.pop(slot, None), values[slot]) for slot in step.outputs]
        if step.inputs[0] in early:
            came = [tf.nn.relu(part) for part in came]
        if step.outputs[0] in early:
            rule = pass_on
        back = shortcuts.get(rule, rule)(one, came[0] if len(came) == 1 else tuple(came))
        for slot, part in zip(step.inputs, map(wide, back), strict=True):
            signals[slot] = signals[slot] + part if slot in signals else part
    if strengths is not None:
        _note_strengths(strengths, graph.inputs, signals)
    return tuple(_signal(signals.get(slot), values[slot]) for slot in graph.inputs)


def _note_strengths(
    strengths: dict[int, tf.Tensor], slots: Sequence[int], signals: Mapping[int, tf.Tensor]
) -> None:
    for slot in slots:
        if slot in signals:
            signal = signals[slot]
            rest = list(range(1, len(signal.shape)))
            strengths[slot] = tf.reduce_max(tf.abs(signal), axis=rest)


def _rectified_early(steps: Sequence[Step], rules: Rules) -> set[int]:
    """Find the slots between a rectification and a pool whose windows do not overlap.

    There, to rectify what comes back to the pool is the same as to rectify what is unpooled, and a
    quarter of the work. The slot is read by the pool alone, or other signals would join in between.
    """
    made = {slot: step for step in steps for slot in step.outputs}
    readers = Counter(slot for step in steps for slot in step.inputs)
    return {
        slot
        for step in steps
        if rule_for(step, rules) is unpooling and _windows_are_disjoint(step)
        for slot in step.inputs
        if slot in made and rule_for(made[slot], rules) is rectify and readers[slot] == 1
    }


def _windows_are_disjoint(step: Step) -> bool:
    pool = step.operation
    is_pool = isinstance(pool, keras.layers.MaxPooling2D)
    return is_pool and all(map(operator.ge, pool.strides, pool.pool_size))


def wide(signal: tf.Tensor) -> tf.Tensor:
    """Carry half-precision signals in float32: their sums and products soon pass float16's end."""
    return tf.cast(signal, tf.float32) if signal.dtype.size < 4 else signal


def _signal(came: tf.Tensor | None, value: tf.Tensor) -> tf.Tensor:
    return wide(tf.zeros_like(value)) if came is None else came

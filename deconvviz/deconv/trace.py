"""The way forward: run the graph up to some slots, and keep what the way back needs.

That is every step's inputs and output, and the switches of every step that keeps a maximum. Steps
above the target do not run: a softmax head does not matter to the second layer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from deconvviz.deconv.affine import AFFINE, IDENTITIES
from deconvviz.deconv.graph import Graph, Step, Tensors
from deconvviz.deconv.kinds import look_up
from deconvviz.deconv.project import wide
from deconvviz.deconv.switches import global_max_with_switches, max_pool_with_switches, maximum
from deconvviz.errors import DeconvvizError


@dataclass(frozen=True)
class Trace:
    """One forward pass of a batch, up to a layer.

    Attributes:
        layer: the layer's path.
        activation: its output `[n, ...]`, after its fused activation, in the layer's own precision.
        values: what every slot of the graph below it held.
        switches: for each step below it that keeps a maximum, by its path, int64 of its output's
            shape (`deconv/switches.py`). Replace them to project through other switches.
    """

    layer: str
    activation: tf.Tensor
    values: dict[int, tf.Tensor]
    switches: dict[str, tf.Tensor]


# What runs a step: one tensor an input, one tensor an output.
Call = Callable[[Step, Tensors], tuple[tf.Tensor, ...]]


def run_forward(
    graph: Graph,
    inputs: tuple[tf.Tensor, ...],
    targets: Sequence[int],
    calls: Mapping[object, Call],
) -> tuple[dict[int, tf.Tensor], dict[str, tf.Tensor]]:
    """Run a batch forward to some slots.

    The maxima and their switches are ops of their own, so that a compiled function runs only those
    that somebody reads.

    Args:
        graph: the flattened model.
        inputs: one tensor `[n, ...]` for each of the model's inputs.
        targets: the slots.
        calls: for a kind of step, what runs it in place of its own call.

    Returns:
        The values of all slots below, and the switches, as in a `Trace`.
    """
    values = dict(zip(graph.inputs, inputs, strict=True))
    switches: dict[str, tf.Tensor] = {}
    for step in graph.below(*targets):
        tensors = [values[slot] for slot in step.inputs]
        find_switches = look_up(step, _SWITCHES)
        if find_switches is not None:
            switches[step.path] = find_switches(step, tensors)
        call = look_up(step, calls)
        outputs = step.call(tensors) if call is None else call(step, tensors)
        values.update(zip(step.outputs, outputs, strict=True))
    return values, switches


def has_switches(step: Step) -> bool:
    """Whether a step keeps a maximum, and its trace the place where that stood."""
    return look_up(step, _SWITCHES) is not None


def require_switches(graph: Graph, traced: Trace) -> None:
    """Make sure that a trace whose switches somebody replaced has one for every maximum.

    Raises:
        DeconvvizError: for the first step whose switches are missing or of another shape.
    """
    for step in graph.below(graph.targets[traced.layer]):
        if has_switches(step):
            wanted = tuple(traced.values[step.outputs[0]].shape)
            given = np.shape(traced.switches.get(step.path, ()))
            if given != wanted:
                raise DeconvvizError(
                    f"The switches of layer {step.path!r} are int64 {list(wanted)}, one for "
                    f"each unit that it gave; received {list(given)}."
                )


def first_not_finite(steps: Sequence[Step], values: Mapping[int, tf.Tensor]) -> tf.Tensor:
    """The place, among steps, of the first that made a NaN or an infinity.

    Returns:
        An int64 scalar: an index into `steps`, or their number where all is finite.
    """
    broken = [~_finite(values[slot] for slot in step.outputs) for step in steps]
    return tf.argmax(tf.stack([*broken, tf.constant(True)]))


def sound(
    graph: Graph, targets: Sequence[int], values: Mapping[int, tf.Tensor], weights: Tensors
) -> tf.Tensor:
    """Whether nothing that is not finite can have gone lost on the way to some slots.

    An affine step hands a NaN or an infinity on, so that it is enough to look at what goes in, at
    the weights, and at the steps that could swallow one: what goes into a maximum, and what comes
    out of all that is not affine. So no sum has to be written down before it is rectified.

    Returns:
        A bool scalar. `first_not_finite` says where the first one came from; or that there was
        none, where only their sum passed the end of float32.
    """
    looked_at = {*graph.inputs, *targets}
    for step in graph.below(*targets):
        if has_switches(step):
            looked_at.update(step.inputs)
        elif look_up(step, _HANDS_ON) is None:
            looked_at.update(step.outputs)
    return _sums_finite((*(values[slot] for slot in sorted(looked_at)), *weights))


def _sums_finite(tensors: Iterable[tf.Tensor]) -> tf.Tensor:
    """A sum hands on what is not finite, and takes a look at each number."""
    numbers = [wide(tensor) for tensor in tensors if tensor.dtype.is_floating]
    sums = [tf.cast(tf.reduce_sum(tensor), tf.float64) for tensor in numbers]
    return tf.reduce_all(tf.math.is_finite(tf.stack(sums)))


def _finite(tensors: Iterable[tf.Tensor]) -> tf.Tensor:
    numbers = [tensor for tensor in tensors if tensor.dtype.is_floating]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in numbers])


def _max_pool(step: Step, tensors: Tensors) -> tf.Tensor:
    pool = step.operation
    return max_pool_with_switches(tensors[0], pool.pool_size, pool.strides, pool.padding)[1]


def _global_max_pool(step: Step, tensors: Tensors) -> tf.Tensor:
    return global_max_with_switches(tensors[0], step.operation.keepdims)[1]


def _maximum(step: Step, tensors: Tensors) -> tf.Tensor:
    return maximum(tensors)[1]


_SWITCHES: dict[object, Callable[[Step, Tensors], tf.Tensor]] = {
    keras.layers.MaxPooling2D: _max_pool,
    keras.layers.GlobalMaxPooling2D: _global_max_pool,
    keras.layers.Maximum: _maximum,
    keras.ops.maximum: _maximum,
}
_HANDS_ON = dict.fromkeys((*AFFINE, *IDENTITIES, keras.layers.Conv2D), True)

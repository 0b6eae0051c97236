"""The way forward: run the graph up to one layer, and keep what the way back needs.

That is every step's inputs and output, and the switches of every step that keeps a maximum. Steps
above the target do not run: a softmax head does not matter to the second layer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from deconvviz.deconv.graph import Graph, Step, Tensors
from deconvviz.deconv.kinds import look_up
from deconvviz.deconv.switches import global_max_with_switches, max_pool_with_switches, maximum


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


def trace(graph: Graph, inputs: tuple[tf.Tensor, ...], layer: str) -> Trace:
    """Run a batch forward to a layer.

    Args:
        graph: the flattened model.
        inputs: one tensor `[n, ...]` for each of the model's inputs.
        layer: a path in `graph.targets`.
    """
    target = graph.targets[layer]
    values = dict(zip(graph.inputs, inputs, strict=True))
    switches: dict[str, tf.Tensor] = {}
    for step in graph.below(target):
        tensors = [values[slot] for slot in step.inputs]
        switched = look_up(step, _SWITCHED)
        if switched is None:
            outputs = step.call(tensors)
        else:
            output, switches[step.path] = switched(step, tensors)
            outputs = (output,)
        values.update(zip(step.outputs, outputs, strict=True))
    return Trace(layer, values[target], values, switches)


def has_switches(step: Step) -> bool:
    """Whether a step keeps a maximum, and its trace the place where that stood."""
    return look_up(step, _SWITCHED) is not None


def first_not_finite(graph: Graph, traced: Trace) -> tf.Tensor:
    """The place, among the steps below the layer, of the first that made a NaN or an infinity.

    Returns:
        An int64 scalar: an index into `graph.below(...)`, or their number where all is finite.
    """
    steps = graph.below(graph.targets[traced.layer])
    broken = [~_finite([traced.values[slot] for slot in step.outputs]) for step in steps]
    return tf.argmax(tf.stack([*broken, tf.constant(True)]))


def _finite(tensors: Tensors) -> tf.Tensor:
    numbers = [tensor for tensor in tensors if tensor.dtype.is_floating]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in numbers])


def _max_pool(step: Step, tensors: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
    pool = step.operation
    return max_pool_with_switches(tensors[0], pool.pool_size, pool.strides, pool.padding)


def _global_max_pool(step: Step, tensors: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
    return global_max_with_switches(tensors[0], step.operation.keepdims)


def _maximum(step: Step, tensors: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
    return maximum(tensors)


_SWITCHED: dict[object, Callable[[Step, Tensors], tuple[tf.Tensor, tf.Tensor]]] = {
    keras.layers.MaxPooling2D: _max_pool,
    keras.layers.GlobalMaxPooling2D: _global_max_pool,
    keras.layers.Maximum: _maximum,
    keras.ops.maximum: _maximum,
}

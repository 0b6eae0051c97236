"""The way forward: run the graph up to one layer, and keep what the way back needs.

That is every step's inputs and output, and every max pool's switches. Steps above the target do not
run: a softmax head does not matter to the second layer.
"""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from deconvviz.deconv.graph import Graph, Step
from deconvviz.deconv.switches import max_pool_with_switches
from deconvviz.errors import UnsupportedLayerError


@dataclass(frozen=True)
class Trace:
    """One forward pass of a batch, up to a layer.

    Attributes:
        layer: the layer's path.
        activation: its output `[n, ...]`, after its fused activation.
        values: what every slot of the graph below it held.
        switches: for each max pool below it, by its path, int64 `[n, h, w, C]` indices into each
            image (`deconv/switches.py`). Replace them to project through other switches.
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
        if is_max_pool(step):
            pool: Any = step.operation
            if pool.data_format != "channels_last":
                raise UnsupportedLayerError(
                    f"Layer {step.path!r} pools images with the channels first, and TensorFlow's "
                    "max_pool_with_argmax knows only channels_last. Rebuild the model with that."
                )
            pooled, switches[step.path] = max_pool_with_switches(
                tensors[0], pool.pool_size, pool.strides, pool.padding
            )
            outputs: tuple[tf.Tensor, ...] = (pooled,)
        else:
            outputs = step.call(tensors)
        values.update(zip(step.outputs, outputs, strict=True))
    return Trace(layer, values[target], values, switches)


def first_not_finite(graph: Graph, traced: Trace) -> tf.Tensor:
    """The place, among the steps below the layer, of the first that made a NaN or an infinity.

    Returns:
        An int64 scalar: an index into `graph.below(...)`, or their number where all is finite.
    """
    steps = graph.below(graph.targets[traced.layer])
    broken = [~tf.reduce_all(tf.math.is_finite(traced.values[step.outputs[0]])) for step in steps]
    return tf.argmax(tf.stack([*broken, tf.constant(True)]))


def is_max_pool(step: Step) -> bool:
    """Whether a step is Keras's max pool over an image, the one kind of step with switches."""
    pool: Any = keras.layers.MaxPooling2D
    # A child that pools in a way of its own is not it; nor has the argmax op channels first.
    return isinstance(step.operation, pool) and type(step.operation).call is pool.call

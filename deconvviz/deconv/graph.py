"""A Keras model as a flat list of steps, in the order in which they run.

A step is one thing that one rule can reverse: nested models are opened, and a fused activation
(`Conv2D(activation="relu")`) becomes a step of its own behind its layer. Tensors are numbered slots
that steps read and write, so that branches and shared layers need no special case.

This is the only file that touches Keras's internals.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from deconvviz.errors import DeconvvizError, UnsupportedLayerError

# Layers that compute something affine and then, where one is set, an activation.
_ACTIVATED = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
)

Tensors = Sequence[tf.Tensor]


@dataclass(frozen=True)
class Step:
    """One operation of the model, with the slots that it reads and writes.

    Attributes:
        path: the Keras layer's name, behind the names of the models that it is nested in.
        operation: the layer; for a fused activation, an `Activation` layer of its own.
        inputs: the slots it reads.
        outputs: the slots it writes.
        call: runs it, at inference, on one tensor an input; returns one tensor an output.
    """

    path: str
    operation: keras.Operation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    call: Callable[[Tensors], tuple[tf.Tensor, ...]]

    @property
    def name(self) -> str:
        """The path, and for an activation or an op, what it is: for messages."""
        return f"{self.path} ({type(self.operation).__name__})"


@dataclass(frozen=True)
class Graph:
    """A flattened model.

    Attributes:
        steps: in an order in which they can run.
        inputs: the slots of the model's inputs.
        targets: for each layer's path, the slot of its output, after its fused activation.
        shapes: for each slot, its shape without the batch; None where a size is open.
    """

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    targets: dict[str, int]
    shapes: dict[int, tuple[int | None, ...]]

    def below(self, target: int) -> tuple[Step, ...]:
        """The steps that the slot `target` depends on; nothing above it is ever touched."""
        needed, steps = {target}, []
        for step in reversed(self.steps):
            if needed.intersection(step.outputs):
                needed.update(step.inputs)
                steps.append(step)
        return tuple(reversed(steps))


def flatten(model: keras.Model) -> Graph:
    """Flatten a Sequential or Functional model.

    Args:
        model: a built Keras 3 model, nested to any depth. It is not changed.

    Returns:
        Its graph; the weights stay the model's own.

    Raises:
        DeconvvizError: for a model without a graph (subclassed, or not built yet).
    """
    if not isinstance(model, keras.Model):
        raise DeconvvizError(
            f"A Deconvnet takes a Keras model; received {type(model).__name__}. Open a file with "
            "deconvviz.load_model first."
        )
    flat = _Flattening()
    inputs = tuple(flat.new_slot(tensor) for tensor in _functional(model, model.name).inputs)
    flat.open(model, inputs, prefix="")
    return Graph(tuple(flat.steps), inputs, flat.targets, flat.shapes)


class _Flattening:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.targets: dict[str, int] = {}
        self.shapes: dict[int, tuple[int | None, ...]] = {}
        self._uses: Counter[str] = Counter()

    def new_slot(self, tensor: Any) -> int:
        slot = len(self.shapes)
        self.shapes[slot] = tuple(tensor.shape[1:])
        return slot

    def open(self, model: keras.Model, inputs: Sequence[int], prefix: str) -> list[int]:
        """Append a model's steps, reading from `inputs`; return the slots of its outputs."""
        functional = _functional(model, prefix or model.name)
        slots = dict(zip(map(id, functional.inputs), inputs, strict=True))
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for node in functional._nodes_by_depth[depth]:
                if not node.is_input:
                    reads = [slots[id(tensor)] for tensor in node.arguments.keras_tensors]
                    writes = self._append(node, reads, prefix)
                    slots.update(zip(map(id, node.output_tensors), writes, strict=True))
        return [slots[id(tensor)] for tensor in functional.outputs]

    def _append(self, node: Any, reads: Sequence[int], prefix: str) -> list[int]:
        operation = node.operation
        path = self._path(prefix + operation.name)
        if isinstance(operation, keras.Model):
            writes = self.open(operation, reads, prefix=path + "/")
        else:
            writes = [self.new_slot(tensor) for tensor in node.output_tensors]
            activation = _fused_activation(operation)
            call = _call(node, without_activation=activation is not None)
            self.steps.append(Step(path, operation, tuple(reads), tuple(writes), call))
            if activation is not None:
                writes = [self._append_activation(path, activation, writes[0], node)]
        self.targets[path] = writes[0]
        return writes

    def _append_activation(self, path: str, function: Any, reads: int, node: Any) -> int:
        writes = self.new_slot(node.output_tensors[0])
        layer = keras.layers.Activation(function, dtype=node.operation.dtype_policy)
        step = Step(path, layer, (reads,), (writes,), lambda tensors: (function(tensors[0]),))
        self.steps.append(step)
        return writes

    def _path(self, path: str) -> str:
        """A layer that is used again is another place in the graph: `conv`, then `conv#2`."""
        self._uses[path] += 1
        return path if self._uses[path] == 1 else f"{path}#{self._uses[path]}"


def _functional(model: keras.Model, path: str) -> Any:
    """The model as a Functional, whose nodes can be walked (a Sequential keeps its own hidden)."""
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs, model.outputs)
    if hasattr(model, "_nodes_by_depth"):
        return model
    raise DeconvvizError(
        f"The model {path.rstrip('/')!r} ({type(model).__name__}) has no graph to walk. Sequential "
        "and Functional models have one, once their input shape is known: build it, or rewrite a "
        "subclassed model with keras.Model(inputs, outputs)."
    )


def _fused_activation(operation: keras.Operation) -> Callable[[tf.Tensor], tf.Tensor] | None:
    activation = getattr(operation, "activation", None)
    if not isinstance(operation, _ACTIVATED) or activation in (None, keras.activations.linear):
        return None
    return activation


def _call(node: Any, without_activation: bool) -> Callable[[Tensors], tuple[tf.Tensor, ...]]:
    operation, arguments = node.operation, node.arguments

    def call(tensors: Tensors) -> tuple[tf.Tensor, ...]:
        places = dict(zip(map(id, arguments.keras_tensors), tensors, strict=True))
        args, kwargs = arguments.fill_in(places)
        if kwargs.get("training"):
            raise UnsupportedLayerError(
                f"Layer {operation.name!r} is called with training=True, so its output at "
                "inference is not what is reconstructed. Rebuild the model without it."
            )
        if getattr(operation, "_call_has_training_arg", False):
            kwargs["training"] = False
        with _linear(operation) if without_activation else _as_it_is():
            return tuple(keras.tree.flatten(operation(*args, **kwargs)))

    return call


@contextmanager
def _linear(layer: Any) -> Iterator[None]:
    """Take a layer's activation away for a moment: Keras has no call without it."""
    activation = layer.activation
    layer.activation = keras.activations.linear
    try:
        yield
    finally:
        layer.activation = activation


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield

"""A Keras model as a flat list of steps, in the order in which they run.

A step is one thing that one rule can reverse: nested models are opened, and a fused activation
(`Conv2D(activation="relu")`) becomes a step of its own behind its layer. Tensors are numbered slots
that steps read and write, so that branches and shared layers need no special case.

This is the only file that touches Keras's internals.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import keras
import tensorflow as tf
from keras.src.models.functional import Functional

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
        arguments: what it is called with, in order; None where a tensor of the graph goes.
    """

    path: str
    operation: keras.Operation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    call: Callable[[Tensors], tuple[tf.Tensor, ...]]
    arguments: tuple[Any, ...] = (None,)

    @property
    def output_paths(self) -> tuple[str, ...]:
        """What its outputs are called: its path, or `path[0]`, `path[1]` … of several."""
        return _numbered(self.path, self.outputs)


@dataclass(frozen=True)
class Graph:
    """A flattened model.

    Attributes:
        steps: in an order in which they can run.
        inputs: the slots of the model's inputs, in the order of `model.inputs`.
        targets: for each layer's path, the slot of its output, after its fused activation; of
            several outputs, `path[0]`, `path[1]` ….
        shapes: for each slot, its shape without the batch; None where a size is open.
        names: the inputs' names, by which a dict of images is matched.
        places: for each layer, by its `id`, the paths of its outputs, one each time it is used.
    """

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    targets: dict[str, int]
    shapes: dict[int, tuple[int | None, ...]]
    names: tuple[str, ...]
    places: dict[int, tuple[str, ...]]

    def below(self, *targets: int) -> tuple[Step, ...]:
        """The steps that slots depend on; nothing above them is ever touched."""
        needed, steps = set(targets), []
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
        DeconvvizError: for what is no model.
        UnsupportedLayerError: for a model without a graph (subclassed, or not built yet). Such a
            model inside another is a step of its own.
    """
    if not isinstance(model, keras.Model):
        raise DeconvvizError(
            f"A Deconvnet takes a Keras model; received {type(model).__name__}. Open a file with "
            "deconvviz.load_model first."
        )
    functional = _functional(model)
    if functional is None:
        raise UnsupportedLayerError(
            f"The model {model.name!r} ({type(model).__name__}) has no graph to walk, so its steps "
            "cannot be told apart. Sequential and Functional models have one, once their input "
            "shape is known: build it, or rewrite a subclassed model with keras.Model(inputs, "
            "outputs)."
        )
    flat = _Flattening()
    inputs = tuple(flat.new_slot(tensor) for tensor in functional.inputs)
    flat.open(functional, inputs, prefix="")
    names = _input_names(functional)
    return Graph(tuple(flat.steps), inputs, flat.targets, flat.shapes, names, flat.places)


class _Flattening:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.targets: dict[str, int] = {}
        self.shapes: dict[int, tuple[int | None, ...]] = {}
        self.places: dict[int, tuple[str, ...]] = {}
        self._uses: Counter[str] = Counter()

    def new_slot(self, tensor: Any) -> int:
        slot = len(self.shapes)
        self.shapes[slot] = tuple(tensor.shape[1:])
        return slot

    def open(self, functional: Functional, inputs: Sequence[int], prefix: str) -> list[int]:
        """Append a model's steps, reading from `inputs`; return the slots of its outputs."""
        slots = dict(zip(map(id, functional.inputs), inputs, strict=True))
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for node in functional._nodes_by_depth[depth]:
                if not node.is_input:
                    reads = [slots[id(tensor)] for tensor in node.arguments.keras_tensors]
                    writes = self._append(node, reads, prefix)
                    slots.update(zip(map(id, node.output_tensors), writes, strict=True))
        return [slots[id(tensor)] for tensor in functional.outputs]

    def _append(self, node: Any, reads: Sequence[int], prefix: str) -> Sequence[int]:
        path = self._path(prefix + node.operation.name)
        nested = _nested(node)
        if nested is None:
            writes = self._append_step(path, node, tuple(reads))
        else:
            writes = tuple(self.open(nested, reads, path + "/"))
        paths, layer = _numbered(path, writes), id(node.operation)
        self.targets.update(zip(paths, writes, strict=True))
        self.places[layer] = (*self.places.get(layer, ()), *paths)
        return writes

    def _append_step(self, path: str, node: Any, reads: tuple[int, ...]) -> tuple[int, ...]:
        writes = tuple(self.new_slot(tensor) for tensor in node.output_tensors)
        activation = _fused_activation(node.operation)
        call = _call(node, without_activation=activation is not None)
        arguments = tuple(
            None if isinstance(value, keras.KerasTensor) else value
            for value in keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
        )
        step = Step(path, _alone(node.operation), reads, writes, call, arguments)
        self.steps.append(step)
        if activation is None:
            return writes
        after = self.new_slot(node.output_tensors[0])
        self.steps.append(_activation_step(path, activation, writes[0], after, node.operation))
        return (after,)

    def _path(self, path: str) -> str:
        """A layer that is used again is another place in the graph: `conv`, then `conv#2`."""
        self._uses[path] += 1
        return path if self._uses[path] == 1 else f"{path}#{self._uses[path]}"


def _numbered(path: str, outputs: Sequence[int]) -> tuple[str, ...]:
    if len(outputs) == 1:
        return (path,)
    return tuple(f"{path}[{number}]" for number in range(len(outputs)))


def _functional(model: keras.Model) -> Functional | None:
    """The model as a Functional, whose nodes can be walked; None where it computes otherwise."""
    call = type(model).call
    if isinstance(model, keras.Sequential):
        # A Sequential keeps its nodes hidden, and has none before its input shape is known.
        if call is not keras.Sequential.call or not model.built:
            return None
        return cast(Functional, keras.Model(model.inputs, model.outputs, name=model.name))
    return model if call is Functional.call else None


def _nested(node: Any) -> Functional | None:
    """The model that a node runs, to be opened; None for a step."""
    model, arguments = node.operation, node.arguments
    functional = _functional(model) if isinstance(model, keras.Model) else None
    if functional is None:
        return None
    fed = keras.tree.flatten(arguments.args)
    # Inputs under other names, masks and other ranks are matched by code that opening would skip.
    named = any(_names(value) != _names(functional._inputs_struct) for value in arguments.args)
    plain = not named and len(fed) == len(arguments.keras_tensors) == len(functional.inputs)
    same = plain and all(
        len(a.shape) == len(b.shape) for a, b in zip(fed, functional.inputs, strict=True)
    )
    return functional if same else None


def _input_names(functional: Functional) -> tuple[str, ...]:
    """The names of a model's inputs: the keys of the dict that it was made with, or their own."""
    made_with: Any = functional._inputs_struct
    keys = {id(x): key for key, x in made_with.items()} if isinstance(made_with, dict) else {}
    return tuple(str(keys.get(id(tensor), tensor.name)) for tensor in functional.inputs)


def _names(inputs: Any) -> set[str] | None:
    return set(inputs) if isinstance(inputs, dict) else None


def _fused_activation(operation: keras.Operation) -> Callable[[tf.Tensor], tf.Tensor] | None:
    activation = getattr(operation, "activation", None)
    # A child with a call of its own may use its activation anywhere, or not at all.
    fused = any(type(operation).call is kind.call for kind in _ACTIVATED)
    if not fused or activation in (None, keras.activations.linear):
        return None
    return activation


def _activation_step(path: str, function: Any, reads: int, writes: int, layer: Any) -> Step:
    # Of a quantized layer, the precision alone: what the activation computes is not quantized.
    dtype = layer.compute_dtype if layer.quantization_mode else layer.dtype_policy
    operation = keras.layers.Activation(function, dtype=dtype, name=layer.name)

    def call(tensors: Tensors) -> tuple[tf.Tensor, ...]:
        with keras.StatelessScope():
            return (function(tensors[0]),)

    return Step(path, _alone(operation), (reads,), (writes,), call)


def _alone(operation: Any) -> keras.Operation:
    """The layer itself where one is used as an activation, as in `activation=LeakyReLU()`."""
    plain = type(operation) is keras.layers.Activation
    layer = plain and isinstance(operation.activation, keras.Operation)
    return operation.activation if layer else operation


def _call(node: Any, without_activation: bool) -> Callable[[Tensors], tuple[tf.Tensor, ...]]:
    operation, arguments = node.operation, node.arguments

    def call(tensors: Tensors) -> tuple[tf.Tensor, ...]:
        places = dict(zip(map(id, arguments.keras_tensors), tensors, strict=True))
        args, kwargs = arguments.fill_in(places)
        # As `predict` does, which overrules even a layer that was called with training=True.
        if getattr(operation, "_call_has_training_arg", False):
            kwargs["training"] = False
        # Nothing of the model may change: in this scope, neither losses nor states are written.
        with keras.StatelessScope(), _linear(operation) if without_activation else nullcontext():
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

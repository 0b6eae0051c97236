"""What a step is, in the terms in which the tables of rules and of switches speak.

A table is keyed by layer classes, by functions of `keras.ops`, and by the functions that serve as
activations. A step answers to its layer's class and that class's parents, or to its function, but
only where it computes just what they do: a ReLU that leaks is no ReLU, a child that overrides what
its parent computes is not that parent, and a product of two branches is not linear. Every step
answers, last of all, to `keras.Operation`.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import keras
import tensorflow as tf

from deconvviz.deconv.graph import Step

Entry = TypeVar("Entry")

RECTIFICATIONS: tuple[Any, ...] = (
    keras.layers.ReLU,
    keras.activations.relu,
    keras.activations.relu6,
    keras.ops.relu,
    keras.ops.relu6,
    tf.nn.relu,
    tf.nn.relu6,
)
"""Everything that is zero below a threshold and rises above it, up to a cap if there is one."""

# Linear in one tensor, whatever the constants are that go with it; in two, a product.
_LINEAR_IN_ONE = (
    keras.ops.multiply,
    keras.ops.divide,
    keras.ops.true_divide,
    keras.ops.matmul,
)
_DIVISIONS = (keras.ops.divide, keras.ops.true_divide)

# What a child may define of its own and still compute what its parent does.
_HARMLESS = {"build", "get_config", "from_config"}


def look_up(step: Step, table: Mapping[Any, Entry]) -> Entry | None:
    """Give a table's entry for a step, the one for its nearest kind; None where there is none."""
    return next((table[kind] for kind in kinds(step) if kind in table), None)


def kinds(step: Step) -> tuple[Any, ...]:
    """Everything that a step answers to, the nearest first."""
    operation: Any = step.operation
    if not isinstance(operation, keras.layers.Layer):
        return (*_function_kinds(step), keras.Operation)
    own = tuple(kind for kind in type(operation).__mro__ if _is(operation, kind))
    if keras.layers.Activation in own:
        return (operation.activation, *own)
    return own


def computes_its_own(layer: Any, kind: Any) -> bool:
    """Tell whether a layer replaces anything of what its class's parent `kind` computes."""
    if getattr(layer, "quantization_mode", None) or "call" in vars(layer):
        return True
    between = type(layer).__mro__[: type(layer).__mro__.index(kind)]
    return any(
        hasattr(kind, name)
        and name not in _HARMLESS
        and (name == "__call__" or not name.startswith(("__", "_api_")))
        for child in between
        for name in vars(child)
    )


def describe(step: Step) -> str:
    """Name a step's class, and whatever keeps it from being what that class is called."""
    operation: Any = step.operation
    name = type(operation).__name__
    if isinstance(operation, keras.layers.Activation):
        return f"activation {getattr(operation.activation, '__name__', operation.activation)!r}"
    if _looks_like_relu(operation) and not _rectifies(operation):
        slope, threshold = float(operation.negative_slope), float(operation.threshold)
        return f"{name} with negative_slope={slope:g} and threshold={threshold:g}"
    if getattr(operation, "quantization_mode", None):
        return f"{name} quantized to {operation.quantization_mode}"
    if _channels_first(operation):
        return f"{name} with the channels first (its switches need channels_last)"
    if _function(operation) in _LINEAR_IN_ONE and step.arguments[:1] != (None,):
        return f"{name} with a constant first"
    if _function(operation) in _LINEAR_IN_ONE:
        return f"{name} of {len(step.inputs)} tensors"
    return name


def _is(operation: Any, kind: Any) -> bool:
    if kind in (keras.layers.Layer, keras.Operation):
        return True
    if kind is keras.layers.ReLU and not _rectifies(operation):
        return False
    # TensorFlow's argmax op, which gives a pool its switches, knows only the channels last.
    if _channels_first(operation):
        return False
    return not computes_its_own(operation, kind)


def _channels_first(operation: Any) -> bool:
    pools = (keras.layers.MaxPooling2D, keras.layers.GlobalMaxPooling2D)
    return isinstance(operation, pools) and operation.data_format == "channels_first"


def _function_kinds(step: Step) -> tuple[Any, ...]:
    function, tensors = _function(step.operation), len(step.inputs)
    constants = [value for value in step.arguments if value is not None]
    if _looks_like_relu(step.operation):
        return (keras.activations.relu,) if _rectifies(step.operation) else ()
    if function is keras.ops.maximum and tensors == 1:
        return (keras.ops.relu,) if _is_zero(constants) else ()
    if function in _LINEAR_IN_ONE and tensors != 1:
        return ()
    if function in _DIVISIONS and step.arguments[0] is not None:
        return ()
    return () if function is None else (function,)


def _function(operation: Any) -> Any:
    """The function of `keras.ops` that leaves this operation in a graph."""
    kind = type(operation)
    if not kind.__module__.startswith("keras."):
        return None
    return getattr(keras.ops, re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(), None)


def _looks_like_relu(operation: Any) -> bool:
    # Keras has two: the layer, and the operation, not public, that `keras.activations.relu` leaves.
    return type(operation).__name__ == "ReLU" and type(operation).__module__.startswith("keras.")


def _rectifies(relu: Any) -> bool:
    return float(relu.negative_slope) == 0 and float(relu.threshold) >= 0


def _is_zero(constants: list[Any]) -> bool:
    return len(constants) == 1 and not keras.ops.convert_to_numpy(constants[0]).any()

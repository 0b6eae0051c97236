"""What leaves every unit at its place: steps that are pointwise over height and width.

They may do to the feature maps whatever they like, at each place alone. What works along an axis of
its own, such as a softmax or a concatenation, is one of them where that axis is the channels'.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from deconvviz.deconv.affine import IDENTITIES

_PLAIN: tuple[Any, ...] = (
    *IDENTITIES,
    layers.ReLU,
    layers.LeakyReLU,
    layers.PReLU,
    layers.ELU,
    layers.BatchNormalization,
    layers.Normalization,
    layers.Rescaling,
    layers.Dense,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
)

_ALONG_AN_AXIS: tuple[Any, ...] = (
    layers.Softmax,
    layers.Concatenate,
    layers.LayerNormalization,
    layers.RMSNormalization,
    layers.UnitNormalization,
)

POINTWISE: tuple[Any, ...] = (*_PLAIN, *_ALONG_AN_AXIS, layers.Activation, layers.Permute)
"""Layers that may be pointwise: those for which `leaves_units_in_place` holds are."""

# The operations that functions of `keras.ops` leave in a graph, by name: they have no public class.
_POINTWISE_OPERATIONS = frozenset(
    (
        *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "DivideNoNan", "FloorDivide"),
        *("Mod", "Power", "Maximum", "Minimum", "Negative", "Absolute", "Abs", "Square", "Sqrt"),
        *("Rsqrt", "Exp", "Expm1", "Log", "Log1p", "Log2", "Log10", "Clip", "Sign", "Reciprocal"),
        *("Sin", "Cos", "Tanh", "Erf", "Floor", "Ceil", "Round", "Where", "Greater", "Less"),
        *("GreaterEqual", "LessEqual", "Equal", "NotEqual", "Cast", "StopGradient"),
        *("ReLU", "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "Sigmoid"),
        *("LogSigmoid", "HardSigmoid", "HardSilu", "HardTanh", "HardShrink", "SoftShrink"),
        *("TanhShrink", "Threshold", "Softplus", "Softsign", "Squareplus", "SparsePlus"),
        *("SparseSigmoid",),
    )
)
_OPERATIONS_ALONG_AN_AXIS = frozenset(
    ("Softmax", "LogSoftmax", "Concatenate", "Split", "Mean", "Sum", "Max", "Min")
)

# Activations of these names are pointwise over space, whichever library they come from.
_ACTIVATIONS = tuple(
    getattr(library, name)
    for name in set(dir(keras.activations)) - {"get", "serialize", "deserialize"}
    for library in (keras.activations, keras.ops, tf.nn)
    if not name.startswith("_") and hasattr(library, name)
)

_LAST = (-1, 3)  # of [n, H, W, C]


def leaves_units_in_place(operation: Any, kind: Any = None) -> bool:
    """Tell whether a layer of a class in `POINTWISE`, or an operation, is pointwise over space."""
    if kind is None:
        return _is_pointwise(operation)
    if kind is layers.Activation:
        return any(operation.activation is function for function in _ACTIVATIONS)
    if kind is layers.Permute:
        return tuple(operation.dims) == (1, 2, 3)
    return kind not in _ALONG_AN_AXIS or _is_last(operation.axis)


def _is_pointwise(operation: Any) -> bool:
    if not type(operation).__module__.startswith("keras.src."):
        return False
    name = type(operation).__name__
    return name in _POINTWISE_OPERATIONS or (
        name in _OPERATIONS_ALONG_AN_AXIS and _is_last(operation.axis)
    )


def _is_last(axis: Any) -> bool:
    return axis in _LAST or (isinstance(axis, list | tuple) and len(axis) == 1 and axis[0] in _LAST)

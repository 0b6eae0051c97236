"""How each kind of step is reversed: four methods, four plain tables.

A table maps a layer class, or the function of an activation, to a rule. It is looked up along the
class's MRO. A rule takes one step of a trace and the signal that came back to its output, and gives
the signal for each of its inputs. A method of one's own is a dict display:

    {**DECONVNET, MyLayer: adjoint}

Explicit rules stand only where the papers say something. All that is affine at inference shares the
adjoint, which for it is the transpose exactly.

References:
    deconvnet: Zeiler & Fergus 2013, Section 2.1. gradient: Simonyan et al. 2013, Section 4.
    guided: Springenberg et al. 2014, Section 3.4. classic: the TF1 program of the README.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from deconvviz.deconv.graph import Step
from deconvviz.deconv.switches import unpool
from deconvviz.errors import UnsupportedLayerError


@dataclass(frozen=True)
class StepTrace:
    """One step of one forward pass: the step, what went in, what came out, and its switches."""

    step: Step
    inputs: tuple[tf.Tensor, ...]
    output: tf.Tensor
    switches: tf.Tensor | None = None


Rule = Callable[[StepTrace, tf.Tensor], tuple[tf.Tensor, ...]]
Rules = Mapping[Any, Rule]


def adjoint(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The vector-Jacobian product of the step's own call: for an affine step, its transpose."""
    # Copies, so that a tensor that a step reads twice is not counted twice.
    inputs = [tf.identity(tensor) for tensor in traced.inputs]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        (output,) = traced.step.call(inputs)
    return tuple(
        tape.gradient(
            output,
            inputs,
            output_gradients=signal,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
    )


def transposed_convolution(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Filter with the same kernel, flipped and transposed; no bias (Zeiler & Fergus, Section 2.1).

    `tf.nn.conv2d_transpose` knows no groups, no channels-first images and, on a CPU, no dilation:
    there, the adjoint, which is the same map.
    """
    layer = traced.step.operation
    plain = layer.groups == 1 and tuple(layer.dilation_rate) == (1, 1)
    if not plain or layer.data_format != "channels_last":
        return adjoint(traced, signal)
    back = tf.nn.conv2d_transpose(
        signal,
        tf.cast(layer.kernel, signal.dtype),
        output_shape=tf.shape(traced.inputs[0]),
        strides=layer.strides,
        padding=layer.padding.upper(),
    )
    return (back,)


def unpooling(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Put each value back where its window's maximum stood (Zeiler & Fergus, Section 2.1)."""
    assert traced.switches is not None
    shape = tf.shape(traced.inputs[0])
    return (unpool(signal, traced.switches, (shape[1], shape[2])),)


def rectify(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Keep what is positive on the way back, whatever went forward (Zeiler & Fergus, 2.1)."""
    _require_plain_relu(traced.step)
    return (tf.nn.relu(signal),)


def rectify_and_mask(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Keep what is positive on the way back and was positive forward (Springenberg et al., 3.4)."""
    _require_plain_relu(traced.step)
    return (tf.where(traced.inputs[0] > 0, tf.nn.relu(signal), tf.zeros_like(signal)),)


def _require_plain_relu(step: Step) -> None:
    layer = step.operation
    if isinstance(layer, keras.layers.ReLU) and (
        layer.negative_slope or layer.threshold or layer.max_value is not None
    ):
        raise UnsupportedLayerError(
            f"Layer {step.path!r} is a ReLU with negative_slope={float(layer.negative_slope)}, "
            f"threshold={float(layer.threshold)}, max_value={layer.max_value}; these rules know "
            'only max(x, 0). Reconstruct a layer below it, or use rules="gradient".'
        )


def pass_on(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Leave the signal as it is: the classic program takes ReLU to be close to the identity."""
    return (signal,)


def subtract_bias_then_transpose(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The classic program's convolution: the bias is taken off everywhere, zeros included."""
    layer = traced.step.operation
    bias = tf.cast(layer.bias, signal.dtype) if layer.use_bias else 0.0
    return transposed_convolution(traced, signal - bias)


_AFFINE = (
    keras.layers.AveragePooling2D,
    keras.layers.BatchNormalization,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
)

DECONVNET: Rules = {
    **dict.fromkeys(_AFFINE, adjoint),
    keras.layers.Conv2D: transposed_convolution,
    keras.layers.MaxPooling2D: unpooling,
    keras.layers.ReLU: rectify,
    keras.activations.relu: rectify,
    keras.activations.linear: pass_on,
}
"""Zeiler & Fergus 2013: rectified on the way back by the sign of what comes back."""

GUIDED: Rules = {
    **DECONVNET,
    keras.layers.ReLU: rectify_and_mask,
    keras.activations.relu: rectify_and_mask,
}
"""Springenberg et al. 2014: rectified, and masked by the forward pass too."""

GRADIENT: Rules = {
    **DECONVNET,
    keras.layers.Layer: adjoint,
    keras.layers.ReLU: adjoint,
    keras.activations.relu: adjoint,
}
"""Simonyan et al. 2013: the gradient, whatever TensorFlow can differentiate."""

CLASSIC: Rules = {
    keras.layers.Conv2D: subtract_bias_then_transpose,
    keras.layers.MaxPooling2D: unpooling,
    keras.layers.Dropout: pass_on,
    keras.layers.ReLU: pass_on,
    keras.activations.relu: pass_on,
    keras.activations.linear: pass_on,
}
"""The classic TF1 program: no rectification, the bias subtracted before each transpose."""

METHODS: dict[str, Rules] = {
    "deconvnet": DECONVNET,
    "guided": GUIDED,
    "gradient": GRADIENT,
    "classic": CLASSIC,
}


def rule_for(step: Step, rules: Rules) -> Rule:
    """Look up the rule of a step.

    Raises:
        UnsupportedLayerError: where the table has none, or only one for a parent class whose
            computation the step's own class replaces.
    """
    operation: Any = step.operation
    if isinstance(operation, keras.layers.Activation) and operation.activation in rules:
        return rules[operation.activation]
    kinds: tuple[Any, ...] = type(operation).__mro__
    for kind in kinds:
        # A rule speaks of what a class computes; a child that computes something else is not it.
        same = kind is keras.layers.Layer or kinds[0].call is getattr(kind, "call", None)
        if kind in rules and same:
            return rules[kind]
    raise UnsupportedLayerError(_no_rule(step, rules))


def _no_rule(step: Step, rules: Rules) -> str:
    operation = step.operation
    kind = type(operation).__name__
    if isinstance(operation, keras.layers.Activation):
        kind = f"activation {getattr(operation.activation, '__name__', operation.activation)!r}"
    known = ", ".join(sorted(key.__name__ for key in rules if key is not keras.layers.Layer))
    return (
        f"These rules do not say how to reverse layer {step.path!r}, {kind}. They know {known}. "
        'Reconstruct a layer below it, use rules="gradient", or give it a rule of your own, such '
        "as {**DECONVNET, TheLayer: adjoint}."
    )

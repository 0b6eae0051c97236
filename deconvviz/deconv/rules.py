"""How each kind of step is reversed: four methods, four plain tables.

A table maps a layer class, a function of `keras.ops` or the function of an activation to a rule,
and is looked up along the class's MRO (`kinds`). A rule takes one step of a trace and the signal
that came back to its output, and gives the signal for each of its inputs. A method of one's own is
a dict display:

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
from keras import layers

from deconvviz.deconv.affine import AFFINE, IDENTITIES
from deconvviz.deconv.graph import Step
from deconvviz.deconv.kinds import RECTIFICATIONS, describe, look_up
from deconvviz.deconv.switches import unpool
from deconvviz.errors import UnsupportedLayerError


@dataclass(frozen=True)
class StepTrace:
    """One step of one forward pass: the step, what went in and out, and its switches if any."""

    step: Step
    inputs: tuple[tf.Tensor, ...]
    outputs: tuple[tf.Tensor, ...]
    switches: tf.Tensor | None = None


# A step of several outputs gets a tuple of signals, one for each.
Rule = Callable[[StepTrace, Any], tuple[tf.Tensor, ...]]
Rules = Mapping[Any, Rule]


def adjoint(traced: StepTrace, signal: Any) -> tuple[tf.Tensor, ...]:
    """The vector-Jacobian product of the step's own call: for an affine step, its transpose.

    Raises:
        UnsupportedLayerError: where TensorFlow knows no derivative of the step.
    """
    # Copies, so that a tensor that a step reads twice is not counted twice.
    inputs = [tf.identity(tensor) for tensor in traced.inputs]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([tensor for tensor in inputs if tensor.dtype.is_floating])
        outputs = traced.step.call(inputs)
    signals = signal if isinstance(signal, tuple) else (signal,)
    pairs = [pair for pair in zip(outputs, signals, strict=True) if pair[0].dtype.is_floating]
    try:
        back = tape.gradient(
            [output for output, _ in pairs],
            inputs,
            output_gradients=[tf.cast(part, output.dtype) for output, part in pairs],
        )
    except LookupError:
        back = [None]
    if all(part is None for part in back):
        raise UnsupportedLayerError(
            f"No gradient flows back through {traced.step.path!r}, {describe(traced.step)}: "
            "TensorFlow does not differentiate it, and a picture of zeros would mean nothing. "
            "Reconstruct a layer below it, or give it a rule of your own."
        )
    return tuple(
        tf.zeros_like(tensor) if part is None else part
        for part, tensor in zip(back, inputs, strict=True)
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
    if len(signal.shape) == 2:  # a global pool has one window, and may have dropped its axes
        signal = signal[:, None, None, :]
    switches = tf.reshape(traced.switches, tf.shape(signal))
    return (unpool(signal, switches, (shape[1], shape[2])),)


def to_the_largest(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Give each value to the tensor that it came from: an unpooling across branches."""
    assert traced.switches is not None
    nothing = tf.zeros_like(signal)
    return tuple(
        _sum_to(tensor, tf.where(traced.switches == number, signal, nothing))
        for number, tensor in enumerate(traced.inputs)
    )


def _sum_to(tensor: tf.Tensor, signal: tf.Tensor) -> tf.Tensor:
    """Sum over the axes along which the tensor was broadcast: broadcasting's adjoint."""
    if tensor.shape == signal.shape:
        return signal
    with tf.GradientTape() as tape:
        like = tf.zeros_like(tensor, signal.dtype)
        tape.watch(like)
        broadcast = tf.broadcast_to(like, tf.shape(signal))
    return tape.gradient(broadcast, like, output_gradients=signal)


def rectify(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Keep what is positive on the way back, whatever went forward (Zeiler & Fergus, 2.1).

    A cap or a threshold (ReLU6, `max_value`) changes what goes forward and nothing here: the paper
    rectifies so that reconstructions of maps that are positive are positive too.
    """
    return (tf.nn.relu(signal),)


def rectify_and_mask(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Keep what is positive on the way back and passed forward (Springenberg et al., 3.4).

    What passed is where the step's own derivative is not zero: above the threshold, below the cap.
    """
    (passed,) = adjoint(traced, tf.ones_like(signal))
    return (tf.where(passed > 0, tf.nn.relu(signal), tf.zeros_like(signal)),)


def pass_on(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Leave the signal as it is: the classic program takes ReLU to be close to the identity."""
    return (signal,)


def subtract_bias_then_transpose(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The classic program's convolution: the bias is taken off everywhere, zeros included."""
    return transposed_convolution(traced, minus_bias(traced, signal))


def minus_bias(traced: StepTrace, signal: tf.Tensor) -> tf.Tensor:
    """Take a convolution's bias off a signal, wherever it stands."""
    layer = traced.step.operation
    if not layer.use_bias:
        return signal
    bias = tf.cast(layer.bias, signal.dtype)
    return signal - (bias[:, None, None] if layer.data_format == "channels_first" else bias)


def subtract_offset_then_adjoint(traced: StepTrace, signal: Any) -> tuple[tf.Tensor, ...]:
    """The classic program's step for all else that is affine: what it makes of zeros is taken off.

    The program has convolutions only, whose offset is their bias. This is the same reading of a
    step x → Ax + b: back goes Aᵀ(signal - b).
    """
    offsets = traced.step.call([tf.zeros_like(tensor) for tensor in traced.inputs])
    if isinstance(signal, tuple):
        parts = zip(signal, offsets, strict=True)
        return adjoint(traced, tuple(part - tf.cast(b, part.dtype) for part, b in parts))
    return adjoint(traced, signal - tf.cast(offsets[0], signal.dtype))


DECONVNET: Rules = {
    **dict.fromkeys(AFFINE, adjoint),
    **dict.fromkeys((*IDENTITIES, keras.activations.linear), pass_on),
    **dict.fromkeys(RECTIFICATIONS, rectify),
    layers.Conv2D: transposed_convolution,
    layers.MaxPooling2D: unpooling,
    layers.GlobalMaxPooling2D: unpooling,
    layers.Maximum: to_the_largest,
    keras.ops.maximum: to_the_largest,
}
"""Zeiler & Fergus 2013: rectified on the way back by the sign of what comes back."""

GUIDED: Rules = {**DECONVNET, **dict.fromkeys(RECTIFICATIONS, rectify_and_mask)}
"""Springenberg et al. 2014: rectified, and masked by the forward pass too."""

GRADIENT: Rules = {
    keras.Operation: adjoint,
    layers.Conv2D: transposed_convolution,
    layers.MaxPooling2D: unpooling,
    layers.Maximum: to_the_largest,
    keras.ops.maximum: to_the_largest,
}
"""Simonyan et al. 2013: the gradient, whatever TensorFlow can differentiate."""

CLASSIC: Rules = {
    **DECONVNET,
    **dict.fromkeys(AFFINE, subtract_offset_then_adjoint),
    **dict.fromkeys(RECTIFICATIONS, pass_on),
    layers.Conv2D: subtract_bias_then_transpose,
}
"""The classic TF1 program: no rectification, the bias subtracted before each transpose."""

METHODS: dict[str, Rules] = {
    "deconvnet": DECONVNET,
    "guided": GUIDED,
    "gradient": GRADIENT,
    "classic": CLASSIC,
}


LOCAL = (
    adjoint,
    transposed_convolution,
    unpooling,
    to_the_largest,
    rectify,
    rectify_and_mask,
    pass_on,
)
"""Rules by which nothing comes back to where nothing was sent."""


def rule_for(step: Step, rules: Rules) -> Rule:
    """Look up the rule of a step.

    Raises:
        UnsupportedLayerError: where the table has none for anything that the step is.
    """
    rule = look_up(step, rules)
    if rule is None:
        raise UnsupportedLayerError(_no_rule(step))
    return rule


def _no_rule(step: Step) -> str:
    return (
        f"These rules do not reverse layer {step.path!r}, {describe(step)}. Reconstruct a layer "
        'below it, or take the gradient for such layers (--nonlinear gradient, nonlinear="gradient"'
        ') or for all (--rules gradient, rules="gradient"). In Python, rules={**DECONVNET, '
        "TheLayer: adjoint} gives it a rule."
    )

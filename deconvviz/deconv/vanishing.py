"""Where a signal vanished on its way, and why: the cause of a picture that shows nothing.

A unit that did not fire feeds in nothing. Under a gradient, a softmax, sigmoid or tanh that is sure
of itself lets nothing through: its derivative, p (1 - p) of a probability, is so small that what
rounding leaves of it is noise. Such a picture is grey, or noise that is scaled up to look like one.
So a signal counts as vanished where a step leaves less of it than a hundred rounding errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from deconvviz.deconv.graph import Graph, Step
from deconvviz.deconv.kinds import describe, look_up
from deconvviz.deconv.rules import Rules, adjoint, rule_for

ROUNDING_ERRORS = 100
SUSPECT = 1e-4
"""Maps behind a step that saturates are looked into where their largest |value| is below this."""

_SATURATES = dict.fromkeys(
    (
        keras.layers.Softmax,
        keras.activations.softmax,
        keras.activations.log_softmax,
        keras.activations.sigmoid,
        keras.activations.log_sigmoid,
        keras.activations.hard_sigmoid,
        keras.activations.tanh,
        keras.activations.hard_tanh,
        keras.activations.softsign,
        keras.ops.softmax,
        keras.ops.log_softmax,
        keras.ops.sigmoid,
        keras.ops.log_sigmoid,
        keras.ops.hard_sigmoid,
        keras.ops.tanh,
        keras.ops.softsign,
        tf.nn.softmax,
        tf.nn.sigmoid,
        tf.nn.tanh,
    ),
    True,
)


@dataclass(frozen=True)
class Vanished:
    """Where the signal of an image vanished.

    Attributes:
        step: what let nothing through; None where nothing was fed in.
        saturated: whether that is a step that saturates.
    """

    step: Step | None
    saturated: bool

    def words(self, graph: Graph, layer: str) -> str:
        """Say the cause, and the way out."""
        if self.step is None:
            return (
                f"what is fed in at {layer!r} is 0, since it does not fire there. Choose another "
                "feature or other images; strongest_activations finds those that it fires in."
            )
        name = f"{self.step.path!r}, {describe(self.step)},"
        if not self.saturated:
            return f"the signal from {layer!r} ends at {name} by whose rule nothing comes back."
        below = _alone_below(graph, self.step)
        pass_on = f"{{**GRADIENT, keras.activations.{_function_name(self.step)}: pass_on}}"
        way_out = (
            f"Start from {below!r}, the layer before it."
            if below
            else f"In Python, rules={pass_on} of deconvviz.deconv.rules start from the scores "
            "before it."
        )
        return f"{name} is saturated there, so that its gradient is next to nothing. {way_out}"


def largest(maps: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The largest |value| of each map, `[n]`."""
    rest = tuple(range(1, maps.ndim))
    high: npt.NDArray[np.floating] = np.maximum(
        maps.max(axis=rest, initial=0), -maps.min(axis=rest, initial=0)
    )
    return high


def saturates(graph: Graph, target: int, rules: Rules) -> bool:
    """Tell whether a step on the way back goes by the gradient of something that saturates."""
    return any(_saturated_by(step, rules) for step in graph.below(target))


def find_vanished(
    graph: Graph,
    target: int,
    rules: Rules,
    strengths: Mapping[int, npt.NDArray[np.floating]],
    image: int,
) -> Vanished | None:
    """Find where one image's signal vanished.

    Args:
        graph: the flattened model.
        target: the slot that the signal starts at.
        rules: by which it went back.
        strengths: for each slot that a signal reached, its largest |value| in each image.
        image: which of them.
    """
    if not strengths[target][image]:
        return Vanished(None, saturated=False)
    for step in reversed(graph.below(target)):
        came = max(_at(strengths, slot, image) for slot in step.outputs)
        went = max((_at(strengths, slot, image) for slot in step.inputs), default=0.0)
        saturated = _saturated_by(step, rules)
        least = ROUNDING_ERRORS * _rounding(step) if saturated else 0.0
        if came and went <= came * least:
            return Vanished(step, saturated)
    return None


def _at(strengths: Mapping[int, npt.NDArray[np.floating]], slot: int, image: int) -> float:
    return float(strengths[slot][image]) if slot in strengths else 0.0


def _saturated_by(step: Step, rules: Rules) -> bool:
    return look_up(step, _SATURATES) is not None and rule_for(step, rules) is adjoint


def _rounding(step: Step) -> float:
    dtype = tf.as_dtype(getattr(step.operation, "compute_dtype", "float32"))
    return float(tf.experimental.numpy.finfo(dtype).eps) if dtype.is_floating else 0.0


def _alone_below(graph: Graph, step: Step) -> str | None:
    """The path of the layer whose output the step reads; None where it is fused into its layer."""
    return next((path for path, slot in graph.targets.items() if slot == step.inputs[0]), None)


def _function_name(step: Step) -> str:
    function = getattr(step.operation, "activation", step.operation)
    return str(getattr(function, "__name__", type(function).__name__.lower()))

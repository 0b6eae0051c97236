"""What can be said of a model's layers before any image is spent on them.

Which rule reverses each, or why there is none; how much of the image a unit sees; and what a
caption must own up to: steps that were reversed by their gradient for want of a rule, and a picture
that is the same whatever the image is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from deconvviz.deconv import rules as known
from deconvviz.deconv.affine import AFFINE, IDENTITIES
from deconvviz.deconv.graph import Graph, Step
from deconvviz.deconv.kinds import describe, look_up
from deconvviz.deconv.receptive_field import ReceptiveField, receptive_fields
from deconvviz.deconv.rules import Rules, rule_for


@dataclass(frozen=True)
class LayerInfo:
    """One layer that can be reconstructed from, or the reason why it cannot.

    Attributes:
        path: its name, behind the names of the models that it is nested in.
        kind: its class.
        output_shape: without the batch; None where a size is open.
        receptive_field: what a unit sees of the first input; None where it sees all of it, or may.
        receptive_fields: the same of each input that it depends on, by the input's name.
        rule: the name of the rule that reverses it, or None.
        reason: why there is no rule, also where the gradient stands in for one.
        parameters: how many weights it has; a layer that is used again has the same ones.
    """

    path: str
    kind: str
    output_shape: tuple[int | None, ...]
    receptive_field: ReceptiveField | None
    receptive_fields: dict[str, ReceptiveField | None]
    rule: str | None
    reason: str | None
    parameters: int


def survey(graph: Graph, rules: Rules, chosen: Rules) -> tuple[LayerInfo, ...]:
    """Describe every layer, nested ones too, in the order in which they run.

    Args:
        graph: the flattened model.
        rules: by which layers are reversed.
        chosen: those of them that were chosen; the others only stand in.
    """
    steps: dict[str, list[Step]] = {}
    for step in graph.steps:
        steps.setdefault(step.path, []).append(step)
    fields = [receptive_fields(graph, image=image) for image in range(len(graph.inputs))]
    return tuple(
        _info(graph, path, parts, (rules, chosen), [field[path] for field in fields])
        for parts in steps.values()
        for path in parts[0].output_paths
    )


def approximated(graph: Graph, layer: str, rules: Rules) -> tuple[str, ...]:
    """Name the steps below a layer, `path (Kind)`, for which a table has no rule."""
    steps = graph.below(graph.targets[layer])
    return tuple(
        f"{step.path} ({describe(step)})" for step in steps if look_up(step, rules) is None
    )


def depends_on_image(graph: Graph, layer: str, rules: Rules) -> bool:
    """Tell whether the way back from a layer is another for another image.

    It is where switches, the forward pass's signs or a derivative decide it. Convolutions, and
    ReLUs by Zeiler & Fergus's rule, go back the same way whatever the image was. The classic rules
    add a part that does not grow with the unit's value, so that with it the picture changes.
    """
    return any(_depends(step, rules) for step in graph.below(graph.targets[layer]))


_THE_SAME_FOR_ALL = (
    known.pass_on,
    known.rectify,
    known.transposed_convolution,
)


def _depends(step: Step, rules: Rules) -> bool:
    rule: Any = rule_for(step, rules)
    affine = look_up(step, dict.fromkeys((*AFFINE, *IDENTITIES), True))
    return rule not in _THE_SAME_FOR_ALL and not (rule is known.adjoint and affine)


def _info(
    graph: Graph,
    path: str,
    parts: list[Step],
    tables: tuple[Rules, Rules],
    fields: Sequence[ReceptiveField | None],
) -> LayerInfo:
    """Describe a layer, and with it the fused activation that follows: both need a rule."""
    operation: Any = parts[0].operation
    rules, chosen = tables
    reversible = all(look_up(step, rules) for step in parts)
    without = [describe(step) for step in parts if look_up(step, chosen) is None]
    instead = "; its gradient is taken" if reversible else ""
    return LayerInfo(
        path=path,
        kind=type(operation).__name__,
        output_shape=graph.shapes[graph.targets[path]],
        receptive_field=fields[0],
        receptive_fields=_of_inputs(graph, path, fields),
        rule=", ".join(rule_for(step, rules).__name__ for step in parts) if reversible else None,
        reason=f"no rule for {without[0]}{instead}" if without else None,
        parameters=operation.count_params() if isinstance(operation, keras.layers.Layer) else 0,
    )


def _of_inputs(
    graph: Graph, path: str, fields: Sequence[ReceptiveField | None]
) -> dict[str, ReceptiveField | None]:
    """Keep the fields of those inputs that a layer depends on."""
    named = dict(zip(graph.names, fields, strict=True))
    if len(named) < 2:
        return named
    read = {slot for step in graph.below(graph.targets[path]) for slot in step.inputs}
    slots = dict(zip(graph.names, graph.inputs, strict=True))
    return {name: field for name, field in named.items() if slots[name] in read}

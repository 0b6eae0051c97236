"""The way forward and the way back as compiled functions, one for each question that is asked.

A question is what layers are wanted, and what is fed in at the top. Its function is compiled once
for images of one height and width, and takes batches of any size; the way forward in it is shared
by all its layers. Compiled, TensorFlow prunes what nobody asked for: the switches that a shortcut
finds by itself, and an adjoint's filter gradients, which cost time, and of which one crashes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import tensorflow as tf

from deconvviz.deconv.graph import Graph, Step
from deconvviz.deconv.project import project, wide
from deconvviz.deconv.rules import Rule, Rules
from deconvviz.deconv.shortcuts import CALLS, SHORTCUTS
from deconvviz.deconv.start import start_signal
from deconvviz.deconv.trace import Trace, first_not_finite, run_forward, sound

# Images of a batch, with all their activations: at most so many, and no more bytes.
_BATCH = 128
_BYTES = 2**28
_AT_ONCE = 2  # batches; while one is in an op that takes a single core, the other has the rest

Tensors = tuple[tf.Tensor, ...]
Part = TypeVar("Part")


class Compiled:
    """A graph's two ways.

    Args:
        graph: the flattened model.
        rules: a rule for each kind of step.
    """

    def __init__(self, graph: Graph, rules: Rules) -> None:
        self._graph, self._rules = graph, rules
        self._functions: dict[Any, Callable[..., Any]] = {}

    def activations(self, inputs: Tensors, layers: tuple[str, ...]) -> tuple[Tensors, bool]:
        """Run a batch forward; give the layers' outputs, and whether all was finite."""
        outputs, fine = self._function(self._activations, layers, (inputs,))(inputs)
        return outputs, bool(fine)

    def peaks(self, inputs: Tensors, layers: tuple[str, ...]) -> tuple[Tensors, Tensors, bool]:
        """Run a batch forward; give each map's maximum `[n, C]`, the outputs, and as above."""
        peaks, maps, fine = self._function(self._peaks, layers, (inputs,))(inputs)
        targets = [self._graph.targets[layer] for layer in layers]
        return tuple(map(peaks.get, targets)), tuple(map(maps.get, targets)), bool(fine)

    def reconstruct(
        self,
        inputs: Tensors,
        layers: tuple[str, ...],
        features: tf.Tensor | None,
        at: str | tf.Tensor | None,
        start: str,
    ) -> tuple[tuple[Tensors, ...], bool]:
        """Run a batch forward, and a start signal back from each layer.

        Args:
            inputs: one tensor `[n, ...]` for each of the model's inputs.
            layers: the layers' paths.
            features, at, start: as `start_signal` takes them, `[n]` and `[n, 2]`; or, of one image,
                `[m]` and `[m, 2]`.

        Returns:
            For each layer its maps, one tensor an input; and whether the way forward was finite.
        """
        chosen = tuple(x for x in (features, at) if isinstance(x, tf.Tensor))
        one_image = bool(chosen) and len(inputs[0]) == 1 < len(chosen[0])
        fixed = (layers, at if isinstance(at, str) else None, start, one_image)
        maps, fine = self._function(self._reconstruct, fixed, (inputs, chosen))(inputs, chosen)
        return maps, bool(fine)

    def strengths(
        self,
        inputs: Tensors,
        layer: str,
        features: tf.Tensor | None,
        at: str | tf.Tensor | None,
        start: str,
    ) -> dict[int, tf.Tensor]:
        """Go as `reconstruct` does, an image a map; give each slot's largest |signal| `[n]`."""
        chosen = tuple(x for x in (features, at) if isinstance(x, tf.Tensor))
        fixed = (layer, at if isinstance(at, str) else None, start)
        found: dict[int, tf.Tensor] = self._function(self._strengths, fixed, (inputs, chosen))(
            inputs, chosen
        )
        return found

    def trace(self, inputs: Tensors, layer: str) -> tuple[Trace, Step | None]:
        """Run a batch forward; give its trace, and the first step that made a value not finite."""
        values, switches, broken = self._function(self._trace, layer, (inputs,))(inputs)
        target = self._graph.targets[layer]
        steps = self._graph.below(target)
        traced = Trace(layer, values[target], values, switches)
        return traced, steps[int(broken)] if int(broken) < len(steps) else None

    def project(self, traced: Trace, signal: Any) -> Tensors:
        """Run a signal of the activation's shape back, by the rules and the trace's switches."""
        signal = tf.cast(tf.convert_to_tensor(signal), wide(traced.activation).dtype)
        given = (traced.values, traced.switches, signal)
        maps: Tensors = self._function(self._project, traced.layer, given)(*given)
        return maps

    def batches(self, images: Sequence[Any], layers: Sequence[str], count: int) -> Iterator[slice]:
        """Cut `count` images into batches whose activations below layers fit into memory together.

        Args:
            images: one array `[n, ...]` an input, to tell their size.
            layers: the layers' paths.
            count: how many are to be cut.
        """
        side = max((size for x in images for size in x.shape[1:]), default=1)
        steps = self._graph.below(*(self._graph.targets[layer] for layer in layers))
        shapes = [self._graph.shapes[slot] for step in steps for slot in step.outputs]
        values = sum(math.prod(size or side for size in shape) for shape in shapes)
        own, given = self._graph.shapes[self._graph.inputs[0]], images[0].shape[1:]
        declared = math.prod(size or have for size, have in zip(own, given, strict=True))
        values = values * math.prod(given) // declared
        batch = min(max(_BYTES // (4 * max(values, 1)), 1), _BATCH)
        return (slice(first, first + batch) for first in range(0, count, batch))

    def _function(self, method: Callable[..., Any], fixed: Any, given: Any) -> Callable[..., Any]:
        """Compile a method for tensors like these, whatever their number of images."""
        like = tf.nest.map_structure(_any_number, given)
        key = (method, fixed, tuple(tf.nest.flatten(like)))
        if key not in self._functions:
            made = tf.function(partial(method, fixed), input_signature=like, autograph=False)
            self._functions.setdefault(key, made)  # of two threads, one is the first
        return self._functions[key]

    def _activations(self, layers: tuple[str, ...], inputs: Tensors) -> Any:
        targets = [self._graph.targets[layer] for layer in layers]
        values, _ = run_forward(self._graph, inputs, targets, CALLS)
        return tuple(values[target] for target in targets), self._fine(targets, values)

    def _peaks(self, layers: tuple[str, ...], inputs: Tensors) -> Any:
        targets = [self._graph.targets[layer] for layer in layers]
        values, _ = run_forward(self._graph, inputs, targets, CALLS)
        maps = {target: values[target] for target in targets}
        peaks = {
            target: tf.cast(tf.reduce_max(x, axis=(1, 2)) if len(x.shape) == 4 else x, tf.float32)
            for target, x in maps.items()
        }
        # A maximum tells of a NaN or an infinity, and is read in no time.
        return peaks, maps, self._fine(targets, {**values, **peaks})

    def _reconstruct(
        self, fixed: tuple[tuple[str, ...], str | None, str, bool], inputs: Tensors, chosen: Tensors
    ) -> Any:
        layers, strongest, start, one_image = fixed
        targets = [self._graph.targets[layer] for layer in layers]
        values, switches = run_forward(self._graph, inputs, targets, CALLS)
        fine = self._fine(targets, values)
        if one_image:
            count = tf.shape(chosen[0])[0]
            values = {slot: tf.repeat(x, count, axis=0) for slot, x in values.items()}
            switches = {path: tf.repeat(x, count, axis=0) for path, x in switches.items()}
        features, at = (*chosen, None, None)[:2]
        shortcuts = {} if tf.config.list_physical_devices("GPU") else SHORTCUTS
        maps = []
        for target in targets:
            signal = start_signal(values[target], features, strongest or at, start)
            args = (self._graph, target, values, switches, signal, self._rules, shortcuts)
            maps.append(project(*args))
        return tuple(maps), fine

    def _strengths(
        self, fixed: tuple[str, str | None, str], inputs: Tensors, chosen: Tensors
    ) -> dict[int, tf.Tensor]:
        layer, strongest, start = fixed
        target = self._graph.targets[layer]
        values, switches = run_forward(self._graph, inputs, (target,), calls={})
        features, at = (*chosen, None, None)[:2]
        signal = start_signal(values[target], features, strongest or at, start)
        found: dict[int, tf.Tensor] = {}
        no_shortcuts = dict[Rule, Rule]()
        project(self._graph, target, values, switches, signal, self._rules, no_shortcuts, found)
        return found

    def _trace(self, layer: str, inputs: Tensors) -> Any:
        target = self._graph.targets[layer]
        values, switches = run_forward(self._graph, inputs, (target,), calls={})
        return values, switches, first_not_finite(self._graph.below(target), values)

    def _project(
        self, layer: str, values: dict[int, tf.Tensor], switches: dict[str, tf.Tensor], signal: Any
    ) -> Tensors:
        target, no_shortcuts = self._graph.targets[layer], dict[Rule, Rule]()
        return project(self._graph, target, values, switches, signal, self._rules, no_shortcuts)

    def _fine(self, targets: Sequence[int], values: Mapping[int, tf.Tensor]) -> tf.Tensor:
        operations = {id(step.operation): step.operation for step in self._graph.below(*targets)}
        weights = [
            tf.convert_to_tensor(variable.value)
            for operation in operations.values()
            for variable in getattr(operation, "variables", ())
        ]
        return sound(self._graph, targets, values, weights)


def side_by_side(call: Callable[[slice], Part], batches: Iterable[slice]) -> list[Part]:
    """Call a function on each batch, on two at a time, and give the results in order."""
    cut = list(batches)
    if len(cut) < _AT_ONCE:
        return list(map(call, cut))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(call, cut))


def _any_number(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec([None, *tensor.shape[1:]] if tensor.shape.rank else [], tensor.dtype)

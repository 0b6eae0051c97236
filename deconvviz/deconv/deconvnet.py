"""`Deconvnet`: a trained model, and a method to run its activations back to pixels."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from deconvviz.deconv.arguments import (
    Layer,
    as_numbers,
    checked_features,
    checked_places,
    checked_signal,
    checked_start,
    matched,
    path_of,
    paths_of,
    require_shapes,
    wanted,
)
from deconvviz.deconv.compiled import Compiled, side_by_side
from deconvviz.deconv.crop import Windows, lay_windows
from deconvviz.deconv.graph import flatten
from deconvviz.deconv.guarded import Guarded, Images, Inputs
from deconvviz.deconv.peaks import Peaks
from deconvviz.deconv.pixels import require_scaled, scales_itself
from deconvviz.deconv.receptive_field import Box, ReceptiveField, receptive_field, seen
from deconvviz.deconv.rules import LOCAL, METHODS, Rules, adjoint, rule_for
from deconvviz.deconv.survey import LayerInfo, approximated, depends_on_image, survey
from deconvviz.deconv.trace import Trace, require_switches
from deconvviz.deconv.vanishing import SUSPECT, find_vanished, largest, saturates
from deconvviz.errors import DeconvvizError, EmptyReconstructionWarning
from deconvviz.received import pair, require, shown

Integers = npt.NDArray[np.int32]

Given: TypeAlias = npt.ArrayLike | Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike]
"""Images as a caller has them: an array, or for several inputs one each, in order or by name."""

# Up to which share of the image windows are taken. To find the strongest unit first, the whole
# image goes forward once more.
_SHARE, _SHARE_TO_FIND = 1 / 2, 1 / 5

_LOOKED_INTO = 16  # empty maps, for the reason why

# What a signal starts from: features and places, as they were checked, and `start`.
_Fed: TypeAlias = tuple[Integers | None, str | Integers | None, str]


@dataclass(frozen=True)
class _Way:
    """What is known of the way back from a layer, once all its steps have a rule.

    Attributes:
        local: nothing comes back to where nothing was sent.
        depends_on_image: it is another for another image.
        saturates: it goes by the gradient of something that saturates.
    """

    local: bool
    depends_on_image: bool
    saturates: bool


class Deconvnet:
    """Run a trained CNN's activations back to pixel space.

    Args:
        model: a built Sequential or Functional Keras 3 model. It is used, never changed.
        rules: "deconvnet" (Zeiler & Fergus 2013), "guided" (Springenberg et al. 2014),
            "gradient" (Simonyan et al. 2013), "classic" (the TF1 program), or a table of one's
            own from layer class to rule (`deconvviz.deconv.rules`).
        nonlinear: what to do with a layer that the rules do not define: "refuse" it by name, or
            take its "gradient", which is an approximation that `approximated` then names.

    Raises:
        UnsupportedLayerError: for a model that is not Sequential or Functional.

    Example:
        >>> net = deconvviz.Deconvnet(model)
        >>> maps = net.reconstruct(images, layer="conv2", feature=17, at="max")

    References:
        Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks", Section 2.1.
    """

    def __init__(
        self, model: keras.Model, rules: str | Rules = "deconvnet", nonlinear: str = "refuse"
    ) -> None:
        if not isinstance(rules, Mapping) and not (isinstance(rules, str) and rules in METHODS):
            raise DeconvvizError(
                f"There are no rules called {shown(rules)}. Allowed are {', '.join(METHODS)}, or a "
                "table from layer class to rule."
            )
        if isinstance(rules, Mapping) and not all(map(callable, (*rules, *rules.values()))):
            raise DeconvvizError(
                "A table of rules maps layer classes, or functions, to rules, as {**DECONVNET, "
                f"MyLayer: adjoint}} does; received {dict(rules)!r:.300}."
            )
        if not isinstance(nonlinear, str) or nonlinear not in ("refuse", "gradient"):
            raise DeconvvizError(
                f"nonlinear got {shown(nonlinear)}; allowed are 'refuse' and 'gradient'."
            )
        self.model = model
        self._chosen: Rules = rules if isinstance(rules, Mapping) else METHODS[rules]
        self.rules = self._chosen
        if nonlinear == "gradient":
            self.rules = {keras.Operation: adjoint, **self._chosen}
        self._graph = flatten(model)
        self._compiled = Compiled(self._graph, self.rules)
        self._guarded = Guarded(self._compiled)
        self._laid: dict[tuple[str, int, int], Windows | None] = {}
        self._fields: dict[Any, ReceptiveField | None] = {}
        self._ways: dict[str, _Way] = {}

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """Every layer of the model, nested ones too, in the order in which they run."""
        return survey(self._graph, self.rules, self._chosen)

    def reconstruct(
        self,
        images: Given,
        layer: Layer | Sequence[Layer],
        feature: int | npt.ArrayLike | None = None,
        at: str | tuple[int, int] | npt.ArrayLike | None = None,
        start: str = "activation",
    ) -> Any:
        """Run activations of a layer back to pixels.

        Args:
            images: `[n, H, W, C]` in network-input space; for a model of several inputs a tuple or
                a list of arrays, in the order of `model.inputs`, or a dict by the inputs' names.
                Whole numbers are taken for pixels, and only where the network scales them itself.
            layer: a layer's name, its path through nested models, "block/conv1", or a Keras layer
                of the model. The way back starts at its output, after its fused activation.
                Several layers share one forward pass.
            feature: what is fed in: None the whole layer, an int that feature map, an int array
                `[n]` one map for each image; of one image, an array `[m]` gives m maps. For a
                layer without spatial axes, the unit.
            at: None the whole map, "max" its strongest unit in each image, `(y, x)` or an int
                array `[n, 2]` that unit; of one image, `[m, 2]`.
            start: "activation" feeds the activations themselves, "one" feeds 1 in their place.

        Returns:
            Signed float32 of the images' shape (for several inputs a tuple, or a dict where the
            images were one); of several layers, a dict from a layer's path to that.

        Warns:
            UserWarning: where the picture of one unit does not depend on the image.
            EmptyReconstructionWarning: where a map is all zero, or what rounding left of a signal
                that a saturated softmax, sigmoid or tanh let through; it says why.

        Raises:
            DataError: for images of a wrong shape, for pixels that were to be scaled, and for
                activations or maps that are not finite.
            DeconvvizError: for a layer, a feature or a place that does not exist.
            UnsupportedLayerError: for a layer on the way that the rules do not define.
        """
        inputs, layers = self.inputs(images), self.paths(layer)
        count = wanted(feature, at, len(inputs[0]))
        checked_start(start)
        features = places = None
        for one in layers:
            target = self.require(one)
            features = checked_features(feature, count, target, one)
            places = checked_places(at, features, count, target, one)
            if places is not None or (features is not None and len(target) == 1):
                self._warn_of_sameness(one)
        if features is None or places is None:
            maps = self._whole(inputs, layers, features, places, start, count)
        else:
            maps = {one: self._units(inputs, one, features, places, start) for one in layers}
        for one, of_each in maps.items():
            self._warn_of_nothing(inputs, one, of_each, (features, places, start))
        given = {one: self._as_given(images, of_each) for one, of_each in maps.items()}
        return given[layers[0]] if isinstance(layer, str | keras.Operation) else given

    def _as_given(self, images: Any, maps: Inputs) -> Any:
        if isinstance(images, Mapping):
            return dict(zip(self._graph.names, maps, strict=True))
        return maps[0] if len(maps) == 1 and not isinstance(images, tuple) else maps

    def _units(
        self, inputs: Inputs, layer: str, features: Integers, places: str | Integers, start: str
    ) -> Inputs:
        """Reconstruct a unit each, on its own window where there is one."""
        windows = self._windows(inputs, layer)
        worth_it = _SHARE_TO_FIND if isinstance(places, str) else _SHARE
        if windows is None or windows.share > worth_it:
            return self._whole(inputs, (layer,), features, places, start, len(features))[layer]
        if isinstance(places, str):
            places = self._strongest_places(inputs, layer, features)
        images = np.broadcast_to(inputs[0], (len(features), *inputs[0].shape[1:]))
        corners, units = windows.place(places)
        crops = (windows.cut(images, corners),)
        ((parts,),) = self._whole(crops, (layer,), features, units, start, len(features)).values()
        return (windows.paste(parts, corners),)

    def _whole(
        self,
        inputs: Inputs,
        layers: tuple[str, ...],
        features: Integers | None,
        places: str | Integers | None,
        start: str,
        count: int,
    ) -> dict[str, Inputs]:
        """Reconstruct from layers, batch by batch; one image may serve all features."""

        def of(batch: slice) -> tuple[Inputs, ...]:
            return self._guarded.reconstruct(
                tuple(x if len(x) < count else x[batch] for x in inputs),
                layers,
                None if features is None else tf.constant(features[batch]),
                places if places is None or isinstance(places, str) else tf.constant(places[batch]),
                start,
            )

        parts = side_by_side(of, self._compiled.batches(inputs, layers, count))
        empty = tuple(np.zeros((0, *x.shape[1:]), np.float32) for x in inputs)
        of_layers = zip(*parts, strict=True) if parts else [[empty] for _ in layers]
        return {
            layer: tuple(np.concatenate(maps) for maps in zip(*of_layer, strict=True))
            for layer, of_layer in zip(layers, of_layers, strict=True)
        }

    def _strongest_places(self, inputs: Inputs, layer: str, features: Integers) -> Integers:
        if len(inputs[0]) < len(features):
            peaks = self._guarded.peaks(inputs, (layer,))[layer]
            return peaks.places(np.zeros_like(features), features)
        parts = []
        for batch in self._compiled.batches(inputs, (layer,), len(features)):
            peaks = self._guarded.peaks(tuple(x[batch] for x in inputs), (layer,))[layer]
            parts.append(peaks.places(np.arange(len(peaks.value)), features[batch]))
        return np.concatenate(parts)

    def _windows(self, inputs: Inputs, layer: str) -> Windows | None:
        """Lay windows for a layer's units, where nothing comes back from outside of them."""
        if len(inputs) > 1 or not self._way(layer).local or not len(inputs[0]):
            return None
        height, width = inputs[0].shape[1:3]
        if (layer, height, width) not in self._laid:
            laid = lay_windows(self._graph, layer, (height, width))
            self._laid[layer, height, width] = laid
        return self._laid[layer, height, width]

    @property
    def scales_itself(self) -> bool:
        """Whether pixels from 0 to 255 may be given: the network's first layers scale them."""
        return all(scales_itself(self._graph, slot) for slot in self._graph.inputs)

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the model's inputs are called, in its order."""
        return self._graph.names

    def path(self, layer: Layer) -> str:
        """Give the path of a layer, which is named or is one of Keras's own.

        Raises:
            DeconvvizError: for a layer that the model lacks, or that stands at several places.
        """
        return path_of(layer, self._graph)

    def paths(self, layers: Layer | Sequence[Layer]) -> tuple[str, ...]:
        """Give the paths of one layer or of several, as `path` does, each once."""
        return paths_of(layers, self._graph)

    def require(self, layer: Layer) -> tuple[int | None, ...]:
        """Make sure that a layer can be reconstructed from, before any image is spent on it.

        Returns:
            The shape of its output, without the batch; None where a size is open.

        Raises:
            DeconvvizError: for a layer that the model lacks.
            UnsupportedLayerError: for a layer on the way that the rules do not define.
        """
        target = self._target(layer)
        self._way(self.path(layer))
        return target

    def _way(self, layer: str) -> _Way:
        """Look the way back from a layer through, once; the last of its steps first."""
        if layer not in self._ways:
            steps = reversed(self._graph.below(self._graph.targets[layer]))
            taken = {rule_for(step, self.rules) for step in steps}
            self._ways[layer] = _Way(
                taken <= set(LOCAL),
                depends_on_image(self._graph, layer, self.rules),
                saturates(self._graph, self._graph.targets[layer], self.rules),
            )
        return self._ways[layer]

    def approximated(self, layer: Layer) -> tuple[str, ...]:
        """Name the steps on the way back from a layer that go by their gradient for want of a rule.

        Returns:
            `path (Kind)` of each, in the order in which they run; nothing without
            `nonlinear="gradient"`. A caption has to say it.
        """
        self.require(layer)
        return approximated(self._graph, self.path(layer), self._chosen)

    def without_rule(self, layer: Layer) -> tuple[str, ...]:
        """Name the steps on the way back from a layer that nothing reverses, as `approximated`.

        Returns:
            `path (Kind)` of each; nothing for a layer that can be reconstructed from.
        """
        return approximated(self._graph, self.path(layer), self.rules)

    def seen(
        self, layer: Layer, unit: tuple[int, int], image_size: tuple[int, int] | None = None
    ) -> Box:
        """Give the box of pixels of the first input that one unit of a layer can depend on.

        Args:
            layer: the layer's path.
            unit: (y, x) in the layer's maps.
            image_size: height and width of the images, for a model that takes any.

        Returns:
            The box; at the image's edge it goes on into the padding. The image itself where the
            unit sees the whole of it, or may do so.
        """
        shape, layer = self._target(layer), self.path(layer)
        unit = pair("unit", unit, "(y, x), two whole numbers")
        if image_size is not None:
            image_size = pair("image_size", image_size, "(height, width) in pixels, or None")
        key = layer, image_size
        if key not in self._fields:
            self._fields[key] = receptive_field(self._graph, layer, image_size)
        field = self._fields[key]
        inside = all(size and 0 <= place < size for place, size in zip(unit, shape, strict=False))
        if field is None or not (field.even and inside and len(shape) == 3):
            return seen(self._graph, layer, unit, image_size)
        return field.box(unit)

    def depends_on_image(self, layer: Layer) -> bool:
        """Tell whether the way back from a layer is another for another image.

        Without a max pool on the way, the deconvnet's picture of one unit is the same for every
        image, but for its strength (Springenberg et al. 2014; Mahendran & Vedaldi 2016).
        """
        self.require(layer)
        return self._way(self.path(layer)).depends_on_image

    def activation(self, images: Given, layer: Layer) -> Images:
        """Run images forward to a layer.

        Args:
            images: as `reconstruct` takes them.
            layer: the layer's path.

        Returns:
            Its output, float32 `[n, ...]`.

        Raises:
            DataError: where an activation is not finite; it names the first layer that made one.
        """
        (output,) = self.activations(images, (layer,)).values()
        return output

    def activations(self, images: Given, layers: Layer | Sequence[Layer]) -> dict[str, Images]:
        """Run images forward to several layers at once; give their outputs, as `activation`."""
        inputs, chosen = self.inputs(images), self.paths(layers)
        parts: dict[str, list[Images]] = {layer: [self._nothing(layer)] for layer in chosen}
        for batch in self._compiled.batches(inputs, chosen, len(inputs[0])):
            outputs = self._guarded.activations(tuple(x[batch] for x in inputs), chosen)
            for layer, output in zip(chosen, outputs, strict=True):
                parts[layer].append(output)
        return {layer: np.concatenate(each[1:] or each) for layer, each in parts.items()}

    def strongest(self, images: Given, layers: Layer | Sequence[Layer]) -> dict[str, Peaks]:
        """Find every feature map's strongest activation in each image of one batch.

        Args:
            images: as `reconstruct` takes them; all of them are in memory at once (`batches`).
            layers: the layers' paths; one forward pass serves all.

        Returns:
            For each layer its maxima, and where they stand for those that are asked for.

        Raises:
            DataError: where an activation is not finite; it names the first layer that made one.
            DeconvvizError: for a layer whose output is neither `[n, h, w, C]` nor `[n, C]`.
        """
        chosen = self.paths(layers)
        for layer in chosen:
            if len(target := self._target(layer)) not in (1, 3):
                raise DeconvvizError(
                    f"Layer {layer!r} gives {list(target)} for each image, which are no feature "
                    "maps [h, w, C] and no units [C]. Choose another layer."
                )
        return self._guarded.peaks(self.inputs(images), chosen)

    def batches(self, images: Given, layers: Layer | Sequence[Layer]) -> Iterator[slice]:
        """Cut images into batches whose activations below some layers fit into memory together.

        Raises:
            DataError: for images of a wrong shape.
            DeconvvizError: for a layer that the model lacks.
        """
        given = self._checked(images)
        return self._compiled.batches(given, self.paths(layers), len(given[0]))

    def trace(self, images: Given, layer: Layer) -> Trace:
        """Run one batch forward to a layer, and keep the activations and the switches.

        Args:
            images: as `reconstruct` takes them; all of them are in memory at once.
            layer: the layer's path.

        Returns:
            The trace, for `project`. `dataclasses.replace(trace, switches=...)` projects through
            another image's switches.

        Raises:
            DataError: where an activation is not finite; it names the first layer that made one.
        """
        path = self.path(layer)
        return self._guarded.trace(self.inputs(images), path)

    def project(self, traced: Trace, signal: npt.ArrayLike | tf.Tensor) -> Any:
        """Run a signal at a traced layer's output back to pixels.

        Args:
            traced: from `trace`.
            signal: of the activation's shape: any start signal.

        Returns:
            Signed float32 of the images' shape (a tuple for several inputs).
        """
        require("traced", traced, Trace, "what trace(images, layer) gave")
        checked_signal(signal, traced.activation.shape, traced.layer)
        require_switches(self._graph, traced)
        arrays = self._guarded.project(traced, signal)
        return arrays if len(arrays) > 1 else arrays[0]

    def _warn_of_sameness(self, layer: str) -> None:
        if not self.depends_on_image(layer):
            warnings.warn(
                f"Between layer {layer!r} and the input nothing remembers the image (no max pool), "
                "so by these rules the picture of one unit does not depend on the image, but for "
                "its strength under start='activation'. Compare with rules='gradient'.",
                stacklevel=3,
            )

    def _warn_of_nothing(self, inputs: Inputs, layer: str, maps: Inputs, fed: _Fed) -> None:
        """Say why maps show nothing, where some do; a few of them tell for all."""
        strength = np.max([largest(part) for part in maps], axis=0)
        empty = np.flatnonzero(strength <= (SUSPECT if self._way(layer).saturates else 0))
        if not len(empty):
            return
        features, places, start = fed
        some = empty[:_LOOKED_INTO]
        images = tuple(x[some] if len(x) == len(strength) else x[[0] * len(some)] for x in inputs)
        strengths = self._guarded.strengths(
            images,
            layer,
            None if features is None else tf.constant(features[some]),
            places if places is None or isinstance(places, str) else tf.constant(places[some]),
            start,
        )
        target = self._graph.targets[layer]
        found = [
            find_vanished(self._graph, target, self.rules, strengths, number)
            for number in range(len(some))
        ]
        reasons = Counter(one.words(self._graph, layer) for one in found if one)
        for reason, count in reasons.items():
            more = " or more" if len(empty) > len(some) else ""
            warnings.warn(
                f"{count}{more} of {len(strength)} reconstructions show nothing: {reason}",
                EmptyReconstructionWarning,
                stacklevel=3,
            )

    def _nothing(self, layer: str) -> Images:
        return np.zeros((0, *(size or 0 for size in self._target(layer))), np.float32)

    def _target(self, layer: Layer) -> tuple[int | None, ...]:
        return self._graph.shapes[self._graph.targets[self.path(layer)]]

    def inputs(self, images: Given) -> Inputs:
        """Take images as every method here does: float32 `[n, ...]`, one an input of the model.

        Raises:
            DataError: for images of a wrong shape or type, for pixels that the network does not
                scale itself, and for a dict without the inputs' names.
        """
        return tuple(np.asarray(x, np.float32) for x in self._checked(images))

    def _checked(self, images: Any) -> tuple[npt.NDArray[Any], ...]:
        graph, several = self._graph, len(self._graph.inputs) > 1
        if isinstance(images, Mapping):
            given: tuple[Any, ...] = matched(images, graph.names)
        else:
            in_order = isinstance(images, tuple) or (several and isinstance(images, list))
            given = tuple(images) if in_order else (images,)
        arrays = tuple(map(as_numbers, given))
        require_shapes(arrays, [graph.shapes[slot] for slot in graph.inputs], graph.names)
        require_scaled(graph, self.model.inputs, arrays)
        return arrays

"""The single checks: every picture beside what becomes of it when one thing is changed.

Each gives the likenesses that it found as rows, for the chosen rules and for the gradient.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.graph import flatten
from deconvviz.deconv.receptive_field import Box
from deconvviz.deconv.rules import GRADIENT, pass_on
from deconvviz.errors import DataError, UnsupportedLayerError
from deconvviz.experiments.class_scores import require_classifier
from deconvviz.experiments.findings import (
    ANOTHER_CLASS,
    EDGES,
    OTHER_IMAGES_CLASS,
    OTHER_IMAGES_PICTURE,
    OTHER_NETWORKS_PICTURE,
    Maps,
    Row,
    Settings,
)
from deconvviz.experiments.kept_parts import Part
from deconvviz.experiments.redrawing import Redrawn
from deconvviz.experiments.similarity import edges, similarity
from deconvviz.experiments.watched import Images, Watched, centred, maps_of

_SHOWN = 4
_OTHERS = 4  # images that each picture is held against for the floor


class Checks:
    """The trained pictures, and everything that is compared with them."""

    def __init__(self, net: Deconvnet, watched: Watched, rules: str, settings: Settings) -> None:
        self.nets = {rules: net}
        if net.rules != GRADIENT:
            self.nets["gradient"] = Deconvnet(net.model, rules="gradient")
        self.watched, self._settings = watched, settings
        self.generator = np.random.default_rng(settings.seed)
        self._activation = net.activation(watched.images, watched.layer)
        self._signal = watched.signal(self._activation)
        self._partners = np.roll(watched.images, 1, axis=0)
        self.trained = self._maps(self.nets)
        self._edges = np.stack([edges(image) for image in watched.images])
        self.pictures: dict[str, Maps] = {rule: {} for rule in self.nets}
        self._show("trained", self.trained)

    def references(self) -> list[Row]:
        """The marks on the scale: the same picture, noise, an unrelated picture, the image."""
        shape, watched = self.watched.images.shape, self.watched
        noise, more = (self.generator.normal(size=shape).astype(np.float32) for _ in range(2))
        every = dict.fromkeys(self.nets)
        rows = [
            *self._compare("calibration", "the same picture", self.trained, self.trained),
            *self._compare("calibration", "two of noise", _each(every, noise), _each(every, more)),
            *self._compare("floor", "noise", self.trained, _each(every, noise)),
            *self._unrelated(OTHER_IMAGES_PICTURE, self.trained, self.trained),
            *self._compare("baseline", "the image", self.trained, _each(every, watched.images)),
        ]
        strengths = {
            rule: np.abs(maps).sum(axis=-1, keepdims=True) for rule, maps in self.trained.items()
        }
        return rows + self._compare("baseline", EDGES, strengths, _each(every, self._edges))

    def strong(self) -> Maps:
        """What is asked whether units look there: the pictures, and the image's edges."""
        return {**self.trained, EDGES: self._edges}

    def selectivity(self) -> list[Row]:
        """Another unit at the same place."""
        others = self._maps(self.nets, self.watched.signal(self._activation, of_other=True))
        self._show("another unit", others)
        return self._compare("selectivity", "another unit", self.trained, others)

    def switches(self) -> list[Row]:
        """Other switches in the max pools: another image's, and the centre of each window."""
        net, layer = next(iter(self.nets.values())), self.watched.layer
        graph = flatten(net.model)
        if not net.trace(self.watched.images[:1], layer).switches:
            return []
        rows = []
        for name, lent in (
            ("another image's", lambda _, batch: net.trace(self._partners[batch], layer).switches),
            ("each window's centre", lambda traced, _: centred(graph, traced)),
        ):
            maps = {
                rule: maps_of(one, self.watched.images, layer, self._signal, lent)
                for rule, one in self.nets.items()
            }
            self._show(f"switches: {name}", maps)
            rows += self._compare("switches", name, self.trained, maps)
        return rows

    def classes(self) -> list[Row]:
        """The most probable class against the next, from the scores before the softmax."""
        images = self.watched.images
        nets = {rule: _before_softmax(net) for rule, net in self.nets.items()}
        output, scores = _class_scores(next(iter(nets.values())), images)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :2]
        one, other = (np.eye(scores.shape[1], dtype=np.float32)[best[:, at]] for at in (0, 1))
        own, next_best = (
            {rule: maps_of(net, images, output, signal) for rule, net in nets.items()}
            for signal in (one, other)
        )
        whole = (Box(0, 0, *images.shape[1:3]),) * len(images)
        other_images = {rule: np.roll(maps, 1, axis=0) for rule, maps in own.items()}
        return [
            *self._compare("floor", OTHER_IMAGES_CLASS, own, other_images, boxes=whole),
            *self._compare("selectivity", ANOTHER_CLASS, own, next_best, boxes=whole),
        ]

    def redrawn(self) -> Iterator[tuple[str, Callable[[], Part]]]:
        """Weights drawn anew, from the target down, and one layer at a time; each a part to make.

        A part draws from a generator of its own, so that it does not matter which were made before.
        """
        copy = Redrawn(next(iter(self.nets.values())).model, self.watched.layer)
        nets = {rule: Deconvnet(copy.model, rules=net.rules) for rule, net in self.nets.items()}
        for count in range(1, len(copy.layers) + 1):
            chain = copy.layers[:count]
            name = chain[0] if count == 1 else f"{chain[0]} to {chain[-1]}"
            yield f"redrawing {name}", partial(self._cascade, copy, nets, chain, name)
        for number, layer in enumerate(copy.layers):
            yield f"redrawing {layer} alone", partial(self._alone, copy, nets, number)

    def _cascade(
        self, copy: Redrawn, nets: dict[str, Deconvnet], chain: tuple[str, ...], name: str
    ) -> Part:
        drawn = self._drawn(copy, nets, chain, (0, len(chain)))
        rows = self._against_trained("cascade", name, drawn)
        if len(chain) == len(copy.layers) and len(drawn) > 1:
            rows += self._unrelated(OTHER_NETWORKS_PICTURE, drawn[0], drawn[1])
            rows += self._compare("floor", "all weights new twice", drawn[0], drawn[1])
        shown = {rule: {f"redrawn: {name}": maps[:_SHOWN]} for rule, maps in drawn[0].items()}
        return Part(tuple(rows), shown)

    def _alone(self, copy: Redrawn, nets: dict[str, Deconvnet], number: int) -> Part:
        layer = copy.layers[number]
        # The highest layer alone is where the cascade begins: the same draws, the same numbers.
        drawn = self._drawn(copy, nets, (layer,), (1, number) if number else (0, 1))
        return Part(tuple(self._against_trained("independent", layer, drawn)), {})

    def _drawn(
        self,
        copy: Redrawn,
        nets: dict[str, Deconvnet],
        layers: tuple[str, ...],
        which: tuple[int, int],
    ) -> list[Maps]:
        generator = np.random.default_rng((self._settings.seed, *which))
        maps = []
        for _ in range(self._settings.draws):
            copy.redraw(layers, generator)
            maps.append(self._maps(nets))
        return maps

    def _against_trained(self, group: str, name: str, drawn: list[Maps]) -> list[Row]:
        parts = [self._compare(group, name, self.trained, maps) for maps in drawn]
        return [
            Row(group, name, rows[0].rule, np.concatenate([row.values for row in rows]))
            for rows in zip(*parts, strict=True)
        ]

    def _maps(self, nets: dict[str, Deconvnet], signal: Images | None = None) -> Maps:
        signal = self._signal if signal is None else signal
        return {
            rule: maps_of(net, self.watched.images, self.watched.layer, signal)
            for rule, net in nets.items()
        }

    def _compare(
        self, group: str, name: str, one: Maps, other: Maps, boxes: tuple[Box, ...] | None = None
    ) -> list[Row]:
        boxes = boxes or self.watched.boxes
        return [
            Row(
                group,
                name,
                rule,
                np.array(
                    [
                        similarity(_cut(a, box), _cut(b, box))
                        for a, b, box in zip(one[rule], other[rule], boxes, strict=True)
                    ]
                ),
            )
            for rule in one
        ]

    def _unrelated(self, name: str, one: Maps, other: Maps) -> list[Row]:
        """Each picture against other images' own, laid over them unit upon unit."""
        watched, count = self.watched, len(self.watched.images)
        pairs = [
            (a, (a + by) % count) for by in range(1, min(count, 1 + _OTHERS)) for a in range(count)
        ]
        rows = []
        for rule in one:
            values = []
            for a, b in pairs:
                here, there = _overlap(watched, a, b)
                values.append(similarity(_cut(one[rule][a], here), _cut(other[rule][b], there)))
            rows.append(Row("floor", name, rule, np.array(values)))
        return rows

    def show(self, pictures: dict[str, Maps]) -> None:
        """Take in what a part has to show."""
        for rule, maps in pictures.items():
            self.pictures[rule] |= maps

    def _show(self, name: str, maps: Maps) -> None:
        for rule, each in maps.items():
            self.pictures[rule][name] = each[:_SHOWN]


def _each(rules: dict[str, None], maps: npt.NDArray[Any]) -> Maps:
    return dict.fromkeys(rules, maps)


def _cut(image: npt.NDArray[np.floating], box: Box) -> npt.NDArray[np.floating]:
    return image[box.top : box.bottom, box.left : box.right]


def _overlap(watched: Watched, one: int, other: int) -> tuple[Box, Box]:
    """What two units both see of their images, counted from the corners of what they see."""
    fields, boxes = ([each[one], each[other]] for each in (watched.fields, watched.boxes))
    pairs = list(zip(fields, boxes, strict=True))
    top = max(box.top - field.top for field, box in pairs)
    left = max(box.left - field.left for field, box in pairs)
    bottom = min(box.bottom - field.top for field, box in pairs)
    right = min(box.right - field.left for field, box in pairs)
    first, second = (
        Box(field.top + top, field.left + left, field.top + bottom, field.left + right)
        for field in fields
    )
    return first, second


def _before_softmax(net: Deconvnet) -> Deconvnet:
    """The same rules, but a softmax lets signals through: they start at the scores below it."""
    passed = dict.fromkeys((keras.layers.Softmax, keras.activations.softmax), pass_on)
    return Deconvnet(net.model, rules={**net.rules, **passed})


def _class_scores(net: Deconvnet, images: Images) -> tuple[str, Images]:
    """The path of a classifier's output, and what it gives."""
    output = require_classifier(net)
    try:
        net.require(output)
    except UnsupportedLayerError as error:
        raise DataError(f"These rules do not lead back from the classes. {error}") from error
    return output, net.activation(images, output)

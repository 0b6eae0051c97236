"""Reconstructions in anyone's `model.fit`: the same images, drawn again as the network learns.

The callback watches and takes no part: it reads the weights between epochs and draws no random
number, so a fit ends with the same weights whether or not it is there. What can be refused is
refused before the first step; after that, a drawing that fails is told of once and the training
goes on.
"""

import contextlib
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from deconvviz.deconv.arguments import require_shapes
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.rules import Rules
from deconvviz.errors import DeconvvizError
from deconvviz.render.compose import Rows, classic_rows, deconvnet_rows
from deconvviz.render.tensorboard import EventLog
from deconvviz.training.shown import Shown, take_images

_SPREAD = (
    "The original is the network's input, each image spread from its least value (black) to its "
    "largest (white)."
)


class ReconstructionCallback(keras.callbacks.Callback):
    """Draw original | layer | layer … of the same images, for TensorBoard, while a model learns.

    A row an image stands under `source/images`, and the largest |value| of each layer's maps in
    the curve `scale/<layer>`. The step is the number of epochs done: one drawing comes before the
    first training step (at 0, or at fit's `initial_epoch`), one after every `every` epochs, one
    after the last that was planned. In a second fit of the same model the steps go on rising, with
    `initial_epoch` or, in the same callback, without.

    A training that diverges, or a disk that fills, is not stopped by its pictures: the first
    drawing that fails gives a warning and a text in TensorBoard, `source/missing`, and those that
    succeed later are written. Each record reaches the file at once and outlives an interrupted fit.

    Args:
        images: what the network takes, `[n, H, W, C]`, C 1 or 3, n at most 64; a tuple of arrays
            for a network of several inputs, of which the first image is shown. Or a
            `tf.data.Dataset` of such batches, alone or as (images, labels), whose first 8 are taken
            here and now. One that shuffles comes out in another order after that, so give another
            than the training's where that must be repeatable.
        layers: names, or paths through nested models; None takes every max pool.
        rules: as `Deconvnet` takes them.
        log_dir: where the event file goes, a directory for each training: of an earlier one that
            wrote there, the points from this one's first step on are struck out.
        every: epochs from one drawing to the next.

    Raises:
        DeconvvizError: for arguments that make no sense; those that do not fit the model (a layer
            that it lacks or that the rules do not reverse, images that it does not take) are
            refused when fit begins.

    Example:
        >>> pictures = deconvviz.ReconstructionCallback(x_test[:8], log_dir="logs/mine")
        >>> model.fit(x_train, y_train, epochs=10, callbacks=[pictures])
    """

    def __init__(
        self,
        images: Any,
        layers: Sequence[str] | None = None,
        rules: str | Rules = "deconvnet",
        log_dir: str | Path = "logs/reconstructions",
        every: int = 1,
    ) -> None:
        super().__init__()
        self._shown = take_images(images)
        self._layers = _checked_layers(layers)
        self._every = _checked_every(every)
        self._rules, self._folder = rules, Path(log_dir)
        self._drawing: _Drawing | None = None
        self._done = 0  # epochs that the model was seen to finish
        self._ahead = 0  # by how many that number is ahead of fit's own count

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Refuse what cannot be drawn from this model."""
        if self._drawing is not None:
            self._drawing.close()  # what a fit that was interrupted left open
            if self._drawing.net.model is not self.model:
                self._done = 0
        net = Deconvnet(self.model, rules=self._rules)
        require_shapes(self._shown.inputs, [tuple(x.shape[1:]) for x in self.model.inputs])
        layers = self._layers or _max_pools(net)
        for layer in layers:
            net.require(layer)
        rules = self._rules if isinstance(self._rules, str) else "the caller's own table"
        self._drawing = _Drawing(net, rules, self._shown, layers, self._folder)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw what the network sees before fit's first step."""
        assert self._drawing is not None
        self._ahead = max(0, self._done - epoch)
        # Not when fit begins: another callback may then restore weights, and with them the epoch.
        if not self._drawing.begun:
            self._drawing.draw(epoch + self._ahead)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw what the network sees now, if that is due."""
        assert self._drawing is not None
        self._done = epoch + 1 + self._ahead
        if epoch + 1 == self.params.get("epochs") or self._done % self._every == 0:
            self._drawing.attempt(self._done)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the event file."""
        if self._drawing is not None:
            self._drawing.close()


class _Drawing:
    """One fit's drawings: the network, what is shown of it, and the event file."""

    def __init__(
        self, net: Deconvnet, rules: str, shown: Shown, layers: Sequence[str], folder: Path
    ) -> None:
        self.net = net
        self.begun = False
        self._rules, self._shown, self._layers, self._folder = rules, shown, layers, folder
        self._log: EventLog | None = None
        self._told = False

    def draw(self, step: int) -> None:
        """Write the rows of this moment."""
        rows = self._rows()
        if self._log is None:
            self._log = EventLog(self._folder, step)
            # Keras tells no callback that fit was interrupted: then, when the callback goes.
            self._closing = weakref.finalize(self, self._log.close)
        self._log.images("source/images", rows.pixels, step, rows.description)
        for layer, scales in zip(self._layers, rows.scales.T, strict=True):
            self._log.scalar(f"scale/{layer}", float(scales.max()), step)
        self.begun = True

    def attempt(self, step: int) -> None:
        """Draw; where that fails, say so once and leave the training alone."""
        try:
            self.draw(step)
        except (DeconvvizError, tf.errors.ResourceExhaustedError) as error:
            with contextlib.suppress(DeconvvizError):
                self.close()  # behind half a record, no reader would find a whole one
            if not self._told:
                self._told = True
                self._tell(f"No picture after {step} epochs; the training goes on. {error}", step)

    def close(self) -> None:
        """Close the event file; whatever is written later goes to another."""
        if self._log is not None:
            self._log = None
            self._closing()

    def _tell(self, words: str, step: int) -> None:
        with contextlib.suppress(DeconvvizError), EventLog(self._folder, step) as log:
            log.text("source/missing", words, step)
        warnings.warn(words, stacklevel=2)

    def _rows(self) -> Rows:
        shown, layers = self._shown, self._layers
        several = len(shown.inputs) > 1
        inputs = shown.inputs if several else shown.image
        maps = [self.net.reconstruct(inputs, layer) for layer in layers]
        if several:
            maps = [of_each[shown.index] for of_each in maps]
        if self._rules == "classic":
            return _with_words(classic_rows(shown.image, maps, layers), shown)
        rows = deconvnet_rows(shown.original, maps, layers, rules=self._rules)
        return _with_words(rows, shown, *([_SPREAD] if shown.spread else []))


def _with_words(rows: Rows, shown: Shown, *words: str) -> Rows:
    which = f"Shown is input {shown.index + 1} of the network's {len(shown.inputs)}."
    words = (which, *words) if len(shown.inputs) > 1 else words
    return replace(rows, description=" ".join([rows.description, *words]))


def _max_pools(net: Deconvnet) -> tuple[str, ...]:
    pools = tuple(layer.path for layer in net.layers if layer.rule == "unpooling")
    if not pools:
        raise DeconvvizError(
            "The network has no max pool to start from by itself. Choose with layers, from "
            f"{', '.join(layer.path for layer in net.layers)}."
        )
    return pools


def _checked_layers(layers: Sequence[str] | None) -> tuple[str, ...]:
    if layers is None:
        return ()
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    if not names or not all(isinstance(name, str) for name in names):
        raise DeconvvizError(
            f"layers takes names of layers, or None for every max pool; received {layers!r}."
        )
    return names


def _checked_every(every: int) -> int:
    if not isinstance(every, int) or every < 1:
        raise DeconvvizError(f"every counts epochs, 1 or more; received {every!r}.")
    return every

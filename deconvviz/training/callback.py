"""Reconstructions in anyone's `model.fit`: the same images, drawn again as the network learns.

The callback watches and takes no part: it reads the weights between epochs and draws no random
number, so a fit ends with the same weights whether or not it is there. What can be refused is
refused before the first step; after that, a drawing that fails is told of once and the training
goes on.
"""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import keras

from deconvviz.deconv.arguments import Layer
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.rules import Rules
from deconvviz.drawings.rows import max_pools
from deconvviz.errors import DeconvvizError
from deconvviz.received import require, shown
from deconvviz.training.drawing import Drawing
from deconvviz.training.shown import take_images


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
        images: what the network takes, `[n, H, W, C]`, C 1 or 3, n at most 64; a tuple or a dict of
            arrays for a network of several inputs, of which the first image is shown. Or a
            `tf.data.Dataset` of such batches, alone, as (images, labels) or under "image", whose
            first 8 are taken here and now. One that shuffles comes out in another order after
            that, so give another than the training's where that must be repeatable.
        layers: names, paths through nested models, or Keras layers; None takes every max pool.
        rules: as `Deconvnet` takes them.
        log_dir: where the event file goes, a directory for each training: of an earlier one that
            wrote there, the points from this one's first step on are struck out.
        every: epochs from one drawing to the next.
        nonlinear: as `Deconvnet` takes it, for layers that the rules do not define.

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
        layers: Layer | Sequence[Layer] | None = None,
        rules: str | Rules = "deconvnet",
        log_dir: str | Path = "logs/reconstructions",
        every: int = 1,
        nonlinear: str = "refuse",
    ) -> None:
        super().__init__()
        self._shown = take_images(images)
        self._layers = _checked_layers(layers)
        self._every = _checked_every(every)
        require("log_dir", log_dir, (str, PathLike), "the path of a directory")
        require("rules", rules, (str, Mapping), "the name of rules, or a table of them")
        require("nonlinear", nonlinear, str, "'refuse' or 'gradient'")
        self._rules, self._nonlinear, self._folder = rules, nonlinear, Path(log_dir)
        self._drawing: Drawing | None = None
        self._done = 0  # epochs that the model was seen to finish
        self._ahead = 0  # by how many that number is ahead of fit's own count

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Refuse what cannot be drawn from this model."""
        if self._drawing is not None:
            self._drawing.close()  # what a fit that was interrupted left open
            if self._drawing.net.model is not self.model:
                self._done = 0
        net = Deconvnet(self.model, self._rules, self._nonlinear)
        net.inputs(self._shown.given)
        layers = net.paths(self._layers) if self._layers else max_pools(net)
        for layer in layers:
            net.require(layer)
        rules = self._rules if isinstance(self._rules, str) else "the caller's own table"
        self._drawing = Drawing(net, rules, self._shown, layers, self._folder)

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


def _checked_layers(layers: Any) -> tuple[Any, ...]:
    if layers is None:
        return ()
    one = isinstance(layers, str | keras.Operation) or not isinstance(layers, Iterable)
    names = (layers,) if one else tuple(layers)
    if not names or not all(isinstance(name, str | keras.Operation) for name in names):
        raise DeconvvizError(
            f"layers takes names of layers, or Keras layers, or None for every max pool; received "
            f"{shown(layers)}."
        )
    return names


def _checked_every(every: Any) -> int:
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise DeconvvizError(f"every counts epochs, 1 or more; received {shown(every)}.")
    return every

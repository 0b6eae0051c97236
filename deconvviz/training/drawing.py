"""What one fit of anyone's model draws: rows of the same images, and the event file they go to.

The first drawing may fail, so that nobody waits a night for pictures that cannot be. The later ones
may not: a training is worth more than its pictures.
"""

import contextlib
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.drawings.emptiness import why_empty
from deconvviz.drawings.rows import rule_words
from deconvviz.errors import DeconvvizError
from deconvviz.render.compose import Rows, classic_rows, deconvnet_rows
from deconvviz.render.tensorboard import EventLog
from deconvviz.training.shown import Shown

_SPREAD = (
    "Of the network's input, each image is spread from its least value (black) to its largest "
    "(white)."
)


class Drawing:
    """Draws the same images whenever asked, each time by the weights of that moment.

    Args:
        net: the network in training.
        rules: what its rules are called.
        shown: the images.
        layers: the layers' paths.
        folder: where the event file goes; it is made at the first drawing.

    Attributes:
        net: the network.
        begun: whether anything was drawn yet.
    """

    def __init__(
        self, net: Deconvnet, rules: str, shown: Shown, layers: Sequence[str], folder: Path
    ) -> None:
        self.net = net
        self.begun = False
        self._rules, self._shown, self._layers, self._folder = rules, shown, layers, folder
        self._log: EventLog | None = None
        self._told = False

    def draw(self, step: int) -> None:
        """Write the rows of this moment.

        Raises:
            DeconvvizError: for activations that are not finite, and for a file that cannot be
                written.
        """
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
        with why_empty(others=True) as reasons:
            of_layer = self.net.reconstruct(shown.given, layers)
        maps = [shown.of_image(of_layer[layer]) for layer in layers]
        rules, notes = rule_words(self.net, layers, self._rules), self._notes(reasons)
        if self._rules == "classic":
            return classic_rows(shown.image, maps, layers, rules=rules, notes=notes)
        first = "input" if shown.spread else "original"
        return deconvnet_rows(shown.original, maps, layers, first=first, rules=rules, notes=notes)

    def _notes(self, reasons: Sequence[str]) -> str:
        shown = self._shown
        notes = [_SPREAD] if shown.spread and self._rules != "classic" else []
        if (count := len(shown.inputs)) > 1:
            notes.append(f"Shown is input {shown.index + 1} of the network's {count}.")
        return " ".join((*notes, *reasons))

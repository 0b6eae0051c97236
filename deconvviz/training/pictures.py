"""What TensorBoard shows of a network while it learns: the same images at every picture step."""

import keras

from deconvviz.config import PicturesConfig
from deconvviz.data import Dataset, Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.drawings.rows import reconstruct_rows
from deconvviz.render.compose import filter_grid
from deconvviz.render.tensorboard import EventLog


class Pictures:
    """Draws the stitched rows of fixed images, and the first layer's filters.

    Args:
        model: the network in training; each drawing shows its weights of that moment.
        dataset: its first test images are the ones shown, at every step.
        preprocess: what makes them the network's input.
        config: which layers, by which rules, on which scale.
    """

    def __init__(
        self, model: keras.Model, dataset: Dataset, preprocess: Preprocess, config: PicturesConfig
    ) -> None:
        self._net = Deconvnet(model, rules=config.rules)
        for layer in config.layers:
            self._net.require(layer)
        self._tag = f"source/{dataset.name}"
        self._images = dataset.test.images[: config.images]
        self._preprocess = preprocess
        self._config = config
        self._first = next(
            layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)
        )

    def draw(self, log: EventLog, step: int) -> None:
        """Write the rows and the filters of this moment."""
        config = self._config
        rows = reconstruct_rows(
            self._net, self._images, self._preprocess, config.layers, config.rules, config.scale
        )
        log.images(self._tag, rows.pixels, step, rows.description)
        for layer, scales in zip(config.layers, rows.scales.T, strict=True):
            log.scalar(f"scale/{layer}", float(scales.max()), step)
        filters = filter_grid(self._first.kernel.numpy())
        log.images(f"filters/{self._first.name}", filters.pixels[None], step, filters.description)
        log.scalar(f"scale/filters_{self._first.name}", filters.scale, step)

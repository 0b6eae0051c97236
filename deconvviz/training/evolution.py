"""What TensorBoard shows of chosen feature maps at the steps whose network a run keeps.

A slider over the steps shows when a map settles, which lower layers do early and upper ones late
(Zeiler & Fergus 2013, Section 4.1, Figure 4). `deconvviz evolution` draws all steps side by side.
"""

import keras

from deconvviz.config import EvolutionConfig
from deconvviz.data import Dataset, Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.drawings.evolution import log_moment
from deconvviz.experiments.evolution import require_features, strongest_moment
from deconvviz.render.tensorboard import EventLog


class EvolutionPictures:
    """Draws the strongest activation of chosen feature maps among the training images.

    Args:
        model: the network in training; each drawing shows its weights of that moment.
        dataset: its training images are searched.
        preprocess: what makes them the network's input.
        config: which layers and feature maps, among how many images.

    Raises:
        DeconvvizError: for a layer or a feature map that the network lacks.
    """

    def __init__(
        self, model: keras.Model, dataset: Dataset, preprocess: Preprocess, config: EvolutionConfig
    ) -> None:
        self._net = Deconvnet(model)
        for layer in config.layers:
            require_features(self._net, layer, config.features)
        self._dataset, self._preprocess, self._config = dataset, preprocess, config

    def draw(self, log: EventLog, step: int) -> None:
        """Write the strongest units of this moment; nothing where no layer was chosen."""
        config, images = self._config, self._dataset.train.images
        if not config.layers:
            return
        moments = strongest_moment(
            self._net, images, self._preprocess, config.layers, config.features, step, config.images
        )
        for moment in moments.values():
            log_moment(log, moment, images, self._preprocess, self._dataset.name)

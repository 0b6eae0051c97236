"""The networks that a configuration can name."""

import keras

from deconvviz.config import ModelConfig
from deconvviz.models.classic import classic_network
from deconvviz.models.deep import deep_network
from deconvviz.models.zf import zf_network

_NETWORKS = {"classic": classic_network, "deep": deep_network, "zf": zf_network}


def build_network(
    config: ModelConfig, input_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """Build the network of `config.name`, its weights drawn from Keras's global seed.

    Args:
        config: which network, and how its weights begin.
        input_shape: height, width and channels of the images.
        classes: the number of classes.

    Returns:
        A functional model whose last layer is a softmax over the classes.
    """
    return _NETWORKS[config.name](config, input_shape, classes)

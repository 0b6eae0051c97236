"""How a network's convolutions and dense layers begin, the same in every network that we build."""

from typing import Any

import keras

from deconvviz.config import ModelConfig
from deconvviz.models.renormalise import kernel_constraint


def convolution(
    config: ModelConfig, filters: int, side: int, name: str, **settings: Any
) -> keras.layers.Conv2D:
    """A convolution of `side` x `side` filters that pads to keep the images' size.

    Args:
        config: how its weights begin, and whether its filters are held within a radius.
        filters: how many feature maps it gives.
        side: the filters' height and width.
        name: the layer's name.
        **settings: more of Keras's own, such as `strides`.
    """
    return keras.layers.Conv2D(
        filters,
        side,
        padding="same",
        kernel_constraint=kernel_constraint(config),
        name=name,
        **weights(config),
        **settings,
    )


def weights(config: ModelConfig) -> dict[str, Any]:
    """The initializers of one layer: a truncated normal for its kernel, a constant for its bias."""
    return {
        "kernel_initializer": keras.initializers.TruncatedNormal(stddev=config.init_std),
        "bias_initializer": keras.initializers.Constant(config.init_bias),
    }

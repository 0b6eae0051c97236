"""How a network's layers are made and begin, the same in every network that we build."""

from typing import Any

import keras

from deconvviz.config import ModelConfig
from deconvviz.models.renormalise import kernel_constraint

# Keras takes both from the process's settings where nobody says them.
FLOAT: dict[str, Any] = {"dtype": "float32"}
PLAIN: dict[str, Any] = {**FLOAT, "data_format": "channels_last"}


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
        data_format="channels_last",
        **weights(config),
        **settings,
    )


def weights(config: ModelConfig) -> dict[str, Any]:
    """One layer's precision and its start: a truncated normal kernel, a constant bias."""
    return {
        **FLOAT,
        "kernel_initializer": keras.initializers.TruncatedNormal(stddev=config.init_std),
        "bias_initializer": keras.initializers.Constant(config.init_bias),
    }

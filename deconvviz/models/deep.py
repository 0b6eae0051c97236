"""A network worth looking into: five convolutions with batch normalisation, three max pools.

5×5×32 → pool → 3×3×64 → 3×3×64 → pool → 3×3×128 → 3×3×128 → the maximum of each map → softmax.
Every convolution is normalised and rectified before it is pooled. A class is decided by how
strongly each of the last 128 features appears anywhere in the image, so that each of them has a
place to show.
"""

import keras
from keras import KerasTensor

from deconvviz.config import ModelConfig
from deconvviz.models.pooling import MaxPoolingWithSwitches
from deconvviz.models.start import FLOAT, PLAIN, convolution, weights

_FILTERS = (32, 64, 64, 128, 128)
_POOLED_AFTER = {1: "pool1", 3: "pool2"}


def deep_network(
    config: ModelConfig, input_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """Build the network, its weights drawn from Keras's global seed.

    Args:
        config: the weights' start, the filters' radius, and the dropout rate before the last layer.
        input_shape: height, width and channels; of 28 x 28 pixels the last maps keep 7 x 7.
        classes: the number of classes.

    Returns:
        A functional model with layers conv1, norm1, relu1, pool1, … relu5, pool3, logits, softmax.
    """
    images = x = keras.Input(input_shape, name="images", **FLOAT)
    for number, filters in enumerate(_FILTERS, 1):
        x = _block(config, x, filters, number)
        if number in _POOLED_AFTER:
            x = MaxPoolingWithSwitches(2, padding="same", name=_POOLED_AFTER[number], **PLAIN)(x)
    x = keras.layers.GlobalMaxPooling2D(name="pool3", **PLAIN)(x)
    if config.dropout:
        x = keras.layers.Dropout(config.dropout, name="dropout", **FLOAT)(x)
    x = keras.layers.Dense(classes, name="logits", **weights(config))(x)
    return keras.Model(images, keras.layers.Softmax(name="softmax", **FLOAT)(x), name="deep")


def _block(config: ModelConfig, x: KerasTensor, filters: int, number: int) -> KerasTensor:
    side = 5 if number == 1 else 3
    # A bias before a normalisation would be taken off again.
    x = convolution(config, filters, side, f"conv{number}", use_bias=False)(x)
    # Keras's 0.99 looks back over more steps than a run of a few epochs leaves it.
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm{number}", **FLOAT)(x)
    return keras.layers.ReLU(name=f"relu{number}", **FLOAT)(x)

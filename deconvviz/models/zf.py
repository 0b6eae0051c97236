"""Zeiler & Fergus's network at CIFAR's size: their choices, an eighth of their pixels.

7×7×96 stride 2 → 3×3/2 pool → 5×5×128 → 3×3/2 pool → 3×3×192 → 3×3×192 → 3×3×128 → 3×3/2 pool →
dense 512 → dense 512 → softmax. Theirs looks at 224 of 256 pixels, this one at 28 of 32. Their
second convolution has a stride of 2, for which there are no pixels left here, and their contrast
normalisation is left out.

Source: Zeiler & Fergus 2013, Figure 3 and Sections 3 and 4.1.
"""

import keras
from keras import KerasTensor

from deconvviz.config import ModelConfig
from deconvviz.models.pooling import MaxPoolingWithSwitches
from deconvviz.models.start import FLOAT, PLAIN, convolution, weights

_DENSE = 512


def zf_network(config: ModelConfig, input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Build the network, its weights drawn from Keras's global seed.

    Args:
        config: the weights' start, the filters' radius, and the dropout rate of both dense layers.
        input_shape: height, width and channels; 28 x 28 pixels become 14, 7, 4 and 2.
        classes: the number of classes.

    Returns:
        A functional model with layers conv1, pool1, conv2, pool2, conv3, conv4, conv5, pool5,
        dense6, dense7, logits and softmax; layers 1 to 7 are numbered as in the paper.
    """
    images = keras.Input(input_shape, name="images", **FLOAT)
    x = convolution(config, 96, 7, "conv1", strides=2, activation="relu")(images)
    x = _pool("pool1")(x)
    x = convolution(config, 128, 5, "conv2", activation="relu")(x)
    x = _pool("pool2")(x)
    x = convolution(config, 192, 3, "conv3", activation="relu")(x)
    x = convolution(config, 192, 3, "conv4", activation="relu")(x)
    x = convolution(config, 128, 3, "conv5", activation="relu")(x)
    x = keras.layers.Flatten(name="flatten", **PLAIN)(_pool("pool5")(x))
    for number in (6, 7):
        x = _dense(config, x, number)
    x = keras.layers.Dense(classes, name="logits", **weights(config))(x)
    return keras.Model(images, keras.layers.Softmax(name="softmax", **FLOAT)(x), name="zf")


def _pool(name: str) -> MaxPoolingWithSwitches:
    return MaxPoolingWithSwitches(3, strides=2, padding="same", name=name, **PLAIN)


def _dense(config: ModelConfig, x: KerasTensor, number: int) -> KerasTensor:
    x = keras.layers.Dense(_DENSE, "relu", name=f"dense{number}", **weights(config))(x)
    return keras.layers.Dropout(config.dropout, name=f"dropout{number}", **FLOAT)(x)

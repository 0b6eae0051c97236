"""The classic program's network: two convolutions with max pools, a third that counts votes.

24×24×3 → 5×5×64 + ReLU → pool → 5×5×64 + ReLU → pool → 5×5×10 + ReLU → average → softmax. The third
convolution has a feature map a class, and the average over its 6×6 units is the class's vote.
"""

import keras

from deconvviz.config import ModelConfig
from deconvviz.models.pooling import MaxPoolingWithSwitches
from deconvviz.models.start import FLOAT, PLAIN, convolution


def classic_network(
    config: ModelConfig, input_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """Build the network, its weights drawn from Keras's global seed.

    Args:
        config: the weights' start, the filters' radius, and the dropout rate before the last
            convolution.
        input_shape: height, width and channels; the sides are multiples of 4.
        classes: the number of classes.

    Returns:
        A functional model with layers conv1, pool1, conv2, pool2, conv3, pool3 and softmax.
    """
    height, width, _ = input_shape
    images = keras.Input(input_shape, name="images", **FLOAT)
    x = convolution(config, 64, 5, "conv1", activation="relu")(images)
    x = MaxPoolingWithSwitches(2, padding="same", name="pool1", **PLAIN)(x)
    x = convolution(config, 64, 5, "conv2", activation="relu")(x)
    x = MaxPoolingWithSwitches(2, padding="same", name="pool2", **PLAIN)(x)
    if config.dropout:
        x = keras.layers.Dropout(config.dropout, name="dropout", **FLOAT)(x)
    x = convolution(config, classes, 5, "conv3", activation="relu")(x)
    x = keras.layers.AveragePooling2D((height // 4, width // 4), name="pool3", **PLAIN)(x)
    x = keras.layers.Flatten(name="flatten", **PLAIN)(x)
    x = keras.layers.Softmax(name="softmax", **FLOAT)(x)
    return keras.Model(images, x, name="classic")

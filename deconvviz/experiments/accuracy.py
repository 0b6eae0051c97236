"""What can be learnt of a model before anything is reconstructed: how its images were scaled.

A stranger's file does not say whether its network was trained on 0 to 255 or on 0 to 1, and the
wrong guess gives pictures that look like any others. Its accuracy on labelled images tells.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from deconvviz.data import Preprocess, Split
from deconvviz.data.scalings import KINDS, parse_scaling
from deconvviz.errors import DataError
from deconvviz.listing import counted

_BATCH = 250


def scalings_for(channels: int) -> tuple[str, ...]:
    """Name the scalings that are defined for images of so many channels."""
    scalings = ((name, parse_scaling(name)) for name in KINDS)
    return tuple(name for name, one in scalings if one is None or one.channels in (None, channels))


def chance(labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Give the accuracy that needs no look at the images, and what is plainly above it.

    Answers that do not depend on the images are right most often where they always name the
    commonest class, whose share of the images is p. Of n images that varies by a standard error of
    sqrt(p (1 - p) / n); the best of the six scalings passes p by three of them in less than one
    case in a hundred (6 x 0.00135).

    Returns:
        p, and p + 3 standard errors. Where all images are of one class, both are 1.
    """
    count = max(len(labels), 1)
    share = float(np.unique(labels, return_counts=True)[1].max(initial=0)) / count
    return share, share + 3 * float(np.sqrt(share * (1 - share) / count))


def accuracies(
    model: keras.Model, split: Split, ways: Iterable[Preprocess], classes: int
) -> Iterator[tuple[Preprocess, float]]:
    """Measure a classifier's accuracy under each of several preprocessings, one after the other.

    Args:
        model: images in, one number a class out.
        split: labelled images, fitted to the network's size.
        ways: the preprocessings.
        classes: how many classes the labels have.

    Returns:
        Each preprocessing and the share, 0 to 1, of images whose largest output is their label's.

    Raises:
        DataError: for a model that does not give one number for each of the classes.
    """
    shapes = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    if shapes != [(classes,)]:
        raise DataError(
            f"The data set has {counted(classes, 'class', 'classes')}, and the network gives "
            f"{' and '.join(map(str, shapes))}; accuracy takes a network that gives one number for "
            "each class. Leave --dataset out to see the layers alone."
        )
    answer = tf.function(lambda x: model(x, training=False), autograph=False, reduce_retracing=True)
    for way in ways:
        try:
            right = sum(
                _right(answer, way(split.images[first : first + _BATCH]), split.labels[first:])
                for first in range(0, len(split.images), _BATCH)
            )
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            height, width = split.images.shape[1:3]
            raise DataError(
                f"Images of {height}x{width} do not come through the network; they may be too "
                "small for it. Choose a larger --size."
            ) from error
        yield way, right / len(split.images)


def _right(answer: Any, x: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> int:
    guesses = np.argmax(answer(tf.constant(x)), axis=1)
    return int((guesses == labels[: len(x)]).sum())

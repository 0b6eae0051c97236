"""Whole numbers given as images: pixels from 0 to 255, which most networks take scaled.

Nothing tells a scaled image from one that is not but its type. A network that is given pixels in
place of what it was trained on answers, and its pictures look like any others; so integers are
refused, unless the network scales them itself or says that it takes integers.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from deconvviz.deconv.affine import IDENTITIES
from deconvviz.deconv.graph import Graph
from deconvviz.deconv.kinds import look_up
from deconvviz.errors import DataError

_SCALES = dict.fromkeys(
    (
        keras.layers.Rescaling,
        keras.layers.Normalization,
        keras.ops.subtract,
        keras.ops.multiply,
        keras.ops.divide,
        keras.ops.true_divide,
    ),
    True,
)
_LEAVES = dict.fromkeys(
    (
        *IDENTITIES,
        keras.layers.ZeroPadding2D,
        keras.layers.Cropping2D,
        keras.layers.CenterCrop,
        keras.layers.RandomCrop,
        keras.layers.Resizing,
        keras.layers.UpSampling2D,
        keras.ops.cast,
        keras.ops.flip,
        keras.ops.get_item,
    ),
    True,
)
"""What moves pixels or drops some, and leaves their values alone."""


def scales_itself(graph: Graph, slot: int) -> bool:
    """Tell whether all that reads an input scales it before anything else is computed of it."""
    readers = [step for step in graph.steps if slot in step.inputs]
    return bool(readers) and all(
        len(step.inputs) == 1
        and (
            look_up(step, _SCALES) is not None
            or (
                look_up(step, _LEAVES) is not None
                and all(scales_itself(graph, output) for output in step.outputs)
            )
        )
        for step in readers
    )


def require_scaled(
    graph: Graph, inputs: Sequence[Any], images: Sequence[npt.NDArray[np.generic]]
) -> None:
    """Refuse images of whole numbers where the network takes them scaled.

    Args:
        graph: the flattened model.
        inputs: the model's inputs, which say their types.
        images: one array an input.

    Raises:
        DataError: naming the two ways out.
    """
    for slot, tensor, image in zip(graph.inputs, inputs, images, strict=True):
        pixels = image.dtype.kind in "iu" and image.ndim == 4
        if pixels and "float" in str(tensor.dtype) and not scales_itself(graph, slot):
            raise DataError(
                f"The images are pixels, {image.dtype}, and the network does not scale them "
                "itself. Scale them as in its training, as Preprocess('unit')(images) of "
                "deconvviz.data does; if it was trained on 0 to 255 as they are, give "
                "images.astype('float32')."
            )

"""How high and wide every slot of a graph is, for images of one size.

A model that takes images of any size leaves its slots' shapes open; here they are worked out, step
by step.
"""

from typing import Any

import numpy as np
from keras import layers

from deconvviz.deconv.graph import Graph
from deconvviz.deconv.windows import Size, output_size
from deconvviz.errors import DeconvvizError


def slot_sizes(graph: Graph, image_size: Size | None) -> dict[int, Size | None]:
    """Give height and width of every slot.

    Args:
        graph: the flattened model.
        image_size: height and width of the images, where the model leaves them open. Without it,
            a multiple of all strides together.

    Returns:
        For each slot (height, width); None for one that is no stack of feature maps, or whose size
        cannot be told.

    Raises:
        DeconvvizError: for an image size that the model does not take.
    """
    sizes = {slot: _closed(shape) for slot, shape in graph.shapes.items()}
    sizes |= {slot: _image_size(graph, slot, image_size) for slot in graph.inputs}
    for step in graph.steps:
        for slot in step.outputs:
            if sizes[slot] is None and len(graph.shapes[slot]) == 3:
                befores = [sizes[before] for before in step.inputs]
                sizes[slot] = output_size(step, befores, graph.shapes[step.inputs[0]][-1])
    return sizes


def _closed(shape: tuple[int | None, ...]) -> Size | None:
    height, width = shape[:2] if len(shape) == 3 else (None, None)
    return None if height is None or width is None else (height, width)


def _image_size(graph: Graph, slot: int, given: Size | None) -> Size | None:
    shape = graph.shapes[slot]
    if len(shape) != 3:
        return None
    if given and any(size not in (None, n) for size, n in zip(shape, given, strict=False)):
        raise DeconvvizError(
            f"The model takes images of {shape[0] or 'any'} x {shape[1] or 'any'} pixels; received "
            f"image_size={given}. Leave image_size out, or give that size."
        )
    if given or None in shape[:2]:
        height, width = given or (_usual_side(graph),) * 2
        return shape[0] or height, shape[1] or width
    return _closed(shape)


def _usual_side(graph: Graph) -> int:
    """A side that all strides on the way up divide, and that lasts through unpadded layers."""
    strides = dict.fromkeys(graph.inputs, 1)
    for step in graph.steps:
        own: Any = getattr(step.operation, "strides", 1)
        if isinstance(step.operation, layers.Conv2DTranspose):
            own = 1
        below = max((strides[slot] for slot in step.inputs), default=1)
        strides |= dict.fromkeys(step.outputs, below * int(np.max(own)))
    whole = max(strides.values())
    return whole * max(8, -(-256 // whole))

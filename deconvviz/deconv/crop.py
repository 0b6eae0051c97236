"""One unit on a window of the image that holds all it sees: the same map for a part of the work.

The window is laid so that every layer on the way pads and strides in it as in the whole image: it
begins at a multiple of all strides together, and its size leaves the same remainder by them. What
the image's own edge pads stays padded; what the window's edge pads lies outside of what the unit
sees. All units of a layer take windows of one size, so that they go through in batches.

References:
    Araujo, Norris & Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, doi 10.23915/distill.00021.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.graph import Graph
from deconvviz.deconv.receptive_field import receptive_fields

Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Windows:
    """The windows of a layer's units; each attribute is a pair, for the height and the width.

    Attributes:
        image: pixels of the image.
        size: pixels of a window.
        stride, offset: of the layer's receptive fields.
        step: what a window's start is a multiple of.
    """

    image: Integers
    size: Integers
    stride: Integers
    offset: Integers
    step: Integers

    @property
    def share(self) -> float:
        """How much of the image's pixels a window takes."""
        return float(np.prod(self.size) / np.prod(self.image))

    def place(self, units: Integers) -> tuple[Integers, Integers]:
        """Lay a window for each unit.

        Args:
            units: `[n, 2]`, (y, x) in the layer's maps of the whole image.

        Returns:
            Where each window begins, and the unit's place in the maps of the window, `[n, 2]` both.
        """
        fields = np.maximum(self.offset + self.stride * units, 0)
        corners = np.minimum(fields // self.step * self.step, self.image - self.size)
        return corners, (units - corners // self.stride).astype(np.int32)

    def cut(self, images: npt.NDArray[Any], corners: Integers) -> npt.NDArray[Any]:
        """Cut each image's window out of `[n, H, W, C]`."""
        height, width = self.size
        return np.stack(
            [
                image[y : y + height, x : x + width]
                for image, (y, x) in zip(images, corners, strict=True)
            ]
        )

    def paste(self, maps: npt.NDArray[Any], corners: Integers) -> npt.NDArray[Any]:
        """Put each window's map back where it was cut, zeros elsewhere: nothing returns there."""
        height, width = self.size
        whole = np.zeros((len(maps), *self.image, maps.shape[3]), maps.dtype)
        for image, part, (y, x) in zip(whole, maps, corners, strict=True):
            image[y : y + height, x : x + width] = part
        return whole


def lay_windows(graph: Graph, layer: str, image_size: tuple[int, int]) -> Windows | None:
    """Lay the windows for the units of a layer.

    Args:
        graph: the flattened model, of one input.
        layer: the layer's path.
        image_size: height and width of the images.

    Returns:
        The windows; None where a unit may see the whole image, where fields go on unevenly, and
        where a window would be as large as the image.
    """
    fields = receptive_fields(graph, image_size)
    steps = graph.below(graph.targets[layer])
    below = [fields[path] for step in steps for path in step.output_paths]
    even = [field for field in below if field is not None and field.even]
    field = fields[layer]
    if field is None or len(even) < len(below):
        return None
    image = np.array(image_size)
    stride, offset = np.array(field.stride), np.array(field.offset)
    step = np.array([math.lcm(*(int(one.stride[axis]) for one in even)) for axis in (0, 1)])
    size = np.array(field.size) + step - 1  # a multiple of `step` lies before every field
    size += (image - size) % step
    if np.all(size >= image):
        return None
    return Windows(image, np.minimum(size, image), stride, offset, step)

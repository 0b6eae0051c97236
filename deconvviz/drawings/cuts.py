"""Images and maps cut to what single units see of them (Zeiler & Fergus 2013, Figure 2).

The patch beside a unit's reconstruction is its receptive field: nothing outside it can have moved
the unit. Cuts that lie side by side have one size, which holds them all.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.receptive_field import Box
from deconvviz.render.compose import cut

GREY = 128
Size = tuple[int, int]


def common_size(boxes: Sequence[Box], image: tuple[int, ...]) -> tuple[int, int]:
    """Give a height and width that hold every box; an axis that boxes see whole is not cut."""
    height = max(box.bottom - box.top for box in boxes)
    width = max(box.right - box.left for box in boxes)
    return min(height, image[0]), min(width, image[1])


def cut_to(
    images: npt.NDArray[Any], boxes: Sequence[Box], size: Size, beyond: float
) -> npt.NDArray[Any]:
    """Cut each image from its box's corner on.

    Args:
        images: `[n, H, W, C]`.
        boxes: one an image.
        size: height and width, from `common_size`.
        beyond: what stands where a box reaches past its image.

    Returns:
        `[n, height, width, C]`.
    """
    height, width = images.shape[1:3]
    corners = (
        (0 if size[0] == height else box.top, 0 if size[1] == width else box.left) for box in boxes
    )
    pairs = zip(images, corners, strict=True)
    return np.stack([cut(image, *corner, *size, beyond) for image, corner in pairs])


def cut_words(size: Size, rules: str, depends_on_image: bool) -> str:
    """Say for a caption how units' pictures are cut, and what to know of them by these rules.

    Args:
        size: height and width of the cuts.
        rules: their name.
        depends_on_image: what `Deconvnet.depends_on_image` says of the layer.
    """
    words = (
        f"Cut to what the unit can see, {size[0]}x{size[1]} pixels; where that reaches past the "
        "image, grey."
    )
    if rules == "classic":
        words += " These rules subtract biases everywhere, so the map goes on beyond the cut."
    if not depends_on_image:
        words += (
            " By these rules nothing on the way back remembers the image (there is no max pool), "
            "so a unit's reconstruction does not depend on it, but for its strength."
        )
    return words

"""The three ways to move what an image shows: up and down, larger, and round.

The paper leaves fill and interpolation open. Here images are moved in the network's input space:
what comes in from outside has one constant colour, whole pixels are moved by slicing and quarter
turns by rotation of the array, so that nothing is resampled that need not be, and an image that is
left alone stays what it is to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Kind = Literal["vertical translation", "scale", "rotation"]

_PAPERS_REACH, _PAPERS_SIZE = 60, 224  # pixels moved either way, of how many
_STEPS = 12  # of the translation, either way, at most


@dataclass(frozen=True)
class Transformation:
    """One way to move what an image shows, and by how much.

    Attributes:
        kind: which way.
        unit: of its amounts: pixels (down), times, degrees (counterclockwise).
        amounts: in rising order.
    """

    kind: Kind
    unit: str
    amounts: tuple[float, ...]


def papers_transformations(height: int) -> tuple[Transformation, ...]:
    """Give Zeiler & Fergus's three, the translation in proportion to the images' height.

    Their axes run to 60 of 224 pixels either way, from 1 to 1.8 times, and from 0 to 350 degrees
    (2013, Figure 5).

    Args:
        height: of the network's input, pixels.
    """
    reach = max(1, round(height * _PAPERS_REACH / _PAPERS_SIZE))
    step = -(-reach // _STEPS)
    down = range(-(reach // step) * step, reach + 1, step)
    return (
        Transformation("vertical translation", "pixels", tuple(map(float, down))),
        Transformation("scale", "times", tuple(1 + n / 20 for n in range(17))),
        Transformation("rotation", "degrees", tuple(map(float, range(0, 360, 10)))),
    )


def transformed(images: Floats, kind: Kind, amount: float, fill: Sequence[float]) -> Floats:
    """Move what images show.

    Args:
        images: float32 `[n, H, W, C]`.
        kind: which way; scale and rotation go about the middle.
        amount: whole pixels down; times, above 0; or degrees counterclockwise.
        fill: `[C]`, what comes in from outside.

    Returns:
        float32 of the same shape. Between pixels it is interpolated bilinearly.
    """
    if kind == "vertical translation":
        return _moved_down(images, round(amount), fill)
    if kind == "scale":
        return images if amount == 1 else _resampled(images, np.eye(2) / amount, fill)
    quarters, rest = divmod(amount, 90)
    turns_into_itself = images.shape[1] == images.shape[2] or quarters % 2 == 0
    if rest == 0 and turns_into_itself:
        return np.rot90(images, int(quarters), axes=(1, 2))
    angle = np.deg2rad(amount)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return _resampled(images, turn, fill)


def _moved_down(images: Floats, pixels: int, fill: Sequence[float]) -> Floats:
    moved = np.broadcast_to(np.asarray(fill, np.float32), images.shape).copy()
    height = images.shape[1]
    kept = slice(max(-pixels, 0), max(height - max(pixels, 0), 0))
    goes = slice(max(pixels, 0), max(height + min(pixels, 0), 0))
    moved[:, goes] = images[:, kept]
    return moved


def _resampled(images: Floats, matrix: npt.NDArray[np.float64], fill: Sequence[float]) -> Floats:
    """Take each pixel from `matrix` times its place, both counted from the middle."""
    middle = (np.array(images.shape[1:3]) - 1) / 2
    offset = middle - matrix @ middle
    result = np.empty_like(images)
    for image, into in zip(images, result, strict=True):
        for channel, colour in enumerate(fill):
            into[..., channel] = ndimage.affine_transform(
                image[..., channel], matrix, offset, order=1, mode="grid-constant", cval=colour
            )
    return result

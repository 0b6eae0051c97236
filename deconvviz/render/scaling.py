"""How a signed number becomes a grey level.

A reconstruction is signed and has no natural range, so how it is scaled decides what is seen. Two
ways exist here, as pure functions on one array: symmetric about grey, and TensorFlow 1's. What
TensorFlow 2's own image summary does to floats (clip to [0, 1]) would lose the negative half.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.errors import DeconvvizError

Pixels = npt.NDArray[np.uint8]

_BAD_COLOUR = np.array([255, 0, 0, 255], np.uint8)
_FLAT = np.float32(1e-6)


def symmetric(panel: npt.ArrayLike, scale: float | None = None) -> tuple[Pixels, float]:
    """Draw a signed panel with zero at grey: trunc(128 + 127 * value / scale).

    Args:
        panel: float `[h, w, C]`, C 1 or 3, finite.
        scale: the |value| that becomes full black (1) or white (255), beyond which values
            saturate; None takes the panel's own largest |value|.

    Returns:
        The pixels, uint8 `[h, w, 3]`, and the scale used; a panel of zeros is 128 throughout and
        its own scale is 0.

    Raises:
        DeconvvizError: for values that are not finite, for other channel counts, for a scale that
            is not above 0.
    """
    values = np.asarray(panel, np.float64)
    refuse_channels(values.shape[-1], "a panel")
    refuse_non_finite(values, "a panel")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise DeconvvizError(
            f"The scale of a panel is {scale}; it must be a finite number above 0, or none for the "
            "panel's own largest |value|."
        )
    used = float(np.abs(values).max(initial=0)) if scale is None else float(scale)
    ratio = np.clip(values / used, -1, 1) if used > 0 else np.zeros_like(values)
    return three_channels((128 + 127 * ratio).astype(np.uint8)), used


def saturated_share(panel: npt.ArrayLike, scale: float) -> float:
    """Tell which share of a panel's values lies beyond the scale, in [0, 1]."""
    return float(np.mean(np.abs(np.asarray(panel, np.float64)) > scale))


def tf1_image_summary(row: npt.ArrayLike) -> Pixels:
    """Draw floats exactly as TensorFlow 1's image summary did.

    One scale for the whole array: with a negative value in it, zero is 128 and the largest |value|
    lies 127 away; without, zero is 0 and the largest value 255. Values that all stay below 1e-6
    are not spread. A pixel with a channel that is not finite is red.

    Args:
        row: float `[h, w, C]`, C 1, 3 or 4.

    Returns:
        uint8 `[h, w, C]`.

    Source: tensorflow/core/kernels/summary_image_op.cc, NormalizeFloatImage.
    """
    values = np.asarray(row, np.float32)
    finite = np.isfinite(values).all(axis=-1)
    low, largest = tf1_range(values)
    reach, offset = (np.float32(127), 128) if low < 0 else (np.float32(255), 0)
    slope = reach / largest if largest >= _FLAT else np.float32(0)
    pixels = np.empty(values.shape, np.uint8)
    pixels[~finite] = _BAD_COLOUR[: values.shape[-1]]
    pixels[finite] = (values[finite] * slope + np.float32(offset)).astype(np.uint8)
    return pixels


def tf1_range(values: npt.NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    """Give the lowest value (0 where none is negative) and the largest |value|.

    As in TensorFlow 1, pixels `[..., C]` with a channel that is not finite do not count.
    """
    seen = values[np.isfinite(values).all(axis=-1)]
    low, high = seen.min(initial=0), seen.max(initial=0)
    return low, max(-low, high)


def three_channels(pixels: Pixels) -> Pixels:
    """Make grey pixels `[..., 1]` colour `[..., 3]`; colour stays as it is."""
    return pixels.repeat(3, axis=-1) if pixels.shape[-1] == 1 else pixels


def refuse_channels(channels: int, what: str) -> None:
    """Raise DeconvvizError where `channels` is neither 1 nor 3."""
    if channels not in (1, 3):
        raise DeconvvizError(
            f"Only 1 (grey) or 3 (colour) channels can be drawn, but {what} has {channels}: choose "
            "which to show before drawing."
        )


def refuse_non_finite(values: npt.NDArray[Any], what: str) -> None:
    """Raise DeconvvizError where a value is NaN or infinite."""
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise DeconvvizError(
            f"{wrong} of the {values.size} values of {what} are NaN or infinite, so a picture "
            "would mean nothing: the network or its input has overflowed. Use an earlier "
            "checkpoint, or train with a smaller learning rate."
        )

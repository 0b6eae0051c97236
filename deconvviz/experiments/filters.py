"""What a kernel says by itself: how large its filters are, which frequencies and colours they hold.

Everything here is arithmetic on arrays `[height, width, channels, filters]`, and knows no network.
"""

import numpy as np
import numpy.typing as npt

Kernel = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.float64]

BANDS = (1 / 6, 1 / 3)
"""In cycles a pixel: below the first is low, between them mid, above the second high. A grating of
two pixels, the finest that there is, has one half."""

_GRID = 64  # points a side at which a spectrum is taken


def rms(kernel: Kernel) -> Numbers:
    """Give the root mean square of each filter, float64 `[filters]`.

    Source: Zeiler & Fergus 2013, Section 3, which holds it within 0.1.
    """
    mean: Numbers = np.mean(np.square(kernel, dtype=np.float64), axis=(0, 1, 2))
    return np.sqrt(mean)


def frequency_shares(kernel: Kernel) -> Numbers:
    """Give the shares of each filter's power at low, mid and high frequencies (`BANDS`).

    Args:
        kernel: `[height, width, channels, filters]`; the power is summed over the channels.

    Returns:
        float64 `[filters, 3]`; a row sums to 1, or to 0 for a filter of zeros. A single point,
        which holds all frequencies alike, has about 0.09, 0.26 and 0.65.
    """
    side = max(_GRID, 2 * max(kernel.shape[:2]))
    power = np.square(np.abs(np.fft.fft2(kernel, (side, side), axes=(0, 1)))).sum(axis=2)
    each = np.fft.fftfreq(side)  # in cycles a pixel
    band = np.digitize(np.hypot(each[:, None], each), BANDS)
    return _shares(np.stack([power[band == number].sum(axis=0) for number in range(3)], axis=1))


def beyond_lattice(kernel: Kernel, stride: tuple[int, int]) -> Numbers:
    """Give the share of each filter's power that steps of `stride` pixels are too wide to carry.

    Units that lie s pixels apart tell frequencies up to 1 / (2 s) cycles a pixel; what is finer
    comes out as something coarser (aliasing).

    Returns:
        float64 `[filters]`, 0 to 1. A single point has 1 - 1 / (s * s) of it.
    """
    weights = kernel.astype(np.float64)
    carried = weights
    for axis in (0, 1):
        # The integral of cos(2 pi f d) over the frequencies that are carried, for taps d apart.
        apart = np.subtract.outer(*2 * [np.arange(weights.shape[axis])])
        low_pass = np.sinc(apart / stride[axis]) / stride[axis]
        carried = np.moveaxis(np.tensordot(low_pass, carried, (1, axis)), 0, axis)
    kept = np.maximum((weights * carried).sum(axis=(0, 1, 2)), 0)
    power = np.square(weights).sum(axis=(0, 1, 2))
    return _shares(np.stack([kept, np.maximum(power - kept, 0)], axis=1))[:, 1]


def colour_share(kernel: Kernel) -> Numbers:
    """Give the share of each filter's power that is colour: what is left of it without its grey.

    Args:
        kernel: `[height, width, 3, filters]`.

    Returns:
        float64 `[filters]`: 0 where the three channels are alike, 1 where they cancel (red against
        green), 2/3 where only one is looked at.
    """
    weights = kernel.astype(np.float64)
    grey = 3 * np.square(weights.mean(axis=2)).sum(axis=(0, 1))
    power = np.square(weights).sum(axis=(0, 1, 2))
    return np.maximum(_shares(np.stack([grey, power - grey], axis=1))[:, 1], 0)


def cover_counts(window: int, stride: int) -> tuple[int, ...]:
    """Count, along one axis, how many windows each of `stride` neighbouring pixels lies in.

    They are ceil(window / stride) and floor(window / stride), so that the cover is even where the
    stride divides the window.

    Source: Odena et al. 2016, "Deconvolution and Checkerboard Artifacts", Distill.
    """
    return tuple(len(range(first, window, stride)) for first in range(stride))


def _shares(parts: Numbers) -> Numbers:
    total = parts.sum(axis=1, keepdims=True)
    return np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)

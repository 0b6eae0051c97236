"""How alike two maps are, in five numbers, and how well a map foretells a change.

Ranks say whether the same places are strong, whatever the scale (Adebayo et al. 2018); SSIM and the
correlation of oriented gradients say whether the same shapes are seen; the cosine compares every
value. None of them means anything without its floor, the likeness of two pictures that have nothing
to do with each other.

References:
    Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv:1810.03292, Section 3.
    Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", arXiv:1901.09392.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from skimage.feature import hog
from skimage.filters import sobel
from skimage.metrics import structural_similarity

Floats = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.float64]

METRICS = ("spearman_abs", "spearman", "ssim", "hog", "cosine")
"""Rank correlation of |map| and of the signed map, SSIM, correlation of HOG, cosine."""

SSIM_WINDOW, HOG_CELL, HOG_DIRECTIONS = 5, 16, 9
_SMALLEST = 4  # pixels a side below which neither SSIM nor HOG has anything to compare


def similarity(first: Floats, second: Floats) -> Numbers:
    """Compare two maps.

    The ranks take one value a pixel, the sum over channels, of |value| or signed (as Adebayo et al.
    do); so do SSIM (window 5) and HOG (9 directions, cells of 16 pixels or of a third of the
    shorter side where that is less), after scaling the signed one to [-1, 1].

    Args:
        first, second: `[h, w, C]`.

    Returns:
        `[5]`, in [-1, 1], in the order of `METRICS`; NaN where one is not defined: a map without
        two values that differ has no ranks, and one of less than 4 pixels a side no shapes.
    """
    one, other = _signed(first), _signed(second)
    return np.array(
        [
            ranks(_strength(first), _strength(second)),
            ranks(one, other),
            _ssim(one, other),
            _pearson(_directions(one), _directions(other)),
            _cosine(first, second),
        ]
    )


def ranks(one: Numbers, other: Numbers) -> float:
    """Correlate ranks, equal values sharing their mean rank (Spearman); NaN for a constant."""
    if _constant(one) or _constant(other):
        return float("nan")
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def edges(image: Floats) -> Numbers:
    """Give the strength of an image's edges, by Sobel's filter on the mean of its channels.

    Args:
        image: `[h, w, C]`.

    Returns:
        `[h, w, 1]`, not negative.
    """
    return np.asarray(sobel(image.mean(axis=-1, dtype=np.float64)))[..., None]


def infidelity(foretold: Floats, came: Floats) -> float:
    """Tell which share of an activation's changes a map does not foretell.

    A map's scale is arbitrary, so the one that suits it best is taken: b = E[fc] / E[ff] for what
    it foretold, f, and what came, c.

    Args:
        foretold: `[p]`, for each small change of the image its product with the map.
        came: `[p]`, by how much the activation changed.

    Returns:
        E[(bf - c)²] / E[c²], from 0 (all of it foretold) to 1 (nothing); NaN where nothing changed.
    """
    changed = float(np.mean(np.square(came, dtype=np.float64)))
    if changed == 0:
        return float("nan")
    said = float(np.mean(np.square(foretold, dtype=np.float64)))
    scale = float(np.mean(foretold * came, dtype=np.float64)) / said if said > 0 else 0.0
    return float(np.mean(np.square(scale * foretold - came, dtype=np.float64))) / changed


def _strength(values: Floats) -> Numbers:
    return np.abs(values).sum(axis=-1, dtype=np.float64)


def _signed(values: Floats) -> Numbers:
    total = values.sum(axis=-1, dtype=np.float64)
    return total / max(np.abs(total).max(initial=0), np.finfo(np.float64).tiny)


def _constant(values: Numbers) -> bool:
    return values.size < 2 or bool((values == values.flat[0]).all())


def _ssim(one: Numbers, other: Numbers) -> float:
    side = min(one.shape)
    if side < _SMALLEST or _constant(one) or _constant(other):
        return float("nan")
    window = min(SSIM_WINDOW, side - 1 + side % 2)  # an odd number
    return float(structural_similarity(one, other, win_size=window, data_range=2))


def _directions(values: Numbers) -> Numbers:
    side = min(values.shape)
    if side < _SMALLEST:
        return np.zeros(1)
    cell = min(HOG_CELL, max(2, side // 3))
    found = hog(values, HOG_DIRECTIONS, pixels_per_cell=(cell, cell), cells_per_block=(1, 1))
    return np.asarray(found, np.float64)


def _pearson(one: Numbers, other: Numbers) -> float:
    if _constant(one) or _constant(other):
        return float("nan")
    return _cosine(one - one.mean(), other - other.mean())


def _cosine(one: Floats, other: Floats) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum(dtype=np.float64)) / lengths if lengths > 0 else float("nan")

"""What a diagnosis found: records of a network's feature maps, filters and strides."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

DOMINATES = 3.0
"""A filter dominates whose RMS is more than so many times its layer's median."""


@dataclass(frozen=True, eq=False)
class MapsInUse:
    """What the feature maps of a rectified layer do on the images.

    Attributes:
        layer: its path.
        largest: float32 `[C]`, the largest activation of each map.
        fires: float64 `[C]`, the share, 0 to 1, of images in which it rises above 0.
    """

    layer: str
    largest: npt.NDArray[np.float32]
    fires: Numbers

    @property
    def silent(self) -> tuple[int, ...]:
        """The maps that never rise above 0 on the images."""
        return tuple(np.flatnonzero(self.largest <= 0).tolist())


@dataclass(frozen=True, eq=False)
class Filters:
    """How large the filters of a convolution are.

    Attributes:
        layer: its path.
        rms: float64 `[C]`, their root mean squares.
        normalised: they were multiplied by what the batch normalisation behind makes of them, since
            that alone decides how large they come out.
    """

    layer: str
    rms: Numbers
    normalised: bool

    @property
    def dominating(self) -> tuple[int, ...]:
        """The filters that are `DOMINATES` times as large as the layer's median."""
        return tuple(np.flatnonzero(self.rms > DOMINATES * np.median(self.rms)).tolist())


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """What the filters that look at the pixels themselves hold.

    Attributes:
        layer: its path.
        frequency: float64 `[C, 3]`, the shares at low, mid and high frequencies.
        colour: float64 `[C]`, the share that is colour; None for a network of grey images.
    """

    layer: str
    frequency: Numbers
    colour: Numbers | None


@dataclass(frozen=True, eq=False)
class Lattice:
    """How the windows of a layer with a stride lie over its input.

    Attributes:
        layer: its path.
        window: their height and width.
        stride: their step, down and across.
        most: how many windows the pixels that are covered most lie in.
        least: the same of those that are covered least; 0 where some are not looked at.
        aliased: of a convolution, the mean share of its filters' power that the stride cannot
            carry.
    """

    layer: str
    window: tuple[int, int]
    stride: tuple[int, int]
    most: int
    least: int
    aliased: float | None

    @property
    def ratio(self) -> str:
        """The overlap ratio in lowest terms, such as 16:9; 1:1 where the cover is even."""
        common = math.gcd(self.most, self.least) or 1
        return f"{self.most // common}:{self.least // common}"


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Everything that was measured, each in the order in which the layers run.

    Attributes:
        images: how many images went through the network.
        preprocess: how they were scaled; None where nobody knows, and none went through.
        maps: one a rectified layer; none without a scaling.
        filters: one a convolution.
        first: one a convolution that looks at the pixels themselves.
        lattices: one a layer whose windows have a stride above 1.
    """

    images: int
    preprocess: str | None
    maps: tuple[MapsInUse, ...]
    filters: tuple[Filters, ...]
    first: tuple[FirstLayer, ...]
    lattices: tuple[Lattice, ...]

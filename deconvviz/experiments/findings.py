"""What the sanity checks found: likenesses, rule by rule, and what covering did to the units."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.experiments.covering import Agreement, Sizes
from deconvviz.experiments.similarity import METRICS
from deconvviz.experiments.watched import Watched

Numbers = npt.NDArray[np.float64]
Maps = dict[str, npt.NDArray[Any]]

OTHER_IMAGES_PICTURE = "another image's picture"
OTHER_NETWORKS_PICTURE = "another image's, all weights new"
"""Floors of what units show: of the second, only the network's shape is common to both pictures."""

ANOTHER_CLASS, OTHER_IMAGES_CLASS = "another class", "another image's class"
"""What is compared between classes, and its floor."""

EDGES = "the image's edges"


@dataclass(frozen=True, eq=False)
class Row:
    """How alike pictures stayed when one thing was changed.

    Attributes:
        group: "calibration", "floor", "cascade", "independent", "selectivity", "switches" or
            "baseline".
        name: what was changed, in words.
        rule: by which rules the pictures were made.
        values: `[m, 5]`, one an image and draw, in the order of `METRICS`; NaN where a picture is
            empty or a metric not defined.
    """

    group: str
    name: str
    rule: str
    values: Numbers

    def mean(self, metric: str) -> float:
        """Average what is defined of one metric; NaN where nothing is."""
        return mean(self.values[:, METRICS.index(metric)])

    def spread(self, metric: str) -> float:
        """Give the standard deviation over images and draws; NaN where nothing is defined."""
        each = self.values[:, METRICS.index(metric)]
        return float(each[~np.isnan(each)].std()) if not np.isnan(each).all() else float("nan")


@dataclass(frozen=True)
class Settings:
    """What the checks took, beside the images.

    Attributes:
        draws: how often each set of weights is drawn anew.
        seed: of the weights, the noise and the covers.
        sizes: how much is covered, and how often.
    """

    draws: int = 2
    seed: int = 0
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(frozen=True, eq=False)
class Sanity:
    """The checks' results.

    Attributes:
        layer: the target.
        rules: of the pictures; the chosen first, then "gradient".
        watched: the images and the unit watched in each.
        rows: every comparison, for each of the rules.
        covering: whether units look where pictures are strong: by the rules, and for `EDGES`.
        pictures: for each of the rules, by what was changed, the maps of the first few images
            (`[k, H, W, C]`); "trained" are the pictures themselves.
        missing: checks that could not be made, and why.
        depends_on_image: whether the chosen rules' picture of a unit is another for another image.
        settings: what was asked for.
        approximated: steps that are reversed by their gradient, for want of a rule.
    """

    layer: str
    rules: tuple[str, ...]
    watched: Watched
    rows: tuple[Row, ...]
    covering: dict[str, Agreement]
    pictures: dict[str, Maps]
    missing: dict[str, str]
    depends_on_image: bool
    settings: Settings
    approximated: tuple[str, ...] = ()

    def row(self, group: str, rule: str, name: str | None = None) -> Row | None:
        """Find a comparison: the last of its group, or the one of a name."""
        found = [row for row in self.rows if (row.group, row.rule) == (group, rule)]
        return next((row for row in reversed(found) if name in (None, row.name)), None)

    def floor(self, rule: str, metric: str, classes: bool = False) -> float:
        """Give the likeness of two pictures that have nothing to do with each other.

        Args:
            rule: of the pictures.
            metric: one of `METRICS`.
            classes: of pictures that start at a class, rather than at a unit.
        """
        names = [OTHER_IMAGES_CLASS] if classes else [OTHER_IMAGES_PICTURE, OTHER_NETWORKS_PICTURE]
        rows = [self.row("floor", rule, name) for name in names]
        means = [row.mean(metric) for row in rows if row is not None]
        return max((one for one in means if not np.isnan(one)), default=float("nan"))


def mean(values: Numbers) -> float:
    """Average what is defined; NaN where nothing is."""
    return float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else float("nan")

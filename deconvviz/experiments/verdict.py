"""One paragraph in plain words: what may, and what may not, be read off a model's pictures.

Every sentence comes from a number and a threshold, and both are recorded, so that who would draw
the line elsewhere can. What stays of a picture is counted from the floor, the likeness of two
pictures that have nothing to do with each other (0%), to the same picture (100%), once by the ranks
of |map| and once by those of the signed map; the larger counts, since what either still shows has
not been changed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from deconvviz.experiments.findings import (
    ANOTHER_CLASS,
    EDGES,
    Sanity,
    mean,
)
from deconvviz.listing import counted

_RANKS = ("spearman_abs", "spearman")


@dataclass(frozen=True)
class Thresholds:
    """Where words change.

    Attributes:
        same: a picture of which this share stays, or more, is still the same.
        another: one of which this share stays, or less, is another picture.
        recovered: a rank correlation with the image, or with its edges, that counts.
        beyond: covering the strongest part of a picture must take this much more of the
            activation, as a share of it, than covering the same shape elsewhere.
        unsaid: an infidelity up to which a picture foretells how its unit changes.
        steady: fewer images than this, and the numbers are unsteady.
    """

    same: float = 0.5
    another: float = 0.2
    recovered: float = 0.4
    beyond: float = 0.1
    unsaid: float = 0.5
    steady: int = 20


@dataclass(frozen=True)
class _Question:
    """One thing that is changed, and what follows where little, some or much stays."""

    group: str
    name: str
    change: str
    another: str
    partly: str
    same: str


_UNIT = _Question(
    "selectivity",
    "another unit",
    "Asked for another unit at the same place",
    "each is the picture of its unit",
    "they are pictures of their unit in part only",
    "none may be read as the portrait of one unit",
)
_CLASS = _Question(
    "selectivity",
    ANOTHER_CLASS,
    "Asked for the next class instead of the most probable",
    "pictures that start at a class show that class",
    "pictures that start at a class show it in part only",
    "pictures that start at a class are not the reason for the decision",
)
_IMAGE = _Question(
    "switches",
    "another image's",
    "Through another image's switches",
    "where things lie in them is the image's doing, by the switches of the max pools, not the "
    "filters'",
    "where things lie in them is in part the image's doing, by the switches of the max pools",
    "they hardly depend on where the image's maxima stood",
)


def verdict(sanity: Sanity, thresholds: Thresholds | None = None) -> str:
    """Say what the numbers allow.

    Args:
        sanity: the results.
        thresholds: where words change; None takes the defaults.

    Returns:
        One paragraph about the chosen rules' pictures, with the gradient's numbers in brackets.
    """
    return " ".join(_sentences(sanity, thresholds or Thresholds()))


def share_kept(sanity: Sanity, group: str, name: str, rule: str) -> float:
    """Give the share of a picture that stays when one thing is changed, as the module says.

    Returns:
        About 0 for another picture, 1 for the same; NaN where there is no such comparison.
    """
    row = sanity.row(group, rule, name)
    if row is None:
        return math.nan
    floors = {metric: sanity.floor(rule, metric, name == ANOTHER_CLASS) for metric in _RANKS}
    shares = [
        (row.mean(metric) - floor) / (1 - floor) for metric, floor in floors.items() if floor < 1
    ]
    return max((share for share in shares if not math.isnan(share)), default=math.nan)


def _sentences(sanity: Sanity, limits: Thresholds) -> Iterator[str]:
    beside = f", {sanity.rules[-1]} in brackets" if len(sanity.rules) > 1 else ""
    count = len(sanity.watched.images)
    yield (
        f"The {sanity.rules[0]} pictures of {sanity.layer}, judged on {counted(count, 'image')} "
        "(0% "
        "is the likeness of unrelated pictures, 100% the same picture, by the ranks of |map| or "
        "of the "
        f"signed map, whichever stays more{beside})."
    )
    if count < limits.steady:
        yield (
            f"So few images give unsteady numbers: take {limits.steady} or more before you trust "
            "the words that follow."
        )
    for question in _questions(sanity):
        yield _answer(sanity, question, limits)
    if not sanity.depends_on_image:
        yield (
            "There is no max pool on the way back, so by these rules the picture of a unit is the "
            "same for every image, but for its strength: it shows nothing of the image."
        )
    yield _recovered(sanity, limits)
    yield _covered(sanity, limits)
    yield _foretold(sanity, limits)


def _questions(sanity: Sanity) -> Iterator[_Question]:
    rows = [row for row in sanity.rows if (row.group, row.rule) == ("cascade", sanity.rules[0])]
    yield _Question(
        "cascade",
        rows[-1].name,
        f"With new weights in {rows[-1].name.replace(' to ', ' down to ')}",
        "they show what was learnt",
        "they show in part what was learnt, in part what any network of this shape shows",
        "they show what any network of this shape shows, not what was learnt",
    )
    if len(rows) > 1:
        yield _Question(
            "cascade",
            rows[0].name,
            f"With new weights in {rows[0].name} alone",
            "they do show that layer's own weights",
            "they show that layer's own weights in part",
            "they tell of the layers below it rather than of its own weights",
        )
    yield from (_UNIT, _CLASS)
    if sanity.row(_IMAGE.group, sanity.rules[0], _IMAGE.name):
        yield _IMAGE


def _answer(sanity: Sanity, question: _Question, limits: Thresholds) -> str:
    left, *beside = (
        share_kept(sanity, question.group, question.name, rule) for rule in sanity.rules
    )
    if math.isnan(left):
        reason = sanity.missing.get(question.name, "pictures were empty").rstrip(".")
        return f"{question.change}: not known ({reason})."
    words = question.partly
    if left <= limits.another:
        words = question.another
    elif left >= limits.same:
        words = question.same
    numbers = f"{_percent(left)} of the picture stays{_bracket(*map(_percent, beside))}"
    return f"{question.change}, {numbers}: {words}."


def _recovered(sanity: Sanity, limits: Thresholds) -> str:
    likeness = [
        [_value(sanity, "the image", rule, "spearman"), _value(sanity, EDGES, rule, "spearman_abs")]
        for rule in sanity.rules
    ]
    image, edge = likeness[0]
    words = (
        "much of what is seen in them is the image itself, whatever the unit"
        if max(image, edge) >= limits.recovered
        else "they are not just the image drawn again"
    )
    beside = _bracket(*(f"{one:.2f} and {other:.2f}" for one, other in likeness[1:]))
    return (
        f"Their rank correlation with the image is {image:.2f}, that of their strength with its "
        f"edges {edge:.2f}{beside}: {words}."
    )


def _covered(sanity: Sanity, limits: Thresholds) -> str:
    own, *beside = (sanity.covering[rule] for rule in sanity.rules)
    drop, elsewhere = mean(own.drop), mean(own.elsewhere)
    edge = mean(sanity.covering[EDGES].drop)
    words = (
        "where they are strong, the unit looks"
        if drop - elsewhere >= limits.beyond
        else "covering where they are strong takes hardly more than covering elsewhere"
    )
    numbers = _bracket(*(_percent(mean(one.drop)) for one in beside))
    return (
        f"Covering their strongest part takes {_percent(drop)} of the activation{numbers}, the "
        f"same shape elsewhere {_percent(elsewhere)}, the image's strongest edges "
        f"{_percent(edge)}; an occluding square agrees with them by a rank correlation of "
        f"{mean(own.occlusion):.2f}: {words}."
    )


def _foretold(sanity: Sanity, limits: Thresholds) -> str:
    unsaid, *beside = (mean(sanity.covering[rule].infidelity) for rule in sanity.rules)
    if math.isnan(unsaid):
        return "The units did not answer to small changes, so nothing is known of their signs."
    words = (
        "bright and dark may be read as more and less activation"
        if unsaid <= limits.unsaid
        else "bright and dark must not be read as more and less activation"
    )
    numbers = _bracket(*(_percent(1 - one) for one in beside))
    return (
        f"They foretell {_percent(1 - unsaid)} of how units answer to small changes of the image"
        f"{numbers}: {words}."
    )


def _value(sanity: Sanity, name: str, rule: str, metric: str) -> float:
    row = sanity.row("baseline", rule, name)
    return row.mean(metric) if row else math.nan


def _percent(share: float) -> str:
    return "unknown" if math.isnan(share) else f"{max(round(100 * share), 0)}%"


def _bracket(*words: str) -> str:
    return f" ({', '.join(words)})" if words else ""

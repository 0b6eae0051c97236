"""The paragraph: every sentence turns when its number does."""

import dataclasses

import numpy as np
import pytest

from deconvviz.deconv.receptive_field import Box
from deconvviz.experiments.covering import Agreement
from deconvviz.experiments.findings import EDGES, OTHER_NETWORKS_PICTURE, Row, Sanity, Settings
from deconvviz.experiments.verdict import Thresholds, share_kept, verdict
from deconvviz.experiments.watched import Watched

BOTH = ("deconvnet", "gradient")
IMAGES = np.zeros((2, 4, 4, 1), np.float32)
INTS = np.zeros(2, np.int32)
WATCHED = Watched(
    IMAGES, np.arange(2), "conv2", INTS, np.zeros((2, 2), np.int32), np.ones(2, np.float32), INTS,
    (Box(0, 0, 4, 4),) * 2,
)  # fmt: skip


def row(group: str, name: str, strength: float, signed: float, rule: str = "deconvnet") -> Row:
    return Row(group, name, rule, np.array([[strength, signed, 0, 0, 0]] * 2))


def agreement(drop: float, elsewhere: float, infidelity: float) -> Agreement:
    return Agreement(*(np.full(2, each) for each in (drop, elsewhere, 0.5, infidelity)))


def results(
    changed: dict[str, tuple[float, float]] | None = None, rules: tuple[str, ...] = BOTH
) -> Sanity:
    numbers = {"top": (0.1, 0.1), "all": (0.1, 0.1), "unit": (0.1, 0.1), "klass": (0.1, 0.1)}
    numbers |= {"switches": (0.1, 0.1), "image": (0.1, 0.1), "edges": (0.1, 0.1)} | (changed or {})
    rows = [
        made
        for rule in rules
        for made in (
            row("floor", "another image's picture", 0.1, 0, rule),
            row("floor", "another image's class", 0.1, 0, rule),
            row("cascade", "conv2", *numbers["top"], rule),
            row("cascade", "conv2 to conv1", *numbers["all"], rule),
            row("selectivity", "another unit", *numbers["unit"], rule),
            row("selectivity", "another class", *numbers["klass"], rule),
            row("switches", "another image's", *numbers["switches"], rule),
            row("baseline", "the image", *numbers["image"], rule),
            row("baseline", EDGES, *numbers["edges"], rule),
        )
    ]
    covering = dict.fromkeys((*rules, EDGES), agreement(0.5, 0.1, 0.2))
    return Sanity("conv2", rules, WATCHED, tuple(rows), covering, {}, {}, True, Settings())


@pytest.mark.parametrize(
    ("change", "another", "same"),
    [
        ("all", "they show what was learnt", "what any network of this shape shows, not"),
        ("top", "they do show that layer's own weights", "the layers below it rather"),
        ("unit", "each is the picture of its unit", "none may be read as the portrait"),
        ("klass", "start at a class show that class", "are not the reason for the decision"),
        ("switches", "not the filters'", "hardly depend on where"),
    ],
)
def test_a_sentence_turns_with_what_stays_of_the_picture(
    change: str, another: str, same: str
) -> None:
    assert another in verdict(results())
    for high in ((0.9, 0.0), (0.1, 0.9)):  # where either is still seen, nothing has changed
        text = verdict(results({change: high}))
        assert same in text
        assert another not in text
    between = verdict(results({change: (0.1, 0.35)}))
    assert another not in between
    assert same not in between
    assert "in part" in between
    assert "35% of the picture stays (35%)" in between


def test_the_higher_floor_counts() -> None:
    sanity = results({"unit": (0.55, -0.5)})
    shape = row("floor", OTHER_NETWORKS_PICTURE, 0.4, 0)
    raised = dataclasses.replace(sanity, rows=(*sanity.rows, shape))
    left = share_kept(raised, "selectivity", "another unit", "deconvnet")
    assert left == pytest.approx(0.25)  # from .4 to 1, .55 is a quarter of the way


def test_what_stays_is_counted_from_the_floor() -> None:
    # From .1 to 1, .55 is half way; signed, from 0, it would be 55%, but signed it is -.5.
    sanity = results({"unit": (0.55, -0.5)})
    assert share_kept(sanity, "selectivity", "another unit", "deconvnet") == pytest.approx(0.5)
    assert np.isnan(share_kept(sanity, "selectivity", "no such", "deconvnet"))


@pytest.mark.parametrize("change", ["image", "edges"])
def test_a_picture_that_is_like_the_image_is_called_so(change: str) -> None:
    assert "not just the image drawn again" in verdict(results())
    assert "is the image itself" in verdict(results({change: (0.6, 0.6)}))


def test_covering_and_foretelling_turn_with_their_numbers() -> None:
    sanity = results()
    assert "where they are strong, the unit looks" in verdict(sanity)
    assert "may be read as more and less activation" in verdict(sanity)
    blind = dataclasses.replace(
        sanity, covering=dict.fromkeys((*BOTH, EDGES), agreement(0.15, 0.1, 0.9))
    )
    assert "takes hardly more than covering elsewhere" in verdict(blind)
    assert "must not be read as more and less" in verdict(blind)


def test_the_thresholds_decide() -> None:
    sanity = results({"unit": (0.1, 0.35)})
    assert "each is the picture of its unit" in verdict(sanity, Thresholds(another=0.4))
    assert "none may be read" in verdict(sanity, Thresholds(same=0.3))


def test_what_is_not_known_is_said_and_why() -> None:
    nothing = (float("nan"), float("nan"))
    sanity = results({"klass": nothing, "unit": nothing})
    text = verdict(dataclasses.replace(sanity, missing={"another class": "There is no class."}))
    assert "most probable: not known (There is no class)." in text
    assert "the same place: not known (pictures were empty)." in text


def test_alone_the_gradient_has_no_brackets() -> None:
    text = verdict(results(rules=("gradient",)))
    assert text.startswith("The gradient pictures of conv2, judged on 2 images")
    assert "stays:" in text


def test_few_images_are_not_trusted() -> None:
    few = results()
    assert "unsteady" in verdict(few)
    assert "unsteady" not in verdict(few, Thresholds(steady=len(few.watched.images)))

"""The checks as a whole, on networks where it is known what must come out."""

import keras
import numpy as np
import pytest

import deconvviz
from deconvviz.errors import DataError
from deconvviz.experiments.covering import Sizes
from deconvviz.experiments.findings import Sanity, Settings
from deconvviz.experiments.sanity import check
from deconvviz.experiments.similarity import METRICS
from deconvviz.experiments.verdict import verdict

IMAGES = np.random.default_rng(5).normal(size=(3, 12, 12, 3)).astype(np.float32)
QUICK = Settings(draws=2, sizes=Sizes(moves=1, square=0.5, noises=4))


def network(activation: str | None, pool: bool = True, top: str = "softmax") -> keras.Model:
    keras.utils.set_random_seed(8)
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(6, 3, padding="same", activation=activation, name="conv1"),
            *([keras.layers.MaxPooling2D(2, name="pool1")] if pool else []),
            keras.layers.Conv2D(6, 3, padding="same", activation=activation, name="conv2"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(4, activation=top, name="top"),
        ]
    )


def values(sanity: Sanity, rule: str) -> dict[tuple[str, str], np.ndarray]:
    return {(row.group, row.name): row.values for row in sanity.rows if row.rule == rule}


@pytest.fixture(scope="module")
def checked() -> tuple[Sanity, bool]:
    """The checks of a small network, and whether its weights are what they were."""
    model = network("relu")
    before = [each.copy() for each in model.get_weights()]
    sanity = check(deconvviz.Deconvnet(model), IMAGES, "conv2", "deconvnet", settings=QUICK)
    after = model.get_weights()
    return sanity, all((a == b).all() for a, b in zip(after, before, strict=True))


def test_every_check_is_made_by_both_rules(checked: tuple[Sanity, bool]) -> None:
    sanity, _ = checked
    assert sanity.rules == ("deconvnet", "gradient")
    assert sanity.missing == {}
    expected = {
        ("calibration", "the same picture"): 3,
        ("calibration", "two of noise"): 3,
        ("floor", "noise"): 3,
        ("floor", "another image's picture"): 6,
        ("floor", "another image's class"): 3,
        ("floor", "another image's, all weights new"): 6,
        ("floor", "all weights new twice"): 3,
        ("baseline", "the image"): 3,
        ("baseline", "the image's edges"): 3,
        ("cascade", "conv2"): 6,
        ("cascade", "conv2 to conv1"): 6,
        ("independent", "conv2"): 6,
        ("independent", "conv1"): 6,
        ("selectivity", "another unit"): 3,
        ("selectivity", "another class"): 3,
        ("switches", "another image's"): 3,
        ("switches", "each window's centre"): 3,
    }
    for rule in sanity.rules:
        assert {key: len(each) for key, each in values(sanity, rule).items()} == expected


def test_the_callers_model_keeps_its_weights(checked: tuple[Sanity, bool]) -> None:
    assert checked[1]


def test_the_same_picture_is_wholly_alike_and_all_others_are_not(
    checked: tuple[Sanity, bool],
) -> None:
    for rule in checked[0].rules:
        for (group, name), each in values(checked[0], rule).items():
            same = (group, name) == ("calibration", "the same picture")
            cosine = each[:, METRICS.index("cosine")]
            cosine = cosine[~np.isnan(cosine)]
            assert np.allclose(cosine, 1) if same else (cosine < 0.999).all(), (group, name)


def test_in_a_linear_network_the_rules_give_the_same_numbers() -> None:
    """Without ReLUs all rules are one (METHOD's identities), so all likenesses must be too."""
    net = deconvviz.Deconvnet(network(None))
    sanity = check(net, IMAGES, "conv2", "deconvnet", settings=QUICK)
    own, gradient = (values(sanity, rule) for rule in sanity.rules)
    for key in own:
        np.testing.assert_allclose(own[key], gradient[key], atol=2e-3, err_msg=str(key))


def test_without_pools_the_switches_are_left_out_and_the_paragraph_says_it() -> None:
    net = deconvviz.Deconvnet(network("relu", pool=False, top="tanh"))
    sanity = check(net, IMAGES, "conv2", "deconvnet", settings=QUICK)
    assert not sanity.depends_on_image
    assert not [row for row in sanity.rows if row.group == "switches"]
    assert "the same for every image" in verdict(sanity)
    # And tanh, which has no rule, keeps the classes from being asked.
    assert "tanh" in sanity.missing["another class"]
    assert "not known" in verdict(sanity)


def test_gradient_pictures_are_checked_alone() -> None:
    net = deconvviz.Deconvnet(network("relu"), rules="gradient")
    sanity = check(net, IMAGES, "pool1", "gradient", feature=2, settings=QUICK)
    assert sanity.rules == ("gradient",)
    assert set(sanity.watched.feature) == {2}


def test_one_image_is_too_few() -> None:
    with pytest.raises(DataError, match="1 of 1 image"):
        check(deconvviz.Deconvnet(network("relu")), IMAGES[:1], "pool1", "deconvnet")


def test_with_a_max_pool_deconvnet_pictures_of_a_random_network_ignore_the_class() -> None:
    """Nie et al. 2018; METHOD measured .93, .97 and -.01 between classes with 1,024 filters."""
    random = np.random.default_rng(6)
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(1024, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(2, use_bias=False, name="class"),
        ]
    )
    model.set_weights([random.normal(size=w.shape) * (w.ndim > 1) for w in model.get_weights()])
    x = random.normal(size=(1, 12, 12, 3)).astype(np.float32)
    across, alike = {}, {}
    for rules in ("deconvnet", "guided", "gradient"):
        net = deconvviz.Deconvnet(model, rules=rules)
        traced = net.trace(x, "class")
        maps = [net.project(traced, np.eye(2, dtype=np.float32)[[at]]).ravel() for at in (0, 1)]
        across[rules] = np.corrcoef(*maps)[0, 1]
        alike[rules] = abs(np.corrcoef(maps[0], x.ravel())[0, 1])
    assert min(across["deconvnet"], across["guided"]) > 0.8
    assert abs(across["gradient"]) < 0.2  # noise of 432 pixels is .05
    assert alike["guided"] > 0.5
    assert alike["gradient"] < 0.2

"""Δ of signs whose distance is known by algebra, and of a network that shows what it sees."""

from typing import Any

import numpy as np
import pytest

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.experiments.correspondence import correspond, sign_distances


@pytest.fixture(scope="module")
def net() -> Deconvnet:
    """Layer `same` is the image, `apart` its sum over blocks of 2 x 2, both without a ReLU."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Activation("linear", name="same"),
            keras.layers.Conv2D(1, 2, strides=2, use_bias=False, name="apart"),
        ]
    )
    model.get_layer("apart").set_weights([np.ones((2, 2, 1, 1), np.float32)])
    return Deconvnet(model)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 8, 8, 1)).astype(np.float32)


def everywhere(box: tuple[int, int, int, int], count: int) -> np.ndarray:
    return np.array([box] * count)


# Oracle: identical 0, opposite 1, dense random 1/2, sparse p: 2p(1-p) + p²/2.
def test_signs_that_agree_have_no_distance_and_opposite_ones_the_whole() -> None:
    signs = np.sign(np.random.default_rng(0).normal(size=1000))
    assert sign_distances(np.stack([signs, signs, -signs])).tolist() == [0, 1, 1]


@pytest.mark.parametrize("share", [0.04, 0.3, 1.0])
def test_random_signs_differ_as_often_as_chance_says(share: float) -> None:
    random = np.random.default_rng(1)
    signs = random.choice([-1, 1], (5, 40_000)) * (random.random((5, 40_000)) < share)
    expected = 2 * share * (1 - share) + share**2 / 2
    distances = sign_distances(signs)
    assert distances.shape == (10,)
    # Four standard errors of one pair's share of 40,000 independent entries.
    assert np.abs(distances - expected).max() < 4 * np.sqrt(expected * (1 - expected) / 40_000)


def test_images_that_are_the_same_correspond_wholly(net: Deconvnet) -> None:
    same = np.repeat(images(1), 4, axis=0)
    record = correspond(net, same, {"part": everywhere((1, 2, 3, 4), 4)}, ["same", "apart"])
    assert not record.distances.any()
    assert not record.deviation.any()
    assert not record.total.any()
    assert record.random_delta.min() > 0  # the control's boxes lie elsewhere in every image
    assert record.changed[0, 0] == 12 / 64


def test_the_negative_image_is_the_opposite(net: Deconvnet) -> None:
    pair = np.concatenate([images(1), -images(1)])
    record = correspond(net, pair, {"all": everywhere((0, 0, 8, 8), 2)}, ["same", "apart"])
    np.testing.assert_array_equal(record.delta, [[1, 1]])
    np.testing.assert_array_equal(record.total, [[2 * 64, 2 * 16]])  # two ordered pairs
    np.testing.assert_array_equal(record.entries, [64, 16])


def test_delta_is_the_mean_over_ordered_pairs_of_differing_signs(net: Deconvnet) -> None:
    given = images(5)
    record = correspond(net, given, {"part": everywhere((2, 1, 4, 5), 5)}, ["same"])
    eps = np.zeros_like(given)
    eps[:, 2:6, 1:6] = given[:, 2:6, 1:6]  # what the box took away: x - 0
    each = [
        np.mean(np.sign(eps[i]) != np.sign(eps[j])) for i in range(5) for j in range(5) if i != j
    ]
    assert len(each) == 20
    assert record.delta[0, 0] == pytest.approx(np.mean(each))
    assert record.deviation[0, 0] == pytest.approx(np.std(each))
    assert record.total[0, 0] == round(sum(each) * 64)


def test_delta_does_not_depend_on_the_features_scale() -> None:
    import keras

    def scaled(factor: float) -> Deconvnet:
        layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(factor, name="scale")]
        return Deconvnet(keras.Sequential(layers))

    part = {"part": everywhere((0, 3, 4, 4), 3)}
    first, second = (correspond(scaled(by), images(3), part, ["scale"]) for by in (1.0, 2.0**10))
    np.testing.assert_array_equal(first.distances, second.distances)
    np.testing.assert_array_equal(first.random_distances, second.random_distances)


def test_the_boxes_are_filled_with_the_value(net: Deconvnet) -> None:
    given = np.full((2, 8, 8, 1), 3, np.float32)
    given[1] = 1
    part = {"part": everywhere((0, 0, 2, 2), 2)}
    # Filled with 2, the first image falls and the second rises, in the 4 pixels of the box.
    record = correspond(net, given, part, ["same"], value=2.0)
    assert record.delta[0, 0] == 4 / 64
    assert record.value.tolist() == [2.0]
    record = correspond(net, given, part, ["same"], value=3.0)
    assert record.changed[0, 0] == (0 + 4 / 64) / 2


def test_random_boxes_have_the_parts_sizes_and_lie_in_the_images(net: Deconvnet) -> None:
    boxes = np.array([[0, 0, 2, 3], [5, 4, 3, 4], [0, 0, 8, 8]])
    record = correspond(net, images(3), {"part": boxes}, ["same"], repetitions=50)
    assert record.random_boxes.shape == (1, 50, 3, 4)
    top, left, height, width = np.moveaxis(record.random_boxes[0], -1, 0)
    np.testing.assert_array_equal(height, np.broadcast_to(boxes[:, 2], (50, 3)))
    np.testing.assert_array_equal(width, np.broadcast_to(boxes[:, 3], (50, 3)))
    assert (top.min(), left.min()) == (0, 0)
    assert ((top + height).max(), (left + width).max()) == (8, 8)  # up to the last row and column
    assert len(np.unique(top[:, 0])) == 7  # every place in reach


def test_the_seed_decides_the_control(net: Deconvnet) -> None:
    part = {"part": everywhere((0, 0, 2, 2), 2)}
    first, again, other = (correspond(net, images(2), part, ["same"], seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.random_boxes, again.random_boxes)
    assert (first.random_boxes != other.random_boxes).any()


def test_the_control_is_measured_as_the_parts_are(net: Deconvnet) -> None:
    given = images(3)
    record = correspond(net, given, {"a": everywhere((0, 0, 2, 2), 3)}, ["apart"], repetitions=2)
    again = correspond(net, given, {"b": record.random_boxes[0, 1]}, ["apart"])
    np.testing.assert_array_equal(record.random_distances[0, 1], again.distances[0])


def test_work_can_be_watched(net: Deconvnet) -> None:
    seen: list[Any] = []

    def watch(steps: Any) -> Any:
        for step in steps:
            seen.append(step)
            yield step

    parts = {name: everywhere((0, 0, 2, 2), 2) for name in "ab"}
    correspond(net, images(2), parts, ["same"], repetitions=3, watch=watch)
    assert len(seen) == 2 * (1 + 3)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 9, 2), "'nose' in image 1.*height 9.*8 pixels high and 8 wide"),
        ((-1, 0, 2, 2), "top -1"),
        ((0, 7, 2, 2), "left 7"),
        ((0, 0, 0, 2), "height 0"),
    ],
)
def test_boxes_outside_the_image_are_refused(
    box: tuple[int, int, int, int], words: str, net: Deconvnet
) -> None:
    with pytest.raises(DataError, match=words):
        correspond(net, images(2), {"nose": np.array([(0, 0, 2, 2), box])}, ["same"])


def test_what_cannot_be_compared_is_refused(net: Deconvnet) -> None:
    part = {"nose": everywhere((0, 0, 2, 2), 1)}
    with pytest.raises(DataError, match="at least 2; received 1"):
        correspond(net, images(1), part, ["same"])
    with pytest.raises(DataError, match="each of the 2 images"):
        correspond(net, images(2), part, ["same"])
    with pytest.raises(DataError, match="at least one"):
        correspond(net, images(2), {}, ["same"])
    part = {"nose": everywhere((0, 0, 2, 2), 2)}
    with pytest.raises(DeconvvizError, match="nowhere"):
        correspond(net, images(2), part, ["nowhere"])
    with pytest.raises(DeconvvizError, match="repetitions takes a whole number, 1 or more"):
        correspond(net, images(2), part, ["same"], repetitions=0)

"""Occlusion maps of networks whose answers can be computed by hand, and what may not change."""

from typing import Any

import numpy as np
import pytest

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.experiments.occlusion import covered_images, occlude, square_for


@pytest.fixture(scope="module")
def net() -> Deconvnet:
    """Map 0 is the image, map 1 a tenth of it; the logits are the sums of its left and right half.

    8 x 8 pixels, one channel, none negative: a ReLU changes nothing.
    """
    import keras

    images = keras.Input((8, 8, 1))
    maps = keras.layers.Conv2D(2, 1, activation="relu", use_bias=False, name="maps")(images)
    votes = keras.layers.Flatten(name="flat")(maps)
    votes = keras.layers.Dense(2, use_bias=False, name="logits")(votes)
    model = keras.Model(images, votes)
    model.get_layer("maps").set_weights([np.array([1.0, 0.1], np.float32).reshape(1, 1, 1, 2)])
    halves = np.zeros((8, 8, 2, 2), np.float32)
    halves[:, :4, 0, 0] = halves[:, 4:, 0, 1] = 1
    model.get_layer("logits").set_weights([halves.reshape(128, 2)])
    return Deconvnet(model)


def blob() -> np.ndarray:
    """A bright blob in the left half, a weaker one in the right half."""
    image = np.zeros((8, 8, 1), np.float32)
    image[1:3, 1:3] = 2
    image[5:7, 5:7] = 1
    return image


def sums_left(image: np.ndarray, rows: Any, columns: Any, size: int) -> np.ndarray:
    """What is left of the image's sum beside the square, at each of its places."""
    whole = image.sum()
    return np.array(
        [[whole - image[y : y + size, x : x + size].sum() for x in columns] for y in rows]
    )


def test_activity_is_what_the_square_leaves_of_the_map(net: Deconvnet) -> None:
    record = occlude(net, blob(), 0, "maps")
    assert (record.square.size, record.square.stride) == (2, 1)  # a quarter of 8, a quarter of 2
    assert record.rows.tolist() == record.columns.tolist() == list(range(7))
    np.testing.assert_array_equal(
        record.activity, sums_left(blob(), record.rows, record.columns, 2)
    )
    assert record.activity_without == 12
    assert (record.feature, record.activation) == (0, 2.0)


def test_probability_and_guess_follow_the_halves(net: Deconvnet) -> None:
    square = square_for((8, 8, 1), size=3, stride=2)
    record = occlude(net, blob(), 1, "maps", square)
    assert record.softmax
    assert record.rows.tolist() == [0, 2, 4]
    left, right = blob(), blob()
    left[:, 4:] = right[:, :4] = 0
    votes = [sums_left(half, record.rows, record.columns, 3) for half in (left, right)]
    np.testing.assert_allclose(record.probability, 1 / (1 + np.exp(votes[0] - votes[1])), rtol=1e-5)
    np.testing.assert_array_equal(record.guess, (votes[1] > votes[0]).astype(int))
    assert (record.guess == 1).sum() == 1  # only the square over the bright blob turns the answer
    assert record.guess_without == 0
    assert record.probability_without == pytest.approx(1 / (1 + np.exp(4)))


def test_another_map_can_be_watched(net: Deconvnet) -> None:
    record = occlude(net, blob(), 0, "maps", feature=1)
    expected = 0.1 * sums_left(blob(), record.rows, record.columns, 2)
    np.testing.assert_allclose(record.activity, expected, rtol=1e-6)
    assert record.activation == pytest.approx(0.2)


def test_the_strongest_map_holds_the_largest_activation_not_the_largest_sum() -> None:
    import keras

    images = keras.Input((4, 4, 2))
    maps = keras.layers.Activation("relu", name="maps")(images)
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(maps))
    image = np.ones((4, 4, 2), np.float32)
    image[..., 1] = 0
    image[0, 0, 1] = 3
    record = occlude(Deconvnet(model), image, 0, "maps")
    assert (record.feature, record.activation, record.activity_without) == (1, 3.0, 3.0)


def test_a_square_of_another_value_adds_that_value(net: Deconvnet) -> None:
    square = square_for((8, 8, 1), value=0.5, size=2, stride=2)
    record = occlude(net, blob(), 0, "maps", square)
    beside = sums_left(blob(), record.rows, record.columns, 2)
    np.testing.assert_allclose(record.activity, beside + 4 * 0.5, rtol=1e-6)


def test_outputs_that_are_probabilities_are_taken_as_they_are(net: Deconvnet) -> None:
    import keras

    wrapped = keras.Sequential([net.model, keras.layers.Softmax()])
    plain, soft = (occlude(each, blob(), 0, path) for each, path in _both(net, wrapped))
    assert plain.softmax
    assert not soft.softmax
    np.testing.assert_allclose(soft.probability, plain.probability, rtol=1e-5)


def _both(net: Deconvnet, wrapped: Any) -> list[tuple[Deconvnet, str]]:
    outer = Deconvnet(wrapped)
    path = next(layer.path for layer in outer.layers if layer.path.endswith("maps"))
    return [(net, "maps"), (outer, path)]


def test_a_square_outside_what_a_unit_sees_leaves_it_to_the_last_bit(zoo_net: Deconvnet) -> None:
    random = np.random.default_rng(1)
    image = random.normal(size=(12, 12, 3)).astype(np.float32)
    square = square_for(image.shape, size=3, stride=1)
    rows, columns = square.places(image.shape)
    places = [(int(y), int(x)) for y in rows for x in columns]
    covered = covered_images(image, square, places)
    for layer in ("conv1", "pool1", "conv2"):
        # As many images as are covered: in a batch of another size a kernel may round otherwise.
        plain = zoo_net.activation(np.broadcast_to(image, covered.shape), layer)
        changed = (zoo_net.activation(covered, layer) != plain).any(axis=-1)
        outside = 0
        for y, x in np.ndindex(*plain.shape[1:3]):
            box = zoo_net.seen(layer, (y, x))
            apart = np.array(
                [
                    top >= box.bottom or top + 3 <= box.top
                    or left >= box.right or left + 3 <= box.left
                    for top, left in places
                ]
            )  # fmt: skip
            assert not changed[apart, y, x].any(), (layer, y, x)
            outside += int(apart.sum())
        assert outside > 100, layer
        assert changed.any()


@pytest.fixture(scope="module")
def zoo_net() -> Deconvnet:
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return Deconvnet(model)


def test_a_large_sweep_equals_one_place_at_a_time(zoo_net: Deconvnet) -> None:
    image = np.random.default_rng(2).normal(size=(12, 12, 3)).astype(np.float32)
    record = occlude(zoo_net, image, 1, "conv2", square_for(image.shape, size=1))
    assert record.activity.shape == (12, 12)  # 144 places: more than one batch
    for y, x in ((0, 0), (7, 3), (11, 11)):
        one = image.copy()
        one[y, x] = 0
        maps = zoo_net.activation(one[None], "conv2")[0, ..., record.feature]
        assert record.activity[y, x] == pytest.approx(maps.sum(), rel=1e-5)
        answer = zoo_net.model.predict(one[None], verbose=0)[0]
        assert record.probability[y, x] == pytest.approx(answer[1], rel=1e-5)
        assert record.guess[y, x] == answer.argmax()


def test_a_unit_of_a_dense_layer_can_be_watched(net: Deconvnet) -> None:
    record = occlude(net, blob(), 0, "logits", feature=1)
    right = blob()
    right[:, :4] = 0
    np.testing.assert_array_equal(record.activity, sums_left(right, record.rows, record.columns, 2))


@pytest.mark.parametrize(
    ("side", "size", "stride"), [(32, 8, 2), (24, 6, 1), (8, 2, 1), (2, 1, 1), (224, 56, 14)]
)
def test_the_square_is_a_quarter_of_the_image_and_moves_by_a_quarter_of_itself(
    side: int, size: int, stride: int
) -> None:
    square = square_for((side, side + 3, 3), value=[1, 2, 3])
    assert (square.size, square.stride, square.value) == (size, stride, (1.0, 2.0, 3.0))


def test_the_square_of_a_large_image_is_capped() -> None:
    assert square_for((1000, 800, 3)).size == 64


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 9}, "9 pixels wide.*8x8.*1 to 8"),
        ({"size": 0}, "1 to 8"),
        ({"stride": 0}, "stride is 0"),
        ({"size": 3, "stride": 6}, "Choose 1 to 5"),
        ({"value": [1.0, 2.0]}, "channels"),
        ({"value": float("nan")}, "finite"),
    ],
)
def test_an_impossible_square_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(DeconvvizError, match=words):
        square_for((8, 8, 3), **settings)


def test_what_the_network_lacks_is_refused(net: Deconvnet) -> None:
    with pytest.raises(DeconvvizError, match="features 0 to 1; received 2"):
        occlude(net, blob(), 0, "maps", feature=2)
    with pytest.raises(DeconvvizError, match="nowhere"):
        occlude(net, blob(), 0, "nowhere")
    with pytest.raises(DataError, match=r"classes 0 to 1.*class is 2"):
        occlude(net, blob(), 2, "maps")


def test_a_network_without_classes_is_refused() -> None:
    import keras

    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="maps")])
    with pytest.raises(DataError, match=r"\(6, 6, 2\).*each of at least two classes"):
        occlude(Deconvnet(model), blob(), 0, "maps")

"""The strongest activation of each map at one step, and where another image comes to hold it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.receptive_field import Box
from deconvviz.errors import DeconvvizError
from deconvviz.experiments.evolution import Moment, jumps, spread, strongest_moment

RAW = Preprocess("raw")


def colours(weights: Any) -> Deconvnet:
    """One 1x1 convolution with ReLU, whose maps are sums of the colours: `[3, maps]`."""
    import keras

    layer = keras.layers.Conv2D(len(weights[0]), 1, activation="relu", name="conv")
    model = keras.Sequential([keras.Input((4, 5, 3)), layer])
    layer.set_weights([np.asarray(weights, np.float32)[None, None], np.zeros(len(weights[0]))])
    return Deconvnet(model)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (1200, 4, 5, 3), np.uint8)


def at(net: Deconvnet, images: np.ndarray, step: int, features: Any = (0, 1), n: int = 9999) -> Any:
    return strongest_moment(net, images, RAW, ["conv"], features, step, n)["conv"]


def test_each_map_finds_its_unit_its_image_and_its_way_back(images: np.ndarray) -> None:
    images[1100, 2, 3] = 255, 0, 0  # the reddest pixel, in the third batch
    images[7, 1, 4] = 0, 255, 0
    moment = at(colours([[1, 0], [0, 2], [0, -1]]), images, step=30)
    assert (moment.layer, moment.step, moment.searched) == ("conv", 30, 1200)
    assert moment.image.tolist() == [1100, 7]
    assert moment.place.tolist() == [[2, 3], [1, 4]]
    assert moment.value.tolist() == [255, 510]
    assert moment.boxes == (Box(2, 3, 3, 4), Box(1, 4, 2, 5))
    expected = np.zeros((2, 4, 5, 3))
    expected[0, 2, 3] = 255 * np.array([1, 0, 0])  # the value times the filter
    expected[1, 1, 4] = 510 * np.array([0, 2, -1])
    np.testing.assert_array_equal(moment.maps, expected)


def test_among_equals_the_first_image_and_its_first_unit_win(images: np.ndarray) -> None:
    for image, y, x in ((3, 2, 1), (3, 1, 2), (900, 0, 0), (2, 3, 4)):
        images[image, y, x] = 255, 0, 0
    images[2, 3, 4, 0] = 254
    moment = at(colours([[1], [0], [0]]), images, 1, features=[0])
    assert (moment.image.tolist(), moment.place.tolist()) == ([3], [[1, 2]])


def test_a_dead_map_is_told_and_has_no_reconstruction(images: np.ndarray) -> None:
    moment = at(colours([[1, -1], [0, -1], [0, -1]]), images, 1)
    assert moment.dead.tolist() == [False, True]
    assert not moment.maps[1].any()
    assert moment.maps[0].any()


def test_the_images_searched_are_spread_evenly_and_keep_their_numbers(images: np.ndarray) -> None:
    assert spread(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert spread(3, 100).tolist() == [0, 1, 2]
    images[1000, 0, 0] = 240, 0, 0
    images[1001, 0, 0] = 250, 0, 0  # of every second image, this is none
    moment = at(colours([[1], [0], [0]]), images, 1, features=[0], n=600)
    assert (moment.image.tolist(), moment.searched) == ([1000], 600)


def test_a_layer_without_places_shows_the_whole_image(images: np.ndarray) -> None:
    import keras

    model = keras.Sequential(
        [keras.Input((4, 5, 3)), keras.layers.GlobalAveragePooling2D(name="conv")]
    )
    moment = at(Deconvnet(model), images, 1, features=[2])
    means = images[..., 2].mean(axis=(1, 2))
    assert moment.image.tolist() == [means.argmax()]
    assert moment.place.tolist() == [[-1, -1]]
    assert moment.boxes == (Box(0, 0, 4, 5),)


def test_several_layers_agree_with_a_search_by_hand() -> None:
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="conv2"),
        ]
    )
    net, preprocess = Deconvnet(model), Preprocess("standardize")
    pixels = np.random.default_rng(3).integers(0, 256, (700, 8, 8, 3), np.uint8)
    found = strongest_moment(net, pixels, preprocess, ["pool1", "conv2"], [3, 1], 5, 700)
    inputs = preprocess(pixels)
    for layer, moment in found.items():
        maps = np.moveaxis(net.activation(inputs, layer), 3, 0)
        for index, feature in enumerate([3, 1]):
            image, y, x = np.unravel_index(maps[feature].argmax(), maps[feature].shape)
            assert moment.image[index] == image
            assert moment.place[index].tolist() == [y, x]
            alone = net.reconstruct(inputs[image : image + 1], layer, feature, (int(y), int(x)))
            np.testing.assert_allclose(moment.maps[index], alone[0], rtol=1e-5, atol=1e-6)


def test_a_jump_is_another_image_than_at_the_step_before(images: np.ndarray) -> None:
    images[1, 0, 0], images[2, 0, 0] = (255, 0, 0), (0, 255, 0)
    red, green, dead = ([[1], [0], [0]], [[0], [1], [0]], [[-1], [-1], [-1]])
    steps = [red, red, green, dead, red, red]
    moments = [at(colours(weights), images, step, [0]) for step, weights in enumerate(steps)]
    assert [moment.image[0] for moment in moments if not moment.dead[0]] == [1, 1, 2, 1, 1]
    assert jumps(moments).tolist() == [[False, False, True, False, False, False]]
    moved: list[Moment] = [moments[0], replace(moments[1], place=np.array([[3, 3]]))]
    assert not jumps(moved).any()  # another unit of the same image is no jump


def test_a_map_or_a_layer_that_does_not_exist_is_refused(images: np.ndarray) -> None:
    net = colours([[1], [0], [0]])
    with pytest.raises(DeconvvizError, match=r"features 0 to 0; received 1"):
        at(net, images, 1)
    with pytest.raises(DeconvvizError, match="nowhere"):
        strongest_moment(net, images, RAW, ["nowhere"], [0], 1, 10)

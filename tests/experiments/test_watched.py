"""Which unit is watched, and switches that are moved to the middle of their windows."""

import keras
import numpy as np
import pytest

import deconvviz
from deconvviz.deconv.graph import flatten
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.experiments.watched import centred, maps_of, watch

IMAGES = np.random.default_rng(5).normal(size=(3, 9, 9, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> deconvviz.Deconvnet:
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
        keras.layers.MaxPooling2D(3, 2, padding="same", name="pool"),
        keras.layers.Flatten(name="flat"),
    ]
    return deconvviz.Deconvnet(keras.Sequential([keras.Input((9, 9, 2)), *layers]))


def test_the_strongest_unit_of_each_image_is_watched(net: deconvviz.Deconvnet) -> None:
    watched, activation = watch(net, IMAGES, "conv"), net.activation(IMAGES, "conv")
    assert watched.place is not None
    for at in range(3):
        y, x, feature = np.unravel_index(activation[at].argmax(), activation[at].shape)
        assert (watched.feature[at], *watched.place[at]) == (feature, y, x)
        assert watched.value[at] == activation[at].max()
        others = [k for k in range(4) if k != feature]
        assert watched.other[at] == max(others, key=lambda k: activation[at, y, x, k])
        field, box = watched.fields[at], watched.boxes[at]
        assert (field.top, field.left) == (y - 1, x - 1)
        assert (box.top, box.bottom) == (max(y - 1, 0), min(y + 2, 9))


def test_of_one_feature_only_images_in_which_it_fires_are_kept(net: deconvviz.Deconvnet) -> None:
    conv = net.model.get_layer("conv")
    kernel, bias = conv.get_weights()
    strongest = net.activation(IMAGES, "conv")[..., 1].max(axis=(1, 2))
    between = np.sort(strongest)[:2].mean()
    try:
        conv.set_weights([kernel, bias - between * np.eye(4)[1]])
        watched = watch(net, IMAGES, "conv", feature=1)
        assert np.array_equal(watched.index, np.flatnonzero(strongest > between))
        assert (watched.feature == 1).all()
        conv.set_weights([kernel, bias - 1000])
        with pytest.raises(DataError, match="fires in 0 of 3 images"):
            watch(net, IMAGES, "conv")
    finally:
        conv.set_weights([kernel, bias])


def test_a_layer_without_spatial_axes_is_watched_by_its_units(net: deconvviz.Deconvnet) -> None:
    watched = watch(net, IMAGES, "flat")
    assert watched.place is None
    assert np.array_equal(watched.feature, net.activation(IMAGES, "flat").argmax(axis=1))
    assert {(one.top, one.left, one.bottom, one.right) for one in watched.fields} == {(0, 0, 9, 9)}


@pytest.mark.parametrize("feature", [-1, 4])
def test_a_feature_that_is_not_there_is_refused(feature: int, net: deconvviz.Deconvnet) -> None:
    with pytest.raises(DeconvvizError, match=f"received {feature}"):
        watch(net, IMAGES, "conv", feature=feature)


def test_the_watched_units_maps_are_those_of_reconstruct(net: deconvviz.Deconvnet) -> None:
    watched = watch(net, IMAGES, "pool")
    maps = maps_of(net, IMAGES, "pool", watched.signal(net.activation(IMAGES, "pool")))
    expected = net.reconstruct(IMAGES, "pool", watched.feature, watched.place)
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("padding", "size", "centres"),
    # Windows of three by steps of two: with padding the first begins one pixel outside.
    [("same", 5, [0, 2, 4]), ("valid", 5, [1, 3]), ("same", 6, [1, 3, 5]), ("valid", 6, [1, 3])],
)
def test_centred_switches_point_at_the_middle_of_each_window(
    padding: str, size: int, centres: list[int]
) -> None:
    pool = keras.layers.MaxPooling2D(3, 2, padding=padding, name="pool")
    model = keras.Sequential([keras.Input((size, size, 2)), pool])
    images = np.random.default_rng(0).normal(size=(2, size, size, 2)).astype(np.float32)
    traced = deconvviz.Deconvnet(model).trace(images, "pool")
    (switches,) = centred(flatten(model), traced).values()
    expected = [[[(y * size + x) * 2 + c for c in (0, 1)] for x in centres] for y in centres]
    assert np.array_equal(switches, [expected, expected])

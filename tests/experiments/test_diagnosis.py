"""The diagnosis of small networks whose ailments were put in by hand."""

from typing import Any

import keras
import numpy as np
import pytest

import deconvviz
from deconvviz.data import Preprocess
from deconvviz.experiments.ailments import Diagnosis, MapsInUse
from deconvviz.experiments.complaints import complaints
from deconvviz.experiments.diagnosis import diagnose

L = keras.layers
Array = np.ndarray
RAW = Preprocess("raw")
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(1, 256, (10, 12, 12, 3), np.uint8)


def diagnosed(*layers: Any, images: Array = IMAGES, **weights: list[Array]) -> Diagnosis:
    """Diagnose a Sequential of these layers; `weights` are set by the layers' names."""
    model = keras.Sequential([keras.Input(images.shape[1:]), *layers])
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)
    return diagnose(deconvviz.Deconvnet(model), images, RAW)


def points(*values: float) -> Array:
    """A 1 x 1 kernel on three channels: one filter a value, which looks at the first channel."""
    kernel = np.zeros((1, 1, 3, len(values)), np.float32)
    kernel[0, 0, 0] = values
    return kernel


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (1, "silent on this image, too few"),
        (299, "silent on these 299 images, too few"),
        (300, "dead, they never rise above 0 on 300 images"),
    ],
)
def test_maps_are_called_dead_from_three_hundred_images_on(images: int, words: str) -> None:
    """The rule of three: silence on n images says that fewer than 3 / n would make it fire."""
    maps = MapsInUse("conv", np.array([1, 0], np.float32), np.array([0.5, 0]))
    assert words in complaints(Diagnosis(images, "unit", (maps,), (), (), ()))[0]


def test_maps_that_never_rise_are_silent_and_the_others_say_how_often_they_do() -> None:
    images = np.zeros((10, 4, 4, 3), np.uint8)
    images[:3, 1, 2, 0] = 100
    images[3:5, 0, 0, 0] = 20
    found = diagnosed(
        L.Conv2D(3, 1, activation="relu", name="conv"),
        images=images,
        conv=[points(1, -1, 1), np.array([0, 0, -50], np.float32)],
    )
    (maps,) = found.maps
    assert maps.layer == "conv"
    assert maps.silent == (1,)
    assert maps.fires.tolist() == [0.5, 0, 0.3]
    assert maps.largest.tolist() == [100, 0, 50]
    assert found.images == 10
    assert "conv: 1 of 3 feature maps are silent on these 10 images" in complaints(found)[0]
    assert complaints(found)[0].endswith(": 1.")


def test_only_what_is_rectified_can_be_dead_wherever_the_rectification_stands() -> None:
    found = diagnosed(
        L.Conv2D(2, 1, name="bare"),
        L.Conv2D(2, 1, activation="tanh", name="tanh"),
        L.BatchNormalization(name="norm"),
        L.ReLU(name="relu"),
        L.Activation("relu", name="again"),
        L.GlobalMaxPooling2D(name="pool"),
        L.Dense(4, activation="relu", name="dense"),
        L.Dense(2, name="logits"),
    )
    assert [maps.layer for maps in found.maps] == ["relu", "again", "dense"]
    assert found.maps[2].largest.shape == (4,)


def test_images_are_scaled_as_asked_and_looked_at_in_any_number_of_chunks() -> None:
    images = np.full((300, 2, 2, 3), 51, np.uint8)
    images[299] = 255
    model = keras.Sequential([keras.Input((2, 2, 3)), L.Conv2D(1, 1, activation="relu")])
    model.layers[0].set_weights([points(1), np.array([-0.5], np.float32)])
    seen: list[int] = []
    found = diagnose(deconvviz.Deconvnet(model), images, Preprocess("unit"), seen.append)
    assert found.maps[0].fires.tolist() == [1 / 300]
    assert found.maps[0].largest[0] == pytest.approx(0.5)
    assert seen[-1] == 300
    assert seen == sorted(seen)
    assert found.preprocess == "unit"


def test_a_filter_dominates_that_is_three_times_the_median() -> None:
    found = diagnosed(L.Conv2D(5, 1, use_bias=False, name="conv"), conv=[points(1, 2, 6.3, 5.9, 2)])
    (filters,) = found.filters
    # One weight of three is not zero.
    np.testing.assert_allclose(filters.rms, np.array([1, 2, 6.3, 5.9, 2]) / np.sqrt(3), rtol=1e-6)
    assert filters.dominating == (2,)
    assert not filters.normalised
    assert any(
        "1 of 5 filters dominate" in text and "median: 2." in text for text in complaints(found)
    )


def test_a_normalisation_behind_decides_how_large_a_filter_is() -> None:
    gamma, variance = np.array([1, -2, 9]), np.array([4, 1, 900])
    found = diagnosed(
        L.Conv2D(3, 1, use_bias=False, name="conv"),
        L.BatchNormalization(epsilon=0.0, name="norm"),
        conv=[points(3, 3, 30)],
        norm=[gamma, np.zeros(3), np.zeros(3), variance],
    )
    (filters,) = found.filters
    assert filters.normalised
    np.testing.assert_allclose(filters.rms, np.array([1.5, 6, 9]) / np.sqrt(3), rtol=1e-6)
    assert filters.dominating == ()


def test_a_normalisation_of_something_else_too_is_left_out() -> None:
    images = keras.Input((12, 12, 3))
    x = L.Conv2D(2, 1, name="conv")(images)
    both = L.Add()([L.BatchNormalization()(x), x])
    net = deconvviz.Deconvnet(keras.Model(images, both))
    assert not diagnose(net, IMAGES, RAW).filters[0].normalised


def test_the_first_layer_is_the_one_that_looks_at_pixels() -> None:
    found = diagnosed(
        L.Rescaling(1 / 255),
        L.ZeroPadding2D(1),
        L.Conv2D(3, 5, name="first"),
        L.Conv2D(3, 3, name="second"),
    )
    assert [first.layer for first in found.first] == ["first"]
    assert found.first[0].frequency.shape == (3, 3)
    assert found.first[0].colour is not None


def test_grey_networks_have_no_colours() -> None:
    found = diagnosed(L.Conv2D(3, 5), images=IMAGES[..., :1])
    assert found.first[0].colour is None


def test_filters_without_middle_frequencies_are_complained_of() -> None:
    """A flat filter is all low, a checkerboard all high: Zeiler & Fergus's Figure 6b."""
    flat = np.ones((11, 11))
    checkers = (-1.0) ** np.add.outer(np.arange(11), np.arange(11))
    kernel = np.stack([flat, checkers], axis=2)[:, :, None, :].repeat(3, axis=2)
    found = diagnosed(L.Conv2D(2, 11, use_bias=False, name="conv"), conv=[kernel])
    low, mid, high = found.first[0].frequency.T
    assert low[0] > 0.85
    assert high[1] > 0.85
    assert mid.max() < 0.12
    assert any("lack middle frequencies" in text for text in complaints(found))


@pytest.mark.parametrize(
    ("window", "stride", "ratio"),
    [(7, 2, "16:9"), (3, 2, "4:1"), (11, 4, "9:4"), (5, 1, None), (4, 2, "1:1"), (1, 2, "1:0")],
)
@pytest.mark.parametrize("kind", [L.Conv2D, L.MaxPooling2D, L.DepthwiseConv2D])
def test_the_overlap_ratio_is_the_one_that_is_known(
    kind: Any, window: int, stride: int, ratio: str | None
) -> None:
    arguments = (2, window) if kind is L.Conv2D else (window,)
    found = diagnosed(kind(*arguments, strides=stride, padding="same", name="layer"))
    assert [one.ratio for one in found.lattices] == ([] if ratio is None else [ratio])
    said = [text for text in complaints(found) if "lattice" in text]
    assert bool(said) == (ratio not in (None, "1:1"))
    if ratio == "1:0":
        assert "leave out pixels" in said[0]
    elif ratio not in (None, "1:1"):
        assert f", {ratio}." in said[0]


def test_layers_whose_windows_lie_alike_share_a_sentence() -> None:
    pools = [L.MaxPooling2D(3, strides=2, name=name) for name in ("pool1", "pool2")]
    said = [text for text in complaints(diagnosed(*pools)) if "lattice" in text]
    assert len(said) == 1
    assert said[0].startswith("pool1, pool2: windows of 3x3 with a stride of 2x2")


def test_a_stride_too_large_for_its_filters_is_complained_of() -> None:
    point = np.zeros((3, 3, 3, 1), np.float32)
    point[1, 1] = 1
    smooth = np.outer(np.hanning(11), np.hanning(11))[:, :, None, None].repeat(3, axis=2)
    sharp = diagnosed(L.Conv2D(1, 3, strides=2, use_bias=False, name="conv"), conv=[point])
    assert sharp.lattices[0].aliased == pytest.approx(0.75)
    assert any("conv (75%)" in text and "aliasing" in text for text in complaints(sharp))
    soft = diagnosed(L.Conv2D(1, 11, strides=2, use_bias=False, name="conv"), conv=[smooth])
    assert not any("aliasing" in text for text in complaints(soft))


def test_a_healthy_network_gets_no_complaints() -> None:
    kernel = np.full((5, 5, 3, 2), 0.01, np.float32)
    kernel[2, 2] = 1
    found = diagnosed(
        L.Conv2D(2, 5, activation="relu", use_bias=False, name="conv"),
        L.MaxPooling2D(2),
        conv=[kernel],
    )
    assert complaints(found) == ()

"""The built-in photographs: real, offline, and split without overlap."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import skimage.data
from skimage.transform import resize

from deconvviz.config import DataConfig
from deconvviz.data import Dataset, load_dataset, photos
from deconvviz.errors import DataError

SIZES = [(512, 512), (300, 451), (1411, 1411), (61, 97)]


@pytest.fixture(scope="module")
def dataset() -> Iterator[Dataset]:
    with few_crops():
        yield load_dataset(DataConfig(name="photos"), seed=0)


@contextmanager
def few_crops() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(photos, "TRAIN_CROPS", 40)
        monkeypatch.setattr(photos, "TEST_CROPS", 40)
        yield


def boxes(height: int, width: int, held_out: bool, count: int = 1500) -> np.ndarray:
    rng = np.random.default_rng([held_out])
    return photos.crop_boxes(height, width, count, rng, held_out=held_out)


def covered(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Paint every box."""
    canvas = np.zeros((height, width), bool)
    for top, left, side in boxes:
        canvas[top : top + side, left : left + side] = True
    return canvas


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_train_and_test_crops_never_overlap(height: int, width: int) -> None:
    train = covered(boxes(height, width, held_out=False), height, width)
    test = covered(boxes(height, width, held_out=True), height, width)
    assert not (train & test).any()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_crop_lies_inside_its_photograph_and_none_is_empty(height: int, width: int) -> None:
    for held_out in (False, True):
        top, left, side = boxes(height, width, held_out).T
        assert (top >= 0).all()
        assert (left >= 0).all()
        assert (side >= 1).all()
        assert (top + side <= height).all()
        assert (left + side <= width).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_both_regions_reach_every_quarter_of_the_photograph(height: int, width: int) -> None:
    for held_out in (False, True):
        canvas = covered(boxes(height, width, held_out), height, width)
        for rows in np.array_split(canvas, 2, axis=0):
            for quarter in np.array_split(rows, 2, axis=1):
                assert quarter.mean() > 0.1


def test_no_training_pixel_depends_on_a_held_out_pixel_and_the_other_way_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = skimage.data.coffee()
    monkeypatch.setattr(photos, "PHOTOS", ("coffee",))
    with few_crops():
        before = photos.load_photos(32, seed=3)
    height, width, _ = original.shape
    held_out = covered(boxes(height, width, held_out=True, count=20_000), height, width)
    for mask, kept, changed in ((held_out, "train", "test"), (~held_out, "test", "train")):
        painted = np.where(mask[:, :, None], 255 - original, original)
        monkeypatch.setattr(skimage.data, "coffee", lambda painted=painted: painted)
        with few_crops():
            after = photos.load_photos(32, seed=3)
        np.testing.assert_array_equal(getattr(after, kept).images, getattr(before, kept).images)
        assert not np.array_equal(getattr(after, changed).images, getattr(before, changed).images)


def test_there_are_ten_classes_of_equal_size_that_take_turns(dataset: Dataset) -> None:
    assert len(dataset.classes) == 10
    for split in (dataset.train, dataset.test):
        np.testing.assert_array_equal(split.labels, np.arange(len(split.labels)) % 10)
        assert split.labels.dtype == np.int64
        assert split.images.shape == (len(split.labels), 32, 32, 3)
        assert split.images.dtype == np.uint8


def test_a_crop_shows_its_own_photograph_resized_without_aliasing(dataset: Dataset) -> None:
    photo = skimage.data.astronaut()
    rng = np.random.default_rng([0, 0, True])
    top, left, side = photos.crop_boxes(512, 512, 1, rng, held_out=True)[0]
    patch = photo[top : top + side, left : left + side]
    expected = 255 * resize(patch, (32, 32), anti_aliasing=True)
    # Two antialiasing filters agree but for their sharpness; another photograph is off by 50.
    assert np.abs(dataset.test.images[0] - expected).mean() < 4


def test_a_grey_photograph_has_three_equal_channels(dataset: Dataset) -> None:
    grey = dataset.train.images[dataset.train.labels == dataset.classes.index("gravel")]
    assert (grey == grey[..., :1]).all()


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    with few_crops():
        first, again, other = (photos.load_photos(8, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train.images, again.train.images)
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint


def test_no_connection_is_ever_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    for name in photos.PHOTOS:
        assert getattr(skimage.data, name)().dtype == np.uint8


def test_a_photograph_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("pooch")

    monkeypatch.setattr(skimage.data, "retina", missing)
    with pytest.raises(DataError, match="photograph retina cannot be read"):
        photos.load_photos(32, seed=0)

"""Batches whose content depends on (seed, step) alone."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from deconvviz.data import Preprocess, Split, evaluation_batches, training_batches
from deconvviz.errors import DataError

RAW = Preprocess("raw")
COUNT, BATCH = 11, 3  # three steps an epoch, two images left over
SPLIT = Split(
    np.random.default_rng(1).integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8),
    np.arange(COUNT, dtype=np.int64),  # a label names its image
)
AUGMENTED: dict[str, Any] = {
    "preprocess": Preprocess("standardize", 6),
    "random_crop": True,
    "flip": True,
}
Batch = tuple[np.ndarray, np.ndarray]


def first(steps: int, split: Split = SPLIT, preprocess: Preprocess = RAW, **kw: Any) -> list[Batch]:
    options = {"batch_size": BATCH, "seed": 5, **kw}
    return list(islice(training_batches(split, preprocess, **options).as_numpy_iterator(), steps))


@pytest.fixture(scope="module")
def uninterrupted() -> list[Batch]:
    return first(14, **AUGMENTED)


def seen(batches: list[Batch]) -> list[int]:
    return [int(label) for _, labels in batches for label in labels]


def test_a_label_stays_with_its_image() -> None:
    for x, y in first(7):
        np.testing.assert_array_equal(x, SPLIT.images[y])


def test_an_epoch_shows_no_image_twice_and_leaves_out_only_what_fills_no_batch() -> None:
    order = seen(first(9))
    for epoch in (order[:9], order[9:18], order[18:]):
        assert len(set(epoch)) == 9


def test_each_epoch_has_an_order_of_its_own() -> None:
    order = seen(first(6))
    assert order[:9] != order[9:]


def test_the_left_over_images_change_from_epoch_to_epoch() -> None:
    assert set(seen(first(30))) == set(range(COUNT))


def test_another_seed_gives_another_order() -> None:
    assert seen(first(3)) != seen(first(3, seed=6))


@pytest.mark.parametrize("start", [1, 3, 5])
def test_starting_at_a_step_gives_what_an_uninterrupted_run_sees_there(
    start: int, uninterrupted: list[Batch]
) -> None:
    resumed = first(14 - start, start_step=start, **AUGMENTED)
    for (x, y), (x_again, y_again) in zip(uninterrupted[start:], resumed, strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)


def test_a_far_step_is_reached_without_reading_over_the_steps_before() -> None:
    (batch,) = first(1, start_step=10**15)
    np.testing.assert_array_equal(batch[0], SPLIT.images[batch[1]])


def test_a_crop_is_a_window_of_its_image_and_they_fall_all_over_it() -> None:
    # A pixel that names its own place shows where a window was cut.
    place = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    split = Split(np.repeat(place[None], COUNT, axis=0), SPLIT.labels)
    corners = set()
    for x, _ in first(60, split, Preprocess("raw", 6), random_crop=True):
        for window in x.astype(int):
            top, left = divmod(window[0, 0, 0], 8)
            np.testing.assert_array_equal(window, place[top : top + 6, left : left + 6])
            corners.add((top, left))
    assert corners == {(top, left) for top in range(3) for left in range(3)}


def test_without_random_crop_the_window_is_the_central_one() -> None:
    for x, y in first(3, preprocess=Preprocess("raw", 6)):
        np.testing.assert_array_equal(x, SPLIT.images[y][:, 1:7, 1:7])


def test_about_half_the_images_are_mirrored_left_to_right() -> None:
    mirrored = 0
    for x, y in first(100, flip=True):
        for image, original in zip(x, SPLIT.images[y], strict=True):
            is_mirrored = not np.array_equal(image, original)
            if is_mirrored:
                np.testing.assert_array_equal(image, original[:, ::-1])
            mirrored += is_mirrored
    # Of 300 fair draws, fewer than 110 or more than 190 come once in 300,000 times.
    assert 110 < mirrored < 190


def test_augmentation_changes_from_step_to_step_for_the_same_image() -> None:
    one = Split(SPLIT.images[:1], SPLIT.labels[:1])
    drawn = {x.tobytes() for x, _ in first(20, one, batch_size=1, flip=True)}
    assert len(drawn) == 2


def test_fewer_images_than_a_batch_are_refused() -> None:
    with pytest.raises(DataError, match="batch size is 12 but there are only 11 training images"):
        training_batches(SPLIT, RAW, batch_size=12, seed=0)


@pytest.mark.parametrize("random_crop", [False, True])
def test_a_window_larger_than_the_images_is_refused_in_plain_words(random_crop: bool) -> None:
    large = Preprocess("raw", 9)
    with pytest.raises(DataError, match=r"^The images are 8 x 8 pixels, too small"):
        training_batches(SPLIT, large, batch_size=3, seed=0, random_crop=random_crop)
    with pytest.raises(DataError, match=r"^The images are 8 x 8 pixels, too small"):
        evaluation_batches(SPLIT, large, 3)


def test_the_shapes_of_training_batches_are_known_beforehand() -> None:
    x, y = training_batches(SPLIT, Preprocess("unit", 6), batch_size=4, seed=0).element_spec
    assert (x.shape, x.dtype.name) == ((4, 6, 6, 3), "float32")
    assert (y.shape, y.dtype.name) == ((4,), "int64")


def test_evaluation_shows_every_image_once_and_in_order() -> None:
    batches = list(evaluation_batches(SPLIT, RAW, 4).as_numpy_iterator())
    assert [len(y) for _, y in batches] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), SPLIT.images)
    assert seen(batches) == list(range(COUNT))


def test_evaluation_gives_what_preprocessing_the_whole_split_gives() -> None:
    preprocess = Preprocess("standardize", 6)
    batches = evaluation_batches(SPLIT, preprocess, 4).as_numpy_iterator()
    x = np.concatenate([x for x, _ in batches])
    np.testing.assert_allclose(x, preprocess(SPLIT.images), rtol=0, atol=1e-6)

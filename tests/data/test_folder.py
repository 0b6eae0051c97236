"""A directory of class directories as a data set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deconvviz.config import DataConfig
from deconvviz.data import Dataset, load_dataset
from deconvviz.errors import DataError


def save(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 6), grey, np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of 10, 6 and 2 images; the grey of an image names it."""
    for label, (name, count) in enumerate([("cat", 10), ("dog", 6), ("emu", 2)]):
        for index in range(count):
            save(tmp_path / name / f"{index}.png", 50 * label + index)
    return tmp_path


def load(root: Path, *, skip_broken: bool = False, seed: int = 0) -> Dataset:
    config = DataConfig(name="folder", dir=root, size=6, crop=6, skip_broken=skip_broken)
    return load_dataset(config, seed)


def greys(dataset: Dataset, split: str) -> list[int]:
    return [int(image[0, 0, 0]) for image in getattr(dataset, split).images]


def test_the_classes_are_the_directories_in_alphabetical_order(root: Path) -> None:
    assert load(root).classes == ("cat", "dog", "emu")


def test_every_image_is_in_one_split_under_its_own_label(root: Path) -> None:
    dataset = load(root)
    everything = greys(dataset, "train") + greys(dataset, "test")
    assert sorted(everything) == [*range(10), *range(50, 56), 100, 101]
    for split in (dataset.train, dataset.test):
        assert split.images.shape[1:] == (6, 6, 3)
        np.testing.assert_array_equal(split.images[:, 0, 0, 0] // 50, split.labels)


def test_about_one_image_in_five_of_every_class_is_held_out(root: Path) -> None:
    np.testing.assert_array_equal(np.bincount(load(root).test.labels), [2, 1, 1])


def test_the_split_does_not_depend_on_the_seed_or_on_where_the_folder_lies(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moved = tmp_path_factory.mktemp("elsewhere") / "copy"
    first = load(root)
    root.rename(moved)
    assert load(moved, seed=7).fingerprint == first.fingerprint


def test_the_classes_are_mixed_in_the_order_of_the_images(root: Path) -> None:
    labels = load(root).train.labels
    assert not (np.diff(labels) >= 0).all()


def test_images_lie_at_any_depth_and_hidden_files_are_passed_over(root: Path) -> None:
    save(root / "emu" / "young" / "x.png", 102)
    (root / "emu" / ".DS_Store").write_bytes(b"\0")
    (root / ".cache").mkdir()
    (root / "README.txt").write_text("beside the classes")
    dataset = load(root)
    assert 102 in greys(dataset, "train") + greys(dataset, "test")
    assert dataset.classes == ("cat", "dog", "emu")


def test_a_broken_file_is_named_and_refused_with_the_way_to_skip_it(root: Path) -> None:
    (root / "dog" / "broken.png").write_bytes((root / "dog" / "0.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"broken\.png.*--skip-broken"):
        load(root)


def test_skipped_files_are_counted_and_change_nothing_else(root: Path) -> None:
    before = load(root)
    (root / "dog" / "broken.png").write_text("not an image")
    (root / "cat" / "notes.txt").write_text("not an image")
    after = load(root, skip_broken=True)
    assert (before.skipped, after.skipped) == (0, 2)
    assert after.fingerprint == before.fingerprint


def test_a_class_of_one_image_is_named(root: Path) -> None:
    save(root / "fox" / "0.png", 150)
    with pytest.raises(DataError, match=r"fox holds 1 .* needs at least 2"):
        load(root)


def test_a_class_whose_images_are_all_broken_is_named(root: Path) -> None:
    (root / "fox").mkdir()
    (root / "fox" / "a.png").write_text("not an image")
    (root / "fox" / "b.png").write_text("not an image")
    with pytest.raises(DataError, match=r"fox holds 0 "):
        load(root, skip_broken=True)


def test_a_folder_without_class_directories_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "0.png", 0)
    with pytest.raises(DataError, match="holds 0 class directories, and at least 2 are needed"):
        load(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere cannot be read"):
        load(tmp_path / "nowhere")


def split_root(root: Path, train: str, *tests: str) -> Path:
    for number, split in enumerate((train, *tests)):
        for label, name in enumerate(("cat", "dog")):
            for index in range(3):
                save(root / split / name / f"{index}.png", 100 * label + 10 * number + index)
    return root


@pytest.mark.parametrize(
    ("train", "tests", "taken"),
    [
        ("train", ("test",), "test"),
        ("Train", ("Val",), "Val"),
        ("training", ("validation",), "validation"),
        ("train", ("valid",), "valid"),
        ("train", ("test", "val"), "test"),
    ],
)
def test_a_folder_that_is_split_already_keeps_its_split(
    train: str, tests: tuple[str, ...], taken: str, tmp_path: Path
) -> None:
    dataset = load(split_root(tmp_path, train, *tests))
    number = 10 * (1 + tests.index(taken))
    assert dataset.classes == ("cat", "dog")
    assert sorted(greys(dataset, "train")) == [0, 1, 2, 100, 101, 102]
    assert sorted(greys(dataset, "test")) == [
        first + number + index for first in (0, 100) for index in range(3)
    ]
    assert f"6 images of {train} to train on and 6 of {taken} to test on" in dataset.note
    assert ("Left out: val" in dataset.note) == (len(tests) == 2)


def test_a_class_may_be_called_train(root: Path) -> None:
    save(root / "train" / "0.png", 150)
    save(root / "train" / "1.png", 151)
    assert load(root).classes == ("cat", "dog", "emu", "train")


def test_splits_without_classes_in_them_are_no_classes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for index in range(3):
            save(tmp_path / split / f"{index}.png", index)
    with pytest.raises(DataError, match=r"train holds 0 class directories"):
        load(tmp_path)


def test_a_test_split_without_a_train_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds test, val and no train"):
        load(split_root(tmp_path, "test", "val"))


def test_a_class_that_is_only_tested_on_is_named(tmp_path: Path) -> None:
    save(split_root(tmp_path, "train", "test") / "test" / "fox" / "0.png", 7)
    with pytest.raises(DataError, match=r"test has the class fox, and .* has cat, dog"):
        load(tmp_path)


def test_a_class_without_images_in_either_part_is_named(tmp_path: Path) -> None:
    (split_root(tmp_path, "train", "test") / "train" / "fox").mkdir()
    with pytest.raises(DataError, match=r"fox holds no readable image"):
        load(tmp_path)


def test_the_note_says_what_was_taken(root: Path) -> None:
    assert load(root).note == (
        f"{root}: 3 classes (cat, dog, emu), 14 images to train on and 4 held out to test on."
    )

"""The accuracy under each preprocessing, by which a stranger's network tells what it wants."""

import os
from pathlib import Path

import numpy as np
import pytest

from deconvviz.config import DataConfig
from deconvviz.data import Preprocess, Split, load_dataset
from deconvviz.errors import DataError
from deconvviz.experiments.accuracy import accuracies, chance, scalings_for


def test_accuracy_is_the_share_of_images_whose_largest_output_is_their_labels() -> None:
    import keras

    # Three classes, by the channel that is strongest; 600 images fill more than one batch.
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (600, 4, 4, 3), np.uint8)
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    strongest = images.mean(axis=(1, 2)).argmax(axis=1)
    labels = np.where(np.arange(600) % 3 == 0, (strongest + 1) % 3, strongest)
    measured = accuracies(model, Split(images, labels), [Preprocess("raw")], 3)
    assert [(way.name, share) for way, share in measured] == [("raw", 400 / 600)]


def test_a_network_of_another_number_of_classes_is_refused() -> None:
    import keras

    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    split = Split(np.zeros((1, 4, 4, 3), np.uint8), np.zeros(1, np.int64))
    with pytest.raises(DataError, match=r"10 classes.*\(3,\)"):
        next(accuracies(model, split, [Preprocess("raw")], 10))


def test_grey_networks_are_spared_the_scalings_of_colours() -> None:
    assert set(scalings_for(3)) - set(scalings_for(1)) == {"caffe", "torch"}


@pytest.mark.skipif(
    not {"DECONVVIZ_STRANGERS", "TFDS_DATA_DIR"} <= set(os.environ),
    reason="DECONVVIZ_STRANGERS or TFDS_DATA_DIR is not set",
)
def test_a_published_network_is_as_accurate_as_its_authors_say() -> None:
    from deconvviz.models.files import load_model

    model = load_model(Path(os.environ["DECONVVIZ_STRANGERS"]) / "mlctiny_resnet8.h5")
    test = load_dataset(DataConfig(), seed=0).test
    ((_, raw),) = accuracies(model, test, [Preprocess("raw")], 10)
    assert round(raw, 3) == 0.755


def test_what_is_plainly_above_chance_is_three_standard_errors_above_the_commonest_class() -> None:
    share, plainly = chance(np.repeat(np.arange(10), 100))
    assert share == 0.1
    assert plainly == pytest.approx(0.1 + 3 * np.sqrt(0.1 * 0.9 / 1000))
    assert chance(np.array([2, 2, 1, 2]))[0] == 0.75
    assert chance(np.array([5, 5, 5])) == (1, 1)

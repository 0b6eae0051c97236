"""CIFAR-10 as tensorflow-datasets keeps it on disk, decoded once into arrays.

The records are parsed and decoded by the batch, which takes a third of the time of
tensorflow-datasets' own reading, and tells which file is damaged. The arrays are the same and in
the same order; from a copy that is JPEG-coded, they are more exact.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from numpy.typing import NDArray

from deconvviz.data.cifar10_archive import data_directory, download_cifar10, prepared_directory
from deconvviz.data.dataset import Dataset, Split, fingerprint
from deconvviz.errors import DataError

_FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def load_cifar10(data_dir: Path | None) -> Dataset:
    """Load CIFAR-10, and download it first where it is not on disk.

    Args:
        data_dir: where tensorflow-datasets keeps its data; None takes TFDS_DATA_DIR, or else
            tensorflow-datasets' own default.

    Returns:
        50,000 training and 10,000 test images of 32 x 32 pixels in ten classes, in the order of
        the files.

    Raises:
        DataError: where the data is neither on disk nor to be had, or is damaged.
    """
    root = data_directory(data_dir)
    prepared = prepared_directory(root)
    if not os.path.isdir(prepared):
        download_cifar10(root)
    info = _read_info(prepared)
    train, test = (_read_split(info.splits[name]) for name in ("train", "test"))
    classes = tuple(info.features["label"].names)
    return Dataset("cifar10", classes, train, test, fingerprint(train, test))


def _read_info(prepared: Path) -> Any:
    try:
        info = tfds.builder_from_directory(prepared).info
    # Its JSON and protocol buffer parsers raise errors of many kinds.
    except Exception as error:
        raise _damaged(prepared, f"its description cannot be read ({error})") from error
    if not {"train", "test"} <= set(info.splits):
        raise _damaged(prepared, f"it has the splits {sorted(info.splits)}, not train and test")
    if info.file_format.value != "tfrecord":
        raise _damaged(prepared, f"it is kept as {info.file_format.value}, not as tfrecord")
    return info


def _read_split(split: Any) -> Split:
    files = zip(split.filepaths, split.shard_lengths, strict=True)
    images, labels = zip(*(_read_file(Path(path), count) for path, count in files), strict=True)
    return Split(np.concatenate(images), np.concatenate(labels))


def _read_file(path: Path, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    records = tf.data.TFRecordDataset(str(path)).batch(500)
    decoded = records.map(_decode, num_parallel_calls=tf.data.AUTOTUNE)
    try:
        batches = list(decoded.as_numpy_iterator())
    except tf.errors.OpError as error:
        what = "truncated or corrupted" if path.is_file() else "missing"
        raise _damaged(path.parent, f"{path.name} is {what}") from error
    found = sum(len(labels) for _, labels in batches)
    if found != count:
        raise _damaged(path.parent, f"{path.name} holds {found} records instead of {count}")
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    return images, labels


def _decode(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    parsed = tf.io.parse_example(records, _FEATURES)
    images = tf.map_fn(_decode_one, parsed["image"], fn_output_signature=tf.uint8)
    return images, parsed["label"]


def _decode_one(encoded: tf.Tensor) -> tf.Tensor:
    # TensorFlow decodes a JPEG with a fast transform that is a grey level off on average, unless it
    # is told otherwise; so decoded, the pixels are those that Pillow gives.
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(image, [32, 32, 3])


def _damaged(prepared: Path, why: str) -> DataError:
    return DataError(
        f"CIFAR-10 in {prepared} cannot be used: {why}. Remove that directory and run again, and "
        "it is downloaded anew, or build it with `deconvviz data import cifar-10-binary.tar.gz`."
    )

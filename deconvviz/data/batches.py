"""Batches for training and for evaluation, out of arrays that are already in memory.

Training never keeps a state that a resumed run would have to restore: the order of an epoch is a
function of (seed, epoch) and every random choice of a batch a function of (seed, step). So a run
that starts at step s sees exactly the batch that an uninterrupted run sees there, and nothing has
to be read over to get there.
"""

import numpy as np
import tensorflow as tf

from deconvviz.data.dataset import Split
from deconvviz.data.preprocess import Preprocess
from deconvviz.errors import DataError
from deconvviz.listing import counted

# One independent random stream for each kind of choice.
_ORDER, _CROP, _FLIP = 0, 1, 2
_WITHOUT_END = np.iinfo(np.int64).max


def training_batches(
    split: Split,
    preprocess: Preprocess,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    random_crop: bool = False,
    flip: bool = False,
) -> tf.data.Dataset:
    """Give training batches without end, the batch of a step depending on (seed, step) alone.

    Args:
        split: the training images.
        preprocess: what becomes of a batch's pixels.
        batch_size: images a batch; what is left over at the end of an epoch is left out of it.
        seed: decides the order and the augmentation.
        start_step: the step of the first batch given, counted from 0.
        random_crop: take the window anywhere in the image, not only at the centre.
        flip: mirror an image left-right half the time.

    Returns:
        A data set of (float32 [batch_size, h, w, C], int64 [batch_size]).

    Raises:
        DataError: where the images do not fill one batch, or are too small for the window.
    """
    count = len(split.labels)
    steps = count // batch_size  # an epoch
    if steps == 0:
        raise DataError(
            f"The batch size is {batch_size} but there are only "
            f"{counted(count, 'training image')}; choose a "
            f"batch size of at most {count}: --set train.batch_size={count}."
        )
    images, labels = _in_memory(split, preprocess)

    @tf.autograph.experimental.do_not_convert  # all tensors already, and conversion writes a file
    def order(epoch: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle(
            tf.range(count, dtype=tf.int64), _stream(seed, _ORDER, epoch), alg="philox"
        )
        return tf.data.Dataset.from_tensor_slices(
            tf.reshape(shuffled[: steps * batch_size], [steps, batch_size])
        )

    @tf.autograph.experimental.do_not_convert
    def batch(step: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.gather(images, chosen)
        if random_crop and preprocess.crop:
            pixels = _crop_anywhere(pixels, preprocess.crop, _stream(seed, _CROP, step))
        if flip:
            pixels = _flip_half(pixels, _stream(seed, _FLIP, step))
        return preprocess(pixels), tf.gather(labels, chosen)

    epoch, within = divmod(start_step, steps)
    chosen = tf.data.Dataset.range(epoch, _WITHOUT_END).flat_map(order).skip(within)
    step = tf.data.Dataset.range(start_step, _WITHOUT_END)
    return tf.data.Dataset.zip((step, chosen)).map(batch).prefetch(2)


def evaluation_batches(split: Split, preprocess: Preprocess, batch_size: int) -> tf.data.Dataset:
    """Give every image of a split once, in order, the last batch as small as it comes.

    Args:
        split: the images.
        preprocess: what becomes of a batch's pixels.
        batch_size: images a batch.

    Returns:
        A data set of (float32 [b, h, w, C], int64 [b]), b at most batch_size.

    Raises:
        DataError: where the images are too small for the window.
    """
    images, labels = _in_memory(split, preprocess)

    @tf.autograph.experimental.do_not_convert
    def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return preprocess(images[start : start + batch_size]), labels[start : start + batch_size]

    return tf.data.Dataset.range(0, len(split.labels), batch_size).map(batch).prefetch(2)


def _in_memory(split: Split, preprocess: Preprocess) -> tuple[tf.Tensor, tf.Tensor]:
    preprocess.window(split.images[:1])  # refuse here: inside tf.data the words would get lost
    # tf.data runs on the CPU; a copy on a GPU would come back over the bus with every batch.
    with tf.device("/CPU:0"):
        return tf.constant(split.images), tf.constant(split.labels)


def _stream(seed: int, kind: int, index: tf.Tensor) -> tf.Tensor:
    return tf.random.fold_in(tf.constant([seed, kind], tf.int64), index)


def _crop_anywhere(pixels: tf.Tensor, crop: int, seed: tf.Tensor) -> tf.Tensor:
    count, height, width = pixels.shape[:3]
    room = tf.constant([height - crop + 1, width - crop + 1])
    corner = tf.random.stateless_uniform(
        [count, 2], seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    corner = tf.math.floormod(corner, room)
    rows, columns = (corner[:, axis, None] + tf.range(crop) for axis in (0, 1))
    pixels = tf.gather(pixels, rows, axis=1, batch_dims=1)
    return tf.gather(pixels, columns, axis=2, batch_dims=1)


def _flip_half(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    mirror = tf.random.stateless_uniform([pixels.shape[0], 1, 1, 1], seed, alg="philox") < 0.5
    return tf.where(mirror, tf.reverse(pixels, axis=[2]), pixels)

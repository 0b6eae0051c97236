"""`ReconstructionCallback` in fits of all kinds: what it writes, what it leaves alone."""

import contextlib
import gc
import io
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import deconvviz
from deconvviz.deconv.rules import DECONVNET
from deconvviz.errors import DeconvvizError
from deconvviz.render.compose import classic_rows, deconvnet_rows
from deconvviz.render.tensorboard import EventLog
from deconvviz.training.shown import take_images

Array = np.ndarray
L = keras.layers
SIZE = (12, 10)
TAG = "source/images"
RANDOM = np.random.default_rng(5)
IMAGES = RANDOM.normal(size=(24, *SIZE, 3)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, 24)
PIXELS = RANDOM.integers(0, 256, (4, *SIZE, 3), np.uint8)
RAW = PIXELS.astype(np.float32)  # what a network that was trained on pixels takes


def compiled(model: Any, **settings: Any) -> Any:
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy", **settings)
    return model


def network(*extra: Any, channels: int = 3, dtype: str | None = None) -> Any:
    """Two convolutions and two pools, `extra` layers between them, not compiled."""
    start = {"kernel_initializer": keras.initializers.GlorotUniform(seed=1), "dtype": dtype}
    return keras.Sequential(
        [
            keras.Input((*SIZE, channels)),
            L.Conv2D(6, 3, padding="same", activation="relu", name="conv1", **start),
            L.MaxPooling2D(name="pool1", dtype=dtype),
            *extra,
            L.Conv2D(5, 3, padding="same", activation="relu", name="conv2", **start),
            L.MaxPooling2D(name="pool2", dtype=dtype),
            L.Flatten(dtype=dtype),
            L.Dense(3, activation="softmax", name="answer", dtype=dtype and "float32"),
        ]
    )


def fit(model: Any, *callbacks: Any, epochs: int = 1, **settings: Any) -> None:
    settings = {"x": IMAGES, "y": LABELS, "batch_size": 8, "verbose": 0, **settings}
    model.fit(callbacks=list(callbacks), epochs=epochs, **settings)


def read(folder: Path) -> Any:
    reader = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    reader.Reload()
    return reader


def steps(folder: Path, tag: str = TAG) -> list[int]:
    return [point.step for point in read(folder).Tensors(tag)]


def pictures(folder: Path) -> dict[int, Array]:
    """The rows of each step, uint8 `[n, h, w, 3]`."""
    return {
        point.step: np.stack(
            [np.asarray(Image.open(io.BytesIO(png))) for png in point.tensor_proto.string_val[2:]]
        )
        for point in read(folder).Tensors(TAG)
    }


def curve(folder: Path, tag: str) -> dict[int, float]:
    points = read(folder).Tensors(tag)
    return {point.step: float(make_ndarray(point.tensor_proto)) for point in points}


def description(folder: Path) -> str:
    return str(read(folder).SummaryMetadata(TAG).summary_description)


class AtEpochs(keras.callbacks.Callback):
    """Does something when fit begins, step 0, and after each epoch."""

    def __init__(self, do: Callable[[Any, int], None]) -> None:
        super().__init__()
        self.do = do

    def on_train_begin(self, logs: Any = None) -> None:
        self.do(self.model, 0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.do(self.model, epoch + 1)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "xla"])
def test_every_drawing_shows_the_weights_of_its_moment(tmp_path: Path, jit_compile: bool) -> None:
    weights: dict[int, list[Array]] = {}
    model = compiled(network(), jit_compile=jit_compile, steps_per_execution=2)
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    watcher = AtEpochs(lambda model, step: weights.update({step: model.get_weights()}))
    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path)
    settings = {"x": data, "y": None, "batch_size": None, "shuffle": False}
    fit(model, watcher, callback, epochs=2, validation_data=data, **settings)

    drawn, again = pictures(tmp_path), network()
    assert list(drawn) == [0, 1, 2]
    assert not np.array_equal(drawn[0], drawn[2])
    for step, rows in drawn.items():
        again.set_weights(weights[step])
        net = deconvviz.Deconvnet(again)
        # Asked as the callback asks, in one forward pass, so that the same kernels run.
        both = net.reconstruct(PIXELS.astype(np.float32), ["pool1", "pool2"])
        maps = list(both.values())
        np.testing.assert_array_equal(rows, deconvnet_rows(PIXELS, maps, ("pool1", "pool2")).pixels)
        for name, one in zip(("pool1", "pool2"), maps, strict=True):
            assert curve(tmp_path, f"scale/{name}")[step] == np.abs(one).max()


def test_the_layers_and_rules_asked_for_are_the_ones_drawn(tmp_path: Path) -> None:
    model = compiled(network())
    fit(model, deconvviz.ReconstructionCallback(IMAGES[:2], ["conv2"], "guided", tmp_path))
    maps = [deconvviz.Deconvnet(model, "guided").reconstruct(IMAGES[:2], "conv2")]
    right = deconvnet_rows(np.zeros((2, *SIZE, 3), np.uint8), maps, ["conv2"]).pixels
    np.testing.assert_array_equal(pictures(tmp_path)[1][:, :, SIZE[1] :], right[:, :, SIZE[1] :])
    assert description(tmp_path).startswith("input | conv2. Rules: guided.")


def test_classic_rules_draw_the_input_on_the_rows_own_scale(tmp_path: Path) -> None:
    model = compiled(network())
    fit(model, deconvviz.ReconstructionCallback(IMAGES[:2], "conv2", "classic", tmp_path))
    maps = [deconvviz.Deconvnet(model, "classic").reconstruct(IMAGES[:2], "conv2")]
    right = classic_rows(IMAGES[:2], maps, ["conv2"])
    np.testing.assert_array_equal(pictures(tmp_path)[1], right.pixels)
    assert description(tmp_path) == right.description


def test_a_table_of_ones_own_is_not_called_by_anothers_name(tmp_path: Path) -> None:
    own = {**DECONVNET}
    fit(compiled(network()), deconvviz.ReconstructionCallback(IMAGES[:1], None, own, tmp_path))
    assert "Rules: the caller's own table." in description(tmp_path)


def test_a_layer_without_a_rule_goes_by_its_gradient_only_when_asked_and_named(
    tmp_path: Path,
) -> None:
    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path, nonlinear="gradient")
    fit(compiled(network(L.LeakyReLU(name="leaky"))), callback)
    rules = description(tmp_path).split(". ")[1]
    assert rules.startswith("Rules: deconvnet")
    assert rules.endswith("leaky (LeakyReLU)")


def test_an_input_that_is_no_picture_is_spread_from_black_to_white_and_says_so(
    tmp_path: Path,
) -> None:
    fit(compiled(network()), deconvviz.ReconstructionCallback(IMAGES[:3], log_dir=tmp_path))
    shown = pictures(tmp_path)[0][:, :, : SIZE[1]]
    for image, pixels in zip(IMAGES, shown, strict=False):
        low, high = float(image.min()), float(image.max())
        np.testing.assert_allclose(pixels, 255 * (image - low) / (high - low), atol=0.51)
        assert (pixels.min(), pixels.max()) == (0, 255)
    assert "spread from its least value (black) to its largest (white)" in description(tmp_path)


@pytest.mark.parametrize(
    ("images", "original"),
    [
        (PIXELS, PIXELS),
        (PIXELS.astype(np.float32), PIXELS),
        (PIXELS.astype(np.int64), PIXELS),
        (PIXELS // 128, PIXELS // 128),
        ((PIXELS // 128).astype(np.float32), PIXELS // 128 * 255),
        (np.full((1, *SIZE, 3), 0.3), np.zeros((1, *SIZE, 3))),
    ],
    ids=["uint8", "whole floats", "ints", "dark uint8", "zeros and ones", "flat"],
)
def test_pixels_are_shown_as_they_are(images: Any, original: Any) -> None:
    np.testing.assert_array_equal(take_images(images).original, original)


def test_who_fills_the_array_anew_does_not_change_what_is_shown() -> None:
    images, pixels = IMAGES[:2].copy(), PIXELS.copy()
    shown = take_images(images), take_images(pixels)
    images[:], pixels[:] = 0, 0
    np.testing.assert_array_equal(shown[0].image, IMAGES[:2])
    np.testing.assert_array_equal(shown[1].image, PIXELS)
    np.testing.assert_array_equal(shown[1].original, PIXELS)


@pytest.mark.parametrize("labels", [(), (LABELS,), (LABELS, LABELS)], ids=len)
def test_a_data_set_gives_its_first_images(labels: tuple[Array, ...]) -> None:
    arrays = (IMAGES, *labels) if labels else IMAGES
    endless = tf.data.Dataset.from_tensor_slices(arrays).batch(3).repeat()
    np.testing.assert_array_equal(take_images(endless).image, IMAGES[:8])


def test_a_data_set_of_several_inputs_gives_the_first_images_of_each() -> None:
    numbers = np.arange(24.0, dtype=np.float32)[:, None]
    data = tf.data.Dataset.from_tensor_slices(((numbers, IMAGES), LABELS)).batch(3)
    shown = take_images(data)
    np.testing.assert_array_equal(shown.inputs[0], numbers[:8])
    np.testing.assert_array_equal(shown.image, IMAGES[:8])


def state_of_chance() -> list[Any]:
    return [random.getstate(), str(np.random.get_state())]


def test_a_fit_ends_with_the_same_weights_with_and_without_the_callback(tmp_path: Path) -> None:
    def fitted(*callbacks: Any) -> tuple[list[Array], list[Any], float]:
        keras.utils.set_random_seed(7)
        model = compiled(network(L.Dropout(0.4), L.BatchNormalization(), L.RandomFlip()))
        fit(model, *callbacks, epochs=2, validation_data=(IMAGES, LABELS))
        everything = [np.array(v) for v in (*model.variables, *model.optimizer.variables)]
        return everything, state_of_chance(), float(tf.random.uniform([]))

    pictures = deconvviz.ReconstructionCallback(IMAGES[:3], log_dir=tmp_path)
    (weights, chance, drawn), (others, chance2, drawn2) = fitted(), fitted(pictures)
    assert steps(tmp_path) == [0, 1, 2]
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (chance, drawn) == (chance2, drawn2)


def test_nothing_of_the_model_is_changed(tmp_path: Path) -> None:
    def looked_at() -> list[Any]:
        return [
            model.get_config(),
            [id(layer) for layer in model.layers],
            [id(getattr(layer, "activation", None)) for layer in model.layers],
            [len(layer._inbound_nodes) for layer in model.layers],
            [layer.trainable for layer in model.layers],
        ]

    model = compiled(network())
    before = looked_at()
    fit(model, deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path))
    assert looked_at() == before


def test_a_drawing_comes_every_so_many_epochs_and_after_the_last(tmp_path: Path) -> None:
    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path, every=2)
    fit(compiled(network()), callback, epochs=6, initial_epoch=1)
    assert steps(tmp_path) == [1, 2, 4, 6]
    assert steps(tmp_path, "scale/pool2") == [1, 2, 4, 6]


def test_an_odd_last_epoch_is_drawn_too(tmp_path: Path) -> None:
    fit(
        compiled(network()),
        deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path, every=2),
        epochs=3,
    )
    assert steps(tmp_path) == [0, 2, 3]


@pytest.mark.parametrize("same", [True, False], ids=["same callback", "new callback"])
def test_in_a_second_fit_steps_go_on_rising(tmp_path: Path, same: bool) -> None:
    def callback() -> Any:
        return deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path)

    model, first = compiled(network()), callback()
    fit(model, first, epochs=2)
    fit(model, first if same else callback(), initial_epoch=2, epochs=4)
    assert steps(tmp_path) == [0, 1, 2, 3, 4]


def test_a_second_fit_that_counts_anew_does_not_go_back(tmp_path: Path) -> None:
    model = compiled(network())
    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path, every=2)
    fit(model, callback, epochs=3)
    fit(model, callback, epochs=2)
    assert steps(tmp_path) == [0, 2, 3, 4, 5]


def test_another_model_begins_at_its_own_epoch_and_replaces_the_first(tmp_path: Path) -> None:
    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path)
    fit(compiled(network()), callback, epochs=2)
    fit(compiled(network()), callback, epochs=1)
    assert steps(tmp_path) == [0, 1]


def test_what_another_callback_restores_is_what_is_drawn_first(tmp_path: Path) -> None:
    def run(epochs: int, folder: Path) -> None:
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        callback = deconvviz.ReconstructionCallback(RAW, log_dir=folder)
        fit(compiled(network()), callback, backup, epochs=epochs)

    run(2, tmp_path / "first")
    run(3, tmp_path / "second")
    assert steps(tmp_path / "second") == [2, 3]
    np.testing.assert_array_equal(pictures(tmp_path / "second")[2], pictures(tmp_path / "first")[2])


def raise_after(epochs: int) -> AtEpochs:
    def do(model: Any, step: int) -> None:
        if step == epochs:
            raise KeyboardInterrupt

    return AtEpochs(do)


def test_an_interrupted_fit_keeps_what_it_drew_and_can_go_on(tmp_path: Path) -> None:
    model = compiled(network())
    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(model, callback, raise_after(2), epochs=5)
    assert steps(tmp_path) == [0, 1, 2]
    fit(model, callback, initial_epoch=2, epochs=3)
    assert steps(tmp_path) == [0, 1, 2, 3]


def open_event_files() -> list[str]:
    names = []
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(os.readlink(handle))
    return [name for name in names if "tfevents" in name]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see open files")
def test_no_event_file_stays_open_whether_fit_ends_or_is_interrupted(tmp_path: Path) -> None:
    def interrupted() -> None:
        callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path)
        try:
            fit(compiled(network()), callback, raise_after(1), epochs=2)
        except KeyboardInterrupt:
            assert len(open_event_files()) == 1

    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path)
    fit(compiled(network()), callback)
    assert open_event_files() == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a file that is closed by chance gives a ResourceWarning
        interrupted()
        gc.collect()
    assert open_event_files() == []


def test_a_training_that_diverges_goes_on_without_pictures_until_it_recovers(
    tmp_path: Path,
) -> None:
    def diverge(model: Any, step: int) -> None:
        sound.append(model.get_weights()) if step < 2 else None
        model.set_weights([w * np.nan for w in sound[0]] if step in (2, 3) else sound[0])

    sound: list[list[Array]] = []
    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path)
    with pytest.warns(UserWarning, match=r"No picture after 2 epochs.*'conv1'") as told:
        fit(compiled(network()), AtEpochs(diverge), callback, epochs=5)
    assert len(told) == 1
    assert steps(tmp_path) == [0, 1, 4, 5]
    assert steps(tmp_path, "source/missing") == [2]
    text = make_ndarray(read(tmp_path).Tensors("source/missing")[0].tensor_proto)
    assert "not finite" in text.item().decode()


def test_an_event_file_that_fails_once_ends_neither_the_training_nor_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_a_record(log: EventLog, tag: str, pixels: Any, step: int, words: str) -> None:
        if step == 1:
            log._file.write(b"half a record")
            raise DeconvvizError("The disk is full.")
        images(log, tag, pixels, step, words)

    images = EventLog.images
    monkeypatch.setattr(EventLog, "images", half_a_record)
    with pytest.warns(UserWarning, match=r"No picture after 1 epochs.*The disk is full"):
        fit(
            compiled(network()),
            deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path),
            epochs=3,
        )
    assert steps(tmp_path) == [0, 2, 3]


def test_mixed_precision_is_drawn_as_the_network_computes(tmp_path: Path) -> None:
    model = compiled(network(dtype="mixed_float16"))
    fit(model, deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path))
    maps = deconvviz.Deconvnet(model).reconstruct(PIXELS.astype(np.float32), ["pool1", "pool2"])
    right = deconvnet_rows(PIXELS, list(maps.values()), ("pool1", "pool2")).pixels
    np.testing.assert_array_equal(pictures(tmp_path)[1], right)


# Logical devices must be made before TensorFlow runs anything, so in a process of their own.
MIRRORED = """
import sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import deconvviz

def fitted(*callbacks):
    keras.utils.set_random_seed(3)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        model = keras.Sequential([
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv1"),
            keras.layers.BatchNormalization(name="norm1"),
            keras.layers.ReLU(name="relu1"),
            keras.layers.MaxPooling2D(name="pool1"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(16, 8, 8, 3)).astype("float32"), np.arange(16) % 3
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    model.fit(data, validation_data=data, epochs=1, verbose=0, callbacks=list(callbacks))
    return model, images

(alone, _), (model, images) = (
    fitted(),
    fitted(deconvviz.ReconstructionCallback(np.load(sys.argv[1]), log_dir=sys.argv[2])),
)
for one, other in zip(alone.get_weights(), model.get_weights(), strict=True):
    np.testing.assert_array_equal(one, other)
net = deconvviz.Deconvnet(model)
np.save(sys.argv[3], net.reconstruct(np.load(sys.argv[1]), "pool1"))
"""


def test_under_a_mirrored_strategy_the_pictures_are_those_of_the_weights(tmp_path: Path) -> None:
    images, saved = tmp_path / "images.npy", tmp_path / "maps.npy"
    pixels = RAW[:, :8, :8]
    np.save(images, pixels)
    result = subprocess.run(
        [sys.executable, "-c", MIRRORED, images, tmp_path, saved], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert steps(tmp_path) == [0, 1]
    right = deconvnet_rows(PIXELS[:, :8, :8], [np.load(saved)], ["pool1"]).pixels
    np.testing.assert_array_equal(pictures(tmp_path)[1], right)


def test_a_sequential_model_without_an_input_layer_is_drawn_once_it_is_built(
    tmp_path: Path,
) -> None:
    model = compiled(
        keras.Sequential([L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(), L.Flatten()])
    )
    callback = deconvviz.ReconstructionCallback(RAW, log_dir=tmp_path)
    with pytest.raises(DeconvvizError, match="once their input shape is known: build it"):
        fit(model, callback)
    model.build((None, *SIZE, 3))
    fit(model, callback)
    assert steps(tmp_path) == [0, 1]


def test_layers_of_nested_models_are_drawn(tmp_path: Path) -> None:
    body = keras.Sequential(
        [
            keras.Input((*SIZE, 1)),
            L.Conv2D(4, 3, activation="relu", name="conv"),
            L.MaxPooling2D(name="pool"),
        ],
        name="body",
    )
    images = keras.Input((*SIZE, 1))
    model = compiled(keras.Model(images, L.Dense(3)(L.Flatten()(body(images)))))
    grey = RANDOM.integers(0, 256, (2, *SIZE, 1)).astype(np.float32)
    callback = deconvviz.ReconstructionCallback(grey, log_dir=tmp_path)
    fit(model, callback, x=IMAGES[..., :1])
    assert description(tmp_path).startswith("original | body/pool.")
    assert steps(tmp_path, "scale/body/pool") == [0, 1]
    np.testing.assert_array_equal(
        pictures(tmp_path)[0][:, :, : SIZE[1]], grey.repeat(3, axis=3).astype(np.uint8)
    )


def test_of_several_inputs_the_first_image_is_shown_and_named(tmp_path: Path) -> None:
    numbers, images = keras.Input((2,)), keras.Input((*SIZE, 3))
    seen = L.Conv2D(4, 3, activation="relu", name="conv")(images)
    joined = L.Concatenate()([L.Flatten()(L.MaxPooling2D(name="pool")(seen)), numbers])
    hidden = L.Dense(6, activation="relu", name="hidden")(joined)
    model = compiled(keras.Model([numbers, images], L.Dense(3, activation="softmax")(hidden)))
    given = np.ones((24, 2), np.float32), IMAGES
    shown = given[0][:3], IMAGES[:3]
    callback = deconvviz.ReconstructionCallback(shown, "hidden", "gradient", tmp_path)
    fit(model, callback, x=given)
    maps = [deconvviz.Deconvnet(model, "gradient").reconstruct(shown, "hidden")[1]]
    right = deconvnet_rows(np.zeros((3, *SIZE, 3), np.uint8), maps, ["hidden"]).pixels
    np.testing.assert_array_equal(pictures(tmp_path)[1][:, :, SIZE[1] :], right[:, :, SIZE[1] :])
    assert "Shown is input 2 of the network's 2." in description(tmp_path)


def batches(images: Any, size: int | None = 4) -> tf.data.Dataset:
    data = tf.data.Dataset.from_tensor_slices(images)
    return data if size is None else data.batch(size)


RAGGED = batches(tf.ragged.constant([[[[1.0]]], [[[1.0], [2.0]]]], ragged_rank=2))
GROWING = tf.data.Dataset.from_generator(
    lambda: iter(np.zeros((1, side, side, 3), np.float32) for side in (4, 5)),
    output_signature=tf.TensorSpec((None, None, None, 3)),
)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"shape \[12, 10, 3\]\. Allowed are"),
        (IMAGES[:0], r"shape \[0, 12, 10, 3\]"),
        (IMAGES[..., :2], r"shape \[24, 12, 10, 2\]"),
        ((IMAGES[:2], IMAGES[:3]), r"shape \[2, 12, 10, 3\] and \[3, 12, 10, 3\]"),
        ((), "Allowed are"),
        (IMAGES.repeat(3, axis=0), r"72 images.*at most 64.*images\[:8\]"),
        (IMAGES[:2] * np.nan, "NaN or infinite"),
        (np.full((1, 4, 4, 3), 1e39), "NaN or infinite"),
        ("cat.jpg", "Received str as images"),
        (batches(IMAGES, size=None), r"gives single images, \[12, 10, 3\]; put them into batches"),
        (batches(LABELS, size=None), "gives images as TensorSpec.*Allowed are"),
        (batches(IMAGES).take(0), r"shape \[0, "),
        (RAGGED, "gives images as RaggedTensorSpec"),
        (GROWING, r"different shapes, \[\(4, 4, 3\), \(5, 5, 3\)\]"),
    ],
    ids=lambda value: None if isinstance(value, str) else "images",
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_images_that_cannot_be_shown_are_refused_at_once(images: Any, message: str) -> None:
    with pytest.raises(DeconvvizError, match=message):
        deconvviz.ReconstructionCallback(images)


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", None])
def test_every_counts_epochs(every: Any) -> None:
    with pytest.raises(DeconvvizError, match="every counts epochs, 1 or more"):
        deconvviz.ReconstructionCallback(IMAGES[:1], every=every)


@pytest.mark.parametrize("layers", [(), [None], [3]])
def test_layers_are_names(layers: Any) -> None:
    with pytest.raises(DeconvvizError, match="layers takes names of layers"):
        deconvviz.ReconstructionCallback(IMAGES[:1], layers)


def without_pools() -> Any:
    return keras.Sequential([keras.Input((*SIZE, 3)), L.Conv2D(3, 3), L.Flatten()])


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.flat, self.answer = L.Flatten(), L.Dense(3)

    def call(self, x: Any) -> Any:
        return self.answer(self.flat(x))


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (network, {"layers": ["pool3"]}, "no layer 'pool3'.*pool2"),
        (network, {"layers": ["pool1"], "rules": "deconv"}, "no rules called 'deconv'"),
        (lambda: network(L.LeakyReLU(name="leaky")), {}, "'leaky'.*LeakyReLU"),
        (network, {"images": IMAGES[:2, :8]}, r"takes images of.*received \[2, 8, 10, 3\]"),
        (network, {"images": (IMAGES[:2], IMAGES[:2])}, r"takes images of shape \[n, 12, 10, 3\]"),
        (without_pools, {}, "no max pool to start from.*conv2d"),
        (Subclassed, {}, "has no graph to walk"),
        (network, {"log_dir": Path(__file__) / "logs"}, "event file .* could not be written"),
    ],
    ids=["layer", "rules", "rule-less", "size", "inputs", "no pool", "subclassed", "folder"],
)
def test_what_does_not_fit_the_model_is_refused_before_the_first_step(
    tmp_path: Path, make: Callable[[], Any], settings: dict[str, Any], message: str
) -> None:
    model = compiled(make())
    callback = deconvviz.ReconstructionCallback(
        **{"images": IMAGES[:2], "log_dir": tmp_path, **settings}
    )
    with pytest.raises(DeconvvizError, match=message):
        fit(model, callback)
    assert int(model.optimizer.iterations) == 0
    assert list(tmp_path.iterdir()) == []


def test_pixels_are_refused_before_the_first_step_unless_the_network_scales_them(
    tmp_path: Path,
) -> None:
    callback = deconvviz.ReconstructionCallback(PIXELS, log_dir=tmp_path)
    with pytest.raises(deconvviz.DataError, match="does not scale them itself"):
        fit(compiled(network()), callback)
    scaling = keras.Sequential([keras.Input((*SIZE, 3)), L.Rescaling(1 / 255), network()])
    pool = scaling.layers[-1].get_layer("pool2")
    fit(compiled(scaling), deconvviz.ReconstructionCallback(PIXELS, pool, log_dir=tmp_path / "s"))
    assert len(pictures(tmp_path / "s")) == 2


@pytest.mark.parametrize("labels", [False, True])
def test_single_images_of_a_data_set_are_refused_in_words(labels: bool) -> None:
    arrays = (IMAGES, LABELS) if labels else IMAGES
    with pytest.raises(deconvviz.DataError, match=r"put them into batches: dataset.batch\(8\)"):
        deconvviz.ReconstructionCallback(tf.data.Dataset.from_tensor_slices(arrays))


def test_a_data_set_as_tfds_gives_it_is_taken() -> None:
    batches = tf.data.Dataset.from_tensor_slices({"image": IMAGES, "label": LABELS}).batch(5)
    np.testing.assert_array_equal(take_images(batches).image, IMAGES[:8])

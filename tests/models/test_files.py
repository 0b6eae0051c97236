"""What ordinary Keras programs save is opened, and gives what it gave before."""

import gc
import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deconvviz import load_model
from deconvviz.config import ModelConfig
from deconvviz.errors import CheckpointError
from deconvviz.models.classic import classic_network
from deconvviz.models.files import open_model
from deconvviz.models.preflight import inspect_file
from deconvviz.models.step_mark import mark_step, marked_step

layers = keras.layers
Build = Callable[[], keras.Model]
SIZE = (12, 12, 3)


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(SIZE),
            layers.Rescaling(1 / 255),
            layers.RandomFlip(),
            layers.RandomGaussianBlur(kernel_size=7),
            layers.Conv2D(
                4, 3, activation="relu", kernel_regularizer="l2", kernel_constraint="max_norm"
            ),
            layers.BatchNormalization(),
            layers.SeparableConv2D(6, 3, activation=keras.activations.gelu),
            layers.MaxPooling2D(3, strides=2, padding="same"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(5, kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.2)),
        ]
    )


def unbuilt_sequential() -> keras.Model:
    model = keras.Sequential([layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(), layers.Dense(2)])
    model(np.zeros((1, *SIZE), np.float32))
    return model


def nested() -> keras.Model:
    inner = sequential()
    inner.compile("adam", "mse", metrics=["mae"])
    images = keras.Input(SIZE)
    x = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])(images)
    model = keras.Model(images, layers.Softmax()(keras.Model(images, inner(images))(x)))
    model.compile("sgd", "categorical_crossentropy")
    return model


def shared() -> keras.Model:
    left, right = keras.Input(SIZE, name="left"), keras.Input(SIZE, name="right")
    convolution = layers.Conv2D(3, 3, padding="same", activation="relu6")
    both = layers.Concatenate()([convolution(convolution(left)), convolution(right)])
    grouped = layers.Conv2D(4, 3, groups=2, dilation_rate=2)(both)
    wide = layers.DepthwiseConv2D(3, depth_multiplier=2)(both)
    return keras.Model([left, right], [grouped, wide])


def adapted() -> keras.Model:
    normalization = layers.Normalization()
    normalization.adapt(np.arange(2 * 12 * 12 * 3, dtype=np.float32).reshape(2, *SIZE))
    return keras.Sequential([keras.Input(SIZE), normalization, layers.Conv2DTranspose(2, 3, 2)])


def mixed_precision() -> keras.Model:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return sequential()
    finally:
        keras.config.set_dtype_policy(policy)


def attention() -> keras.Model:
    images = keras.Input(SIZE)
    x = layers.Reshape((36, 12))(images)
    x = layers.MultiHeadAttention(2, 5)(x, x)
    x = layers.LSTM(7)(layers.LayerNormalization()(x))
    return keras.Model(images, x)


def operations() -> keras.Model:
    images = keras.Input(SIZE)
    x = keras.ops.relu(images * 2 + np.float32(1))
    x = keras.ops.concatenate(
        [x[:, 1:, ::2], keras.ops.pad(x, [[0, 0], [0, 1], [0, 0], [0, 0]])[:, 2:, :6]]
    )
    return keras.Model(images, keras.ops.mean(keras.activations.relu(x, max_value=6), axis=(1, 2)))


def ours() -> keras.Model:
    return classic_network(ModelConfig(), (12, 12, 3), classes=4)


GOOD: tuple[Build, ...] = (
    sequential, unbuilt_sequential, nested, shared, adapted, mixed_precision, attention, ours,
)  # fmt: skip
SAVED = [(build, suffix) for build in GOOD for suffix in (".keras", ".h5")]
SAVED.append((operations, ".keras"))  # the .h5 format cannot hold them


def answer(model: keras.Model) -> list[Any]:
    rng = np.random.default_rng(7)
    images = [rng.uniform(0, 255, (2, *SIZE)).astype(np.float32) for _ in model.inputs]
    given = model(images if len(images) > 1 else images[0], training=False)
    return [np.asarray(output) for output in keras.tree.flatten(given)]


def assert_same(model: keras.Model, opened: keras.Model) -> None:
    assert opened is not model
    for expected, given in zip(answer(model), answer(opened), strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(
    ("build", "suffix"), SAVED, ids=lambda part: getattr(part, "__name__", part)
)
def test_what_keras_saves_is_opened_and_answers_the_same(
    build: Build, suffix: str, tmp_path: Path
) -> None:
    model, path = build(), tmp_path / f"model{suffix}"
    model.save(path)
    assert inspect_file(path).format == f"{suffix} (Keras {keras.__version__})"
    assert_same(model, load_model(path))


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        (".keras", "model.h5"),
        (".h5", "model.keras"),
        (".h5", "a.hdf5"),
        (".keras", "MODEL.KERAS"),
        (".h5", "model"),
    ],
)
def test_a_file_is_what_it_holds_whatever_its_name(suffix: str, name: str, tmp_path: Path) -> None:
    model = ours()
    model.save(tmp_path / f"saved{suffix}")
    path = (tmp_path / f"saved{suffix}").rename(tmp_path / name)
    assert_same(model, load_model(path))
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_file_that_is_replaced_while_it_is_opened_is_the_one_that_was_looked_at(
    tmp_path: Path,
) -> None:
    path, other, model = tmp_path / "model.keras", tmp_path / "other.keras", ours()
    model.save(path)
    keras.Sequential([keras.Input((1,)), layers.Dense(1)]).save(other)
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    found = inspect_file(path)
    os.replace(other, path)
    assert_same(model, open_model(found))
    assert found.sha256 == fingerprint


def test_systems_without_proc_hold_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = tmp_path / "model.keras", ours()
    model.save(path)
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda one: "proc" not in one.parts and exists(one))
    found = inspect_file(path)
    copy = found.held.source
    path.write_bytes(b"")
    assert found.sha256 == fingerprint
    with pytest.raises(CheckpointError, match="changed while"):
        open_model(found)
    del found
    gc.collect()
    assert not copy.parent.exists()


def test_a_file_that_is_written_into_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.keras"
    ours().save(path)
    load = keras.saving.load_model

    def writing(file: Path, **settings: Any) -> keras.Model:
        os.utime(path, (0, 0))
        return load(file, **settings)

    monkeypatch.setattr(keras.saving, "load_model", writing)
    with pytest.raises(CheckpointError, match="changed while it was being opened"):
        load_model(path)


def test_the_step_travels_in_the_file_and_keras_does_not_mind(tmp_path: Path) -> None:
    path, model = tmp_path / "model.keras", ours()
    model.save(path)
    assert inspect_file(path).step is None
    mark_step(path, 1200)
    mark_step(path, 1300)
    assert inspect_file(path).step == 1300
    assert_same(model, keras.saving.load_model(path, compile=False))
    assert_same(model, load_model(path))


@pytest.mark.parametrize("comment", [b"deconvviz: step 9" * 3, b"deconvviz: step " + b"9" * 19])
def test_a_comment_that_is_no_step_says_nothing(comment: bytes) -> None:
    assert marked_step(comment) is None


def change(path: Path, old: str, new: str) -> None:
    """Write one thing otherwise into a `.keras` file's configuration."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert old.encode() in members["config.json"]
    members["config.json"] = members["config.json"].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"use_bias": true', '"use_bias": false'), ('"padding": "same"', '"padding": "round"')],
)
def test_what_only_keras_can_tell_is_refused_in_one_line(
    old: str, new: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    ours().save(path)
    change(path, old, new)
    with pytest.raises(CheckpointError, match="cannot open it") as refused:
        load_model(path)
    assert str(path) in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000


def test_a_layer_alone_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    ours().save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    flatten = next(
        entry for entry in json.loads(members["config.json"])["config"]["layers"]
        if entry["class_name"] == "Flatten"
    )  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"config.json": json.dumps(flatten).encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(CheckpointError, match="holds a Flatten, not a model"):
        load_model(path)


def wide(path: Path, width: int) -> None:
    """Store `width` numbers, and describe a square weight of that width."""
    images = keras.Input((1,))
    keras.Model(images, layers.Dense(width, use_bias=False)(images)).save(path)
    change(path, "[null, 1]", f"[null, {width}]")


def test_a_file_gets_no_more_memory_than_its_weights_fill(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    wide(path, 4096)
    add_weight = keras.layers.Layer.add_weight
    with pytest.raises(CheckpointError, match=r"than the 4096 numbers .* shape \(4096, 4096\)"):
        load_model(path)
    assert keras.layers.Layer.add_weight is add_weight
    layers.Dense(2**11).build((1, 2**11))  # others are not bounded afterwards


STRANGERS = {  # each file's parameters, by its own README
    "mlctiny_resnet8.h5": (".h5 (Keras 2.4.0)", (32, 32, 3), 10),
    "fer_mini_xception_102.h5": (".h5 (Keras 2.0.5)", (64, 64, 1), 7),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_other_peoples_old_files_are_opened(name: str) -> None:
    folder = os.environ.get("DECONVVIZ_STRANGERS")
    if not folder:
        pytest.skip("DECONVVIZ_STRANGERS names no folder of other people's models")
    path = Path(folder, name)
    written_as, size, classes = STRANGERS[name]
    assert inspect_file(path).format == written_as
    model = load_model(path)
    assert model.inputs[0].shape == (None, *size)
    probabilities = np.asarray(model([np.zeros((1, *size), np.float32)]))
    assert probabilities.shape == (1, classes)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)

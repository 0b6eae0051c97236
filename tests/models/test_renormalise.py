"""Filters held within a radius (METHOD's oracle 28), and what becomes of that when it is saved."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from deconvviz.config import ModelConfig, TrainConfig
from deconvviz.errors import CheckpointError
from deconvviz.models.classic import classic_network
from deconvviz.models.files import load_model
from deconvviz.models.networks import build_network
from deconvviz.models.renormalise import FilterRadius
from deconvviz.training.loop import make_optimizer, make_train_step

Array = np.ndarray


def kernel(rms: list[float]) -> Array:
    """A 3 x 3 x 2 kernel whose filters have the given root mean squares."""
    random = np.random.default_rng(0).normal(size=(3, 3, 2, len(rms)))
    return (random / rms_of(random) * rms).astype(np.float32)


def rms_of(w: Array) -> Array:
    result: Array = np.sqrt((w.astype(np.float64) ** 2).mean(axis=tuple(range(w.ndim - 1))))
    return result


def test_filters_beyond_the_radius_are_scaled_to_it_and_the_others_are_untouched() -> None:
    before = kernel([0.03, 0.0999, 0.11, 5.0])
    after = FilterRadius(0.1)(before).numpy()
    assert np.array_equal(after[..., :2], before[..., :2])
    np.testing.assert_allclose(rms_of(after)[2:], 0.1, rtol=1e-6)
    for k in (2, 3):  # the same filter, only smaller
        ratio = after[..., k] / before[..., k]
        np.testing.assert_allclose(ratio, 0.1 / rms_of(before)[k], rtol=1e-5)


def test_renormalising_twice_is_renormalising_once() -> None:
    once = FilterRadius(0.1)(kernel([0.02, 0.3, 7.0])).numpy()
    twice = FilterRadius(0.1)(once).numpy()
    np.testing.assert_allclose(twice, once, rtol=1e-6)


def test_a_filter_of_zeros_stays_one() -> None:
    assert not FilterRadius(0.1)(np.zeros((3, 3, 1, 2), np.float32)).numpy().any()


@pytest.mark.parametrize("name", ["classic", "deep", "zf"])
@pytest.mark.parametrize("radius", [0.02, None])
def test_every_training_step_renormalises_where_it_is_asked_for(
    name: str, radius: float | None
) -> None:
    keras.utils.set_random_seed(0)
    config = ModelConfig.model_validate({"name": name, "filter_rms": radius})
    model = build_network(config, (8, 8, 3), 4)
    train = TrainConfig(learning_rate=1e-2)
    step = make_train_step(model, make_optimizer(train), train)
    step(tf.random.normal((4, 8, 8, 3)), tf.constant([0, 1, 2, 3], tf.int64))
    convolutions = [one for one in model.layers if isinstance(one, keras.layers.Conv2D)]
    largest = [rms_of(one.kernel.numpy()).max() for one in convolutions]
    if radius is None:
        assert min(largest) > 0.05
    else:
        np.testing.assert_allclose(largest, radius, rtol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_network_keeps_its_radius(tmp_path: Path, suffix: str) -> None:
    model = classic_network(ModelConfig(filter_rms=0.07), (12, 12, 3), 4)
    model.save(tmp_path / f"model{suffix}")
    constraint = load_model(tmp_path / f"model{suffix}").get_layer("conv2").kernel_constraint
    assert isinstance(constraint, FilterRadius)
    assert constraint.radius == 0.07


@keras.saving.register_keras_serializable(package="strange")
class Strange(keras.constraints.Constraint):
    """A constraint that is not ours and not Keras's."""


def test_a_constraint_of_somebody_else_is_still_refused(tmp_path: Path) -> None:
    images = keras.Input((12, 12, 3))
    keras.Model(images, keras.layers.Conv2D(2, 3, kernel_constraint=Strange())(images)).save(
        tmp_path / "strange.keras"
    )
    with pytest.raises(CheckpointError, match="Strange, which is not Keras's own"):
        load_model(tmp_path / "strange.keras")


def test_a_strange_class_under_our_name_is_refused(tmp_path: Path) -> None:
    import json
    import zipfile

    classic_network(ModelConfig(filter_rms=0.1), (12, 12, 3), 4).save(tmp_path / "model.keras")
    forged = tmp_path / "forged.keras"
    with zipfile.ZipFile(tmp_path / "model.keras") as sound, zipfile.ZipFile(forged, "w") as copy:
        for member in sound.namelist():
            text = sound.read(member)
            if member == "config.json":
                config = json.loads(text)
                config["config"]["layers"][1]["config"]["kernel_constraint"]["class_name"] = "Evil"
                text = json.dumps(config).encode()
            copy.writestr(member, text)
    with pytest.raises(CheckpointError, match="Evil, which is not Keras's own"):
        load_model(forged)

"""A check that was stopped goes on, and never with parts of another."""

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError
from deconvviz.experiments.sanity import check

layers = keras.layers


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2"),
            layers.Flatten(),
            layers.Dense(3, name="dense"),
        ]
    )


@pytest.fixture(scope="module")
def images() -> Any:
    return np.random.default_rng(1).normal(size=(4, 12, 12, 3)).astype(np.float32)


def stop_at(wanted: str, begun: list[str]) -> Any:
    def report(what: str) -> None:
        begun.append(what)
        if what == wanted:
            raise Stopped

    return report


@pytest.fixture(scope="module")
def net(model: keras.Model) -> Deconvnet:
    return Deconvnet(model)


@pytest.fixture(scope="module")
def stopped(net: Deconvnet, images: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a check keeps that was stopped when all layers were drawn anew; not to be changed."""
    kept = tmp_path_factory.mktemp("stopped") / "unfinished"
    with pytest.raises(Stopped):
        check(net, images, "conv2", "deconvnet", report=stop_at("covering", []), keep=kept)
    return kept


@pytest.fixture
def keep(stopped: Path, tmp_path: Path) -> Path:
    """The same, to go on from."""
    return shutil.copytree(stopped, tmp_path / "unfinished")


def test_a_check_that_was_stopped_ends_with_the_numbers_of_one_that_was_not(
    net: Deconvnet, images: Any, keep: Path
) -> None:
    whole = check(net, images, "conv2", "deconvnet")
    assert len(list(keep.iterdir())) == 4  # two layers, down to each and each alone
    resumed = check(net, images, "conv2", "deconvnet", keep=keep)
    for one, other in zip(whole.rows, resumed.rows, strict=True):
        assert (one.group, one.name, one.rule) == (other.group, other.name, other.rule)
        np.testing.assert_array_equal(one.values, other.values)
    for rule, maps in whole.pictures.items():
        assert list(maps) == list(resumed.pictures[rule])
        for name, pictures in maps.items():
            np.testing.assert_array_equal(pictures, resumed.pictures[rule][name])
    assert not keep.exists()


def test_what_was_kept_is_not_made_again(
    net: Deconvnet, images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deconvviz.experiments.redrawing import Redrawn

    drawn: list[Any] = []
    redraw = Redrawn.redraw

    def noted(self: Redrawn, these: Any, generator: np.random.Generator) -> None:
        drawn.append(these)
        redraw(self, these, generator)

    monkeypatch.setattr(Redrawn, "redraw", noted)
    last = "redrawing conv1 alone"
    with pytest.raises(Stopped):
        check(net, images, "conv2", "deconvnet", report=stop_at(last, []), keep=tmp_path)
    assert len(drawn) == 2 * 3  # two draws of each part before the last
    drawn.clear()
    check(net, images, "conv2", "deconvnet", keep=tmp_path)
    assert drawn == [("conv1",)] * 2


@pytest.mark.parametrize("other", ["images", "weights", "feature", "rules", "dilation"])
def test_parts_of_another_check_are_left_alone(
    model: keras.Model, net: Deconvnet, images: Any, keep: Path, other: str
) -> None:
    kept, feature = set(keep.iterdir()), None
    if other == "images":
        images = images + np.float32(0.1)
    elif other == "feature":
        feature = 1
    elif other == "rules":  # of the same name
        net = Deconvnet(model, rules="guided")
    elif other == "dilation":  # with the same weights
        config = model.get_config()
        config["layers"][1]["config"]["dilation_rate"] = (2, 2)
        copy = keras.Sequential.from_config(config)
        copy.set_weights(model.get_weights())
        net = Deconvnet(copy)
    else:
        copy = keras.models.clone_model(model)
        copy.set_weights([weight * 1.1 for weight in model.get_weights()])
        net = Deconvnet(copy)
    with pytest.raises(Stopped):
        check(net, images, "conv2", "deconvnet", feature, report=stop_at("covering", []), keep=keep)
    assert kept < set(keep.iterdir())
    assert len(set(keep.iterdir()) - kept) == 4


def test_a_check_that_ends_removes_its_own_parts_alone(
    net: Deconvnet, images: Any, keep: Path
) -> None:
    (keep / "another.npz").write_bytes(b"")
    check(net, images, "conv2", "deconvnet", keep=keep)
    assert [path.name for path in keep.iterdir()] == ["another.npz"]


def test_a_file_that_is_no_part_is_named(net: Deconvnet, images: Any, keep: Path) -> None:
    broken = min(keep.iterdir())
    broken.write_bytes(b"no part")
    with pytest.raises(DataError, match=f"{broken.name} holds no part of a sanity check"):
        check(net, images, "conv2", "deconvnet", keep=keep)

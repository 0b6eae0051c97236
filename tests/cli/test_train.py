"""What a run leaves behind, seen from outside."""

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = 20  # of the fixture `trained`; reports every 5, evaluations and pictures every 10


@pytest.fixture(scope="module")
def events(trained: Path) -> EventAccumulator:
    loaded = EventAccumulator(str(trained), size_guidance={"tensors": 0, "graph": 0})
    loaded.Reload()
    return loaded


def pixels(events: EventAccumulator, tag: str, step: int) -> list[np.ndarray]:
    import io

    (event,) = [event for event in events.Tensors(tag) if event.step == step]
    return [np.asarray(Image.open(io.BytesIO(png))) for png in event.tensor_proto.string_val[2:]]


def test_everything_lies_in_the_runs_folder(trained: Path, pictures: Path) -> None:
    config = tomllib.loads((trained / "config.toml").read_text())
    assert config["train"]["steps"] == STEPS
    assert config["data"] == {
        "name": "folder", "dir": str(pictures), "size": 12, "crop": 8, "flip": True,
        "preprocess": "standardize", "random_crop": True, "skip_broken": False,
    }  # fmt: skip
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {
        "last.keras", "best.keras", "state.npz",
        *(f"step-{step:08d}.keras" for step in (1, 2, 3, 6, 9, 12, 20)),
    }  # fmt: skip
    assert [path.name for path in trained.parent.iterdir()] == [trained.name]


def test_the_record_says_what_the_numbers_depend_on(trained: Path) -> None:
    import keras
    import tensorflow as tf

    record = json.loads((trained / "run.json").read_text())
    assert record["seed"] == 0
    assert record["data"]["classes"] == ["bright", "dark"]
    assert len(record["data"]["fingerprint"]) == 64
    environment = record["environment"]
    assert environment["tensorflow"] == tf.__version__
    assert environment["keras"] == keras.__version__
    assert environment["cpus"] >= 1
    assert "intra_op_threads" in environment
    assert 0 <= record["test_accuracy"] <= 1


def test_metrics_hold_a_row_a_report(trained: Path) -> None:
    with (trained / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [5, 10, 15, 20]
    assert all(float(row["loss"]) > 0 and 0 <= float(row["accuracy"]) <= 1 for row in rows)
    assert [row["test_accuracy"] != "" for row in rows] == [False, True, False, True]
    record = json.loads((trained / "run.json").read_text())
    assert float(rows[-1]["test_accuracy"]) == record["test_accuracy"]


def test_tensorboard_gets_scalars_graph_filters_and_rows(events: EventAccumulator) -> None:
    tags = events.Tags()
    assert tags["graph"]
    assert set(tags["tensors"]) == {
        "train/loss", "train/accuracy", "test/accuracy", "source/folder", "filters/conv1",
        "scale/pool1", "scale/pool2", "scale/filters_conv1",
    }  # fmt: skip
    assert [event.step for event in events.Tensors("source/folder")] == [1, 10, 20]
    assert len(pixels(events, "source/folder", 20)) == 3


def test_the_row_in_tensorboard_is_the_network_of_its_step(
    events: EventAccumulator, trained: Path, pictures: Path
) -> None:
    import deconvviz
    from deconvviz.config import DataConfig
    from deconvviz.data import load_dataset

    images = load_dataset(DataConfig(name="folder", dir=pictures, size=12, crop=8), 0).test.images
    window = images[:3, 2:10, 2:10]
    mean = window.mean(axis=(1, 2, 3), keepdims=True)
    inputs = ((window - mean) / window.std(axis=(1, 2, 3), keepdims=True)).astype(np.float32)
    net = deconvviz.Deconvnet(deconvviz.load_model(trained))
    panels = [window]
    for layer in ("pool1", "pool2"):
        maps = net.reconstruct(inputs, layer)
        largest = np.abs(maps).max(axis=(1, 2, 3), keepdims=True)
        panels.append(np.trunc(128 + 127 * maps / largest).astype(np.uint8))
    expected = np.concatenate(panels, axis=2)
    shown = np.stack(pixels(events, "source/folder", STEPS))
    # The two ways to the inputs differ in their last bits, which may move a value by one level.
    assert np.abs(expected.astype(int) - shown).max() <= 1
    assert np.mean(expected == shown) > 0.99


def test_a_run_without_a_name_takes_the_next_free_number(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "classic-1").mkdir()
    ended = call("train", "--logdir", tmp_path, "--data-dir", pictures, *tiny("train.steps=2"))
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == f"Run: {tmp_path / 'classic-2'}"
    assert not list((tmp_path / "classic-1").iterdir())


def test_off_a_terminal_progress_is_plain_lines(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path
) -> None:
    ended = call(
        "train", "--logdir", tmp_path, "--data-dir", pictures,
        *tiny("train.steps=4", "train.report_every=2"),
    )  # fmt: skip
    assert "\x1b" not in ended.out + ended.err
    assert "\r" not in ended.out + ended.err
    assert "step " not in ended.out
    lines = [line for line in ended.err.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["2/4", "4/4"]
    for word in ("loss", "accuracy", "images/s", "left"):
        assert word in lines[0]


def test_training_that_diverges_is_told(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path
) -> None:
    ended = call(
        "train", "--logdir", tmp_path, "--data-dir", pictures,
        *tiny("train.steps=50", "train.learning_rate=1e30"),
    )  # fmt: skip
    assert ended.code == 1
    assert "diverged" in ended.err
    assert "train.learning_rate" in ended.err


def test_one_scale_for_all_steps_is_kept_at_all_steps(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path
) -> None:
    ended = call(
        "train", "--logdir", tmp_path, "--data-dir", pictures,
        *tiny("train.steps=10", "pictures.scale=[2.0, 3.0]"),
    )  # fmt: skip
    assert ended.code == 0, ended.err
    loaded = EventAccumulator(str(tmp_path / "classic-1"), size_guidance={"tensors": 0})
    loaded.Reload()
    for layer, scale in (("pool1", 2.0), ("pool2", 3.0)):
        values = [event.tensor_proto.float_val[0] for event in loaded.Tensors(f"scale/{layer}")]
        assert values == [scale, scale]
    description = loaded.SummaryMetadata("source/folder").summary_description
    assert "one scale for all images and steps" in description

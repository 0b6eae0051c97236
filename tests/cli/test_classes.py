"""A label means the class that the network learnt under its number, or is not used."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deconvviz.cli.checkpoint import Checkpoint, answers
from deconvviz.cli.classes import network_labels, require_own_classes
from deconvviz.config import DataConfig, RunConfig
from deconvviz.data import Dataset, Split
from deconvviz.errors import CheckpointError, ConfigError, DeconvvizError
from deconvviz.training.rundir import RunDirectory
from deconvviz.training.small_files import RunRecord

LABELS = [0, 1, 1]


def data_set(name: str, *classes: str, fingerprint: str = "0f") -> Dataset:
    split = Split(np.zeros((3, 2, 2, 3), np.uint8), np.array(LABELS))
    return Dataset(name, classes, split, split, fingerprint)


@pytest.fixture
def run(tmp_path: Path) -> Checkpoint:
    made = RunDirectory.create(tmp_path / "logs", "mine", "classic")
    made.begin(RunConfig())
    about = {"name": "folder", "classes": ("cat", "dog"), "fingerprint": "0f"}
    made.write_record(RunRecord.model_validate({"data": about}))
    file: Any = None  # no question of these
    return Checkpoint(file, made.path, made.path, DataConfig(name="folder", dir=tmp_path))


def test_the_labels_of_the_runs_own_data_are_the_networks(
    run: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = network_labels(run, data_set("folder", "cat", "dog"), "test")
    assert labels is not None
    assert labels.tolist() == LABELS
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("cat", "hound"), "dog lacking and hound added"),
        (("ant", "cat", "dog"), "ant added"),
        (("cat",), "dog lacking"),
        (("dog", "cat"), "in another order"),
        (tuple(f"class {n:03}" for n in range(500)), "(500 in all) added"),
    ],
)
def test_a_directory_that_was_renamed_or_added_is_told(
    classes: tuple[str, ...], words: str, run: Checkpoint
) -> None:
    with pytest.raises(CheckpointError) as refused:
        network_labels(run, data_set("folder", *classes), "test")
    assert words in str(refused.value)
    assert len(str(refused.value).replace(str(run.run), "")) < 300


def test_other_images_of_the_same_classes_are_noted(
    run: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    other = data_set("folder", "cat", "dog", fingerprint="f0")
    assert network_labels(run, other, "test") is not None
    assert "are not those that the run began with" in capsys.readouterr().err


def test_another_data_sets_labels_are_unknown_to_a_run_and_a_persons_word_to_a_file(
    run: Checkpoint, tmp_path: Path
) -> None:
    photos = data_set("photos", "astronaut", "coffee")
    assert network_labels(run, photos, "test") is None
    with pytest.raises(ConfigError, match="Take its own: --dataset folder"):
        require_own_classes(run, photos, "test")
    file = Checkpoint(run.file, tmp_path)
    labels = network_labels(file, photos, "train")
    assert labels is not None
    assert labels.tolist() == LABELS


@pytest.mark.parametrize(
    "question",
    [("occlusion", "--limit", 1), ("invariance", "--limit", 1), ("inspect", "--dataset", "folder")],
    ids=lambda question: question[0],
)
def test_every_command_that_uses_labels_compares_the_classes(
    question: tuple[Any, ...], call: Any, trained: Path, pictures: Path, tmp_path: Path
) -> None:
    for name, now in (("bright", "bright"), ("dark", "black")):
        (tmp_path / now).symlink_to(pictures / name)
    ended = call(*question, "--ckpt", trained, "--data-dir", tmp_path)
    assert ended.code == 1
    assert "dark lacking and black added" in ended.err


def test_answers_go_to_the_run_or_where_logdir_says(run: Checkpoint, tmp_path: Path) -> None:
    folder, logs = run.folder, tmp_path / "new" / "logs"
    assert answers(folder, None) == folder
    assert answers(folder, logs) == logs / "mine"
    assert answers(Path("model.keras"), None) == Path("logs/model")
    assert answers(Path("model.keras"), logs) == logs / "model"
    assert not logs.exists()


def test_a_run_that_cannot_be_written_is_told_and_the_advice_helps(
    run: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(run.folder)))
    with pytest.raises(DeconvvizError, match=r"cannot be written to.*Give --logdir DIR"):
        answers(run.folder, None)
    assert answers(run.folder, tmp_path) == tmp_path / "mine"


def test_a_logdir_that_is_a_file_is_told(run: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("")
    with pytest.raises(DeconvvizError, match=r"README\.md is no folder"):
        answers(run.folder, tmp_path / "README.md")

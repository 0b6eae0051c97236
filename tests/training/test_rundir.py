"""A run's folder and its small files: whatever they hold, a person reads one sentence."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deconvviz.atomic import TEMPORARY
from deconvviz.config import RunConfig, TrainConfig, load_config
from deconvviz.errors import CheckpointError, ConfigError, DeconvvizError
from deconvviz.locks import LOCK
from deconvviz.training.longer import finished_words, is_finished, require_can_end_at
from deconvviz.training.rundir import Report, RunDirectory
from deconvviz.training.small_files import Progress, RunRecord
from deconvviz.training.state import restore_state, save_state, saved_progress

Damage = Callable[[Path], object]
RECORD = {"seed": 3, "data": {"name": "photos", "classes": ["a", "b"], "fingerprint": "0f"}}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory.create(tmp_path / "logs", "mine", "classic")
    with made.writing():
        made.begin(RunConfig(train=TrainConfig(steps=40)))
    return made


def write_state(run: RunDirectory, **values: Any) -> None:
    run.state.parent.mkdir(exist_ok=True)
    np.savez(run.state, **{"step": 40, "best": 0.5, **values})


def as_directory(path: Path) -> None:
    path.mkdir()


def text(content: str | bytes) -> Damage:
    return lambda path: path.write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


RECORDS: dict[str, tuple[Damage, str]] = {
    "a list": (text("[1]"), "received [1]"),
    "true": (text("true"), "received True"),
    "no data": (text('{"seed": 0}'), "data: Field required"),
    "data is text": (text('{"data": "cifar10"}'), "data"),
    "no classes": (text('{"data": {"name": "a", "fingerprint": "b"}}'), "data.classes"),
    "a class is a number": (
        text('{"data": {"name": "a", "fingerprint": "b", "classes": [1]}}'),
        "data.classes.0",
    ),
    "not JSON": (text("{"), "line 1"),
    "nothing": (text(""), "line 1"),
    "other bytes": (text(b"\xff\xfe"), "utf-8"),
    "deep": (text("[" * 100_000), "recursion"),
    "a long number": (text("1" * 5_000), "5000 digits"),
    "a long text": (text(json.dumps("a" * 100_000)), "…"),
    "a directory": (as_directory, "Is a directory"),
    "missing": (lambda path: None, "No such file"),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_a_record_that_is_none_is_refused_by_name(damage: str, run: RunDirectory) -> None:
    make, words = RECORDS[damage]
    make(run.path / "run.json")
    with pytest.raises(CheckpointError) as refused:
        run.record()
    assert str(run.path / "run.json") in str(refused.value)
    assert words in str(refused.value)
    assert len(str(refused.value).replace(str(run.path), "")) < 300


def test_a_record_keeps_what_this_version_does_not_know(run: RunDirectory) -> None:
    run.write_record(RunRecord.model_validate(RECORD))
    ended = run.record().model_copy(update={"finished": "today", "test_accuracy": 0.5})
    run.write_record(ended)
    written = json.loads((run.path / "run.json").read_text())
    assert written == {**RECORD, "finished": "today", "test_accuracy": 0.5}


METRICS: dict[str, tuple[Damage, str]] = {
    "a directory": (as_directory, "Is a directory"),
    "other bytes": (text(b"step\n1,\xff,0.5,\n"), "utf-8"),
    "a long field": (text(f"step\n1,{'1' * 200_000},0.5,\n"), "field"),
    "a step that is text": (text("step\nfirst,1.0,0.5,\n"), "received 'first'"),
    "a step beyond int64": (text(f"step\n{2**63},1.0,0.5,\n"), "less than"),
    "too few fields": (text("step\n1,1.0\n"), "0.2"),
}


@pytest.mark.parametrize("damage", METRICS)
def test_metrics_that_are_none_are_refused_and_the_advice_helps(
    damage: str, run: RunDirectory
) -> None:
    make, words = METRICS[damage]
    path = run.path / "metrics.csv"
    make(path)
    with pytest.raises(CheckpointError) as refused:
        run.metrics().begin(5)
    assert str(path) in str(refused.value)
    assert words in str(refused.value)
    assert "Move it away" in str(refused.value)
    path.rename(run.path / "away")
    run.metrics().begin(5)
    assert path.read_text() == "step,loss,accuracy,test_accuracy\n"


def test_rows_up_to_the_step_stay_as_they_are_and_a_torn_one_goes(run: RunDirectory) -> None:
    metrics = run.metrics()
    metrics.begin(0)
    for report in (Report(5, 1 / 3, 0.5), Report(10, 2e-9, 1.0, 0.25), Report(15, 1.0, 0.5)):
        metrics.append(report)
    whole = metrics.path.read_bytes()
    metrics.path.write_bytes(whole + b"1")  # a full disk took no more of step 19
    metrics.begin(10)
    assert metrics.path.read_bytes() == whole[: whole.index(b"15,")]


STATES: dict[str, dict[str, Any]] = {
    "text": {"step": "forty"},
    "beyond int64": {"step": np.uint64(2**63)},
    "below 0": {"step": -1},
    "a fraction": {"step": 1.5},
    "several": {"step": [1, 2]},
    "an object": {"step": None},
    "a date": {"step": np.datetime64("2026-01-01")},
    "best is text": {"best": "good"},
    "best is not finite": {"best": np.nan},
}


@pytest.mark.parametrize("damage", STATES)
def test_a_step_that_is_none_is_refused_by_name(damage: str, run: RunDirectory) -> None:
    write_state(run, **STATES[damage])
    with pytest.raises(CheckpointError, match="is damaged") as refused:
        saved_progress(run.state)
    assert str(run.state) in str(refused.value)


def test_a_state_of_anything_else_is_refused(run: RunDirectory) -> None:
    write_state(run)
    whole = run.state.read_bytes()
    with run.state.open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(CheckpointError, match="one array"):
        saved_progress(run.state)
    for content in (b"", b"PK", whole[:-30], whole.replace(b"<i8", b"<i9")):
        run.state.write_bytes(content)
        with pytest.raises(CheckpointError, match="is damaged"):
            saved_progress(run.state)
    run.state.unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        saved_progress(run.state)


class Variable:
    """What a state knows of a Keras variable."""

    path = "conv1/kernel"

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value, np.float32)

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.value

    def assign(self, value: Any) -> None:
        self.value = value


class Owner:
    def __init__(self, *variables: Variable) -> None:
        self.variables = variables


def test_no_memory_is_given_to_an_array_of_another_size(run: RunDirectory) -> None:
    huge = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(huge, about)
    model, optimizer = Owner(Variable([1, 2])), Owner()
    save_state(run.state, model, optimizer, Progress(step=7))
    with zipfile.ZipFile(run.state) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(run.state, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, huge.getvalue() if "conv1" in name else content)
    with pytest.raises(CheckpointError, match="another network"):
        restore_state(run.state, model, optimizer)


def test_a_state_comes_back_as_it_was(run: RunDirectory) -> None:
    model, optimizer = Owner(Variable([1, 2])), Owner(Variable(3))
    save_state(run.state, model, optimizer, Progress(step=7, best=0.5))
    fresh = Owner(Variable([0, 0]))
    restored = restore_state(run.state, fresh, Owner(Variable(0)))
    assert restored == Progress(step=7, best=0.5)
    assert fresh.variables[0].value.tolist() == [1, 2]
    for other in (Owner(Variable([0])), Owner(Variable([0, 0]), Variable(0)), Owner()):
        with pytest.raises(CheckpointError, match="another network"):
            restore_state(run.state, other, optimizer)


def test_a_folder_that_a_kill_left_empty_is_taken_over(tmp_path: Path) -> None:
    for left in ((), (LOCK,), (f"{TEMPORARY}abc.toml",), (LOCK, f"{TEMPORARY}abc.toml")):
        folder = tmp_path / f"run{len(left)}{''.join(left)[:5].strip('.')}"
        folder.mkdir()
        for name in left:
            (folder / name).write_text("")
        with pytest.raises(CheckpointError, match=f"--logdir {tmp_path} --name {folder.name}"):
            RunDirectory.open(folder)
        run = RunDirectory.create(tmp_path, folder.name, "classic")
        with run.writing():
            run.begin(RunConfig())
        assert [path.name for path in folder.iterdir()] == ["config.toml"]


def test_of_two_that_take_the_same_folder_one_is_refused(tmp_path: Path) -> None:
    first = RunDirectory.create(tmp_path, "mine", "classic")
    second = RunDirectory.create(tmp_path, "mine", "classic")
    by = f"being written by process {os.getpid()}"
    with first.writing():
        with pytest.raises(DeconvvizError, match=by), second.writing():
            pass
        first.begin(RunConfig())
    with second.writing(), pytest.raises(ConfigError, match="--resume"):
        second.begin(RunConfig())


def test_a_folder_of_anything_else_is_never_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="is no run") as refused:
        RunDirectory.create(tmp_path, "mine", "classic")
    assert "--resume" not in str(refused.value)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", [None, "mine"])
@pytest.mark.parametrize("below", ["", "sub"])
def test_a_logdir_that_is_a_file_is_told(name: str | None, below: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("")
    with pytest.raises(DeconvvizError, match=r"README\.md.*Give a --logdir that is a folder"):
        RunDirectory.create(tmp_path / "README.md" / below, name, "classic")


def finish(run: RunDirectory, step: int = 40) -> None:
    write_state(run, step=step)
    run.write_record(RunRecord.model_validate({**RECORD, "finished": "today"}))


def test_a_finished_run_says_how_to_train_it_longer_and_that_works(run: RunDirectory) -> None:
    assert not is_finished(run, run.config())
    finish(run)
    assert is_finished(run, run.config())
    words = finished_words(run)
    assert "40 of 40" in words
    advice = f"deconvviz train --resume {run.path} --set "
    setting = words.split(advice)[1]
    longer = load_config(run.path / "config.toml", [setting])
    assert not is_finished(run, longer)
    require_can_end_at(run, longer.train.steps)
    run.end_at(longer.train.steps)
    assert run.config() == longer
    assert longer.train.steps == 80


def test_a_run_that_was_stopped_before_its_end_was_measured_is_not_finished(
    run: RunDirectory,
) -> None:
    finish(run, step=39)
    assert not is_finished(run, run.config())
    write_state(run)
    run.write_record(RunRecord.model_validate(RECORD))
    assert not is_finished(run, run.config())


def test_fewer_steps_than_were_done_are_refused(run: RunDirectory) -> None:
    finish(run)
    with pytest.raises(ConfigError, match=r"train\.steps=30, and .* has done 40"):
        require_can_end_at(run, 30)


def test_a_learning_rate_that_knows_the_last_step_is_not_stretched(run: RunDirectory) -> None:
    run.write_config(RunConfig(train=TrainConfig(steps=40, schedule="one-cycle")))
    finish(run)
    assert "--set" not in finished_words(run)
    with pytest.raises(ConfigError, match="'one-cycle'"):
        require_can_end_at(run, 80)

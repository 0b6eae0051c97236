"""A run that was stopped in any way ends as one that was not."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from deconvviz.atomic import TEMPORARY
from deconvviz.locks import LOCK, one_writer

STEPS = 40
KILLS = 2  # scripts/torture.py makes many
Start = Callable[..., "subprocess.Popen[str]"]
Begin = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def begin(start: Start, tiny: Callable[..., list[str]], pictures: Path) -> Begin:
    """Start the run `logs/run`, with a checkpoint at every step: most kills fall into one."""
    settings = tiny(f"train.steps={STEPS}", "train.checkpoint_every=1", "train.report_every=7")

    def begun(logs: Path) -> "subprocess.Popen[str]":
        return start("train", "--name", "run", "--logdir", logs, "--data-dir", pictures, *settings)

    return begun


def state(run: Path) -> dict[str, npt.NDArray[np.float32]]:
    with np.load(run / "checkpoints" / "state.npz") as saved:
        return {key: saved[key] for key in saved.files}


def assert_ended_alike(one: Path, other: Path) -> None:
    left, right = state(one), state(other)
    assert left.keys() == right.keys()
    assert left["step"] == STEPS
    different = [key for key in left if left[key].tobytes() != right[key].tobytes()]
    assert not different
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()


def assert_clean(run: Path) -> None:
    """Nothing of the killed processes is left, and TensorBoard has the graph once."""
    assert not list(run.rglob(".*"))
    assert not list(run.rglob("*.lock"))
    files = [str(path) for path in run.glob("events.out.tfevents.*")]
    events = [event for file in files for event in EventFileLoader(file).Load()]
    assert sum(event.HasField("graph_def") for event in events) == 1


def wait_for_a_step(process: "subprocess.Popen[str]", run: Path, since: int) -> None:
    """Wait until a process has saved a step of its own."""
    path = run / "checkpoints" / "state.npz"
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and path.stat().st_mtime_ns > since:
            return
        time.sleep(0.002)
    raise AssertionError(f"no step was saved: {process.communicate()[0]}")


@pytest.fixture(scope="module")
def uninterrupted(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("uninterrupted")
    process = begin(logs)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return logs / "run"


def test_a_run_killed_at_random_moments_ends_bit_identical(
    begin: Begin, start: Start, uninterrupted: Path, tmp_path: Path
) -> None:
    moments, run = random.Random(), tmp_path / "run"
    process = begin(tmp_path)
    for _ in range(KILLS):
        started = time.time_ns()
        wait_for_a_step(process, run, started)
        time.sleep(moments.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, out
        process = start("train", "--resume", run)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert_ended_alike(run, uninterrupted)
    assert_clean(run)


def test_a_stopped_run_says_how_to_go_on_and_ends_bit_identical(
    begin: Begin, start: Start, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = begin(tmp_path)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        wait_for_a_step(process, run, time.time_ns())
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + number, out
        assert f"Go on with: deconvviz train --resume {run}" in out
        assert 0 < int(state(run)["step"]) < STEPS
        process = start("train", "--resume", run)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert_ended_alike(run, uninterrupted)


def test_a_run_is_never_overwritten(call: Any, trained: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    ended = call(
        "train", "--name", trained.name, "--logdir", trained.parent, "--set", "data.name=photos"
    )
    assert ended.code == 1
    assert f"{trained} exists already" in ended.err
    assert "--resume" in ended.err
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_a_resumed_run_refuses_other_data(
    call: Any, uninterrupted: Path, pictures: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for file in pictures.rglob("*.png"):
        (other / file.parent.name).mkdir(parents=True, exist_ok=True)
        if not file.name.startswith("3"):
            os.link(file, other / file.parent.name / file.name)
    ended = call("train", "--resume", uninterrupted, "--data-dir", other, "--set", "train.steps=80")
    assert ended.code == 1
    assert "is not what this run began with" in ended.err


class KilledError(Exception):
    """Stands for a kill, in this process."""


def test_a_run_killed_before_its_first_checkpoint_leaves_nothing_twice(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deconvviz.cli.progress import TrainingProgress

    def kill(_: TrainingProgress, step: int) -> None:
        if step == 2:
            raise KilledError

    run, settings = tmp_path / "run", tiny("train.steps=3")
    with monkeypatch.context() as patched:
        patched.setattr(TrainingProgress, "advance", kill)
        with pytest.raises(KilledError):
            call("train", "--name", "run", "--logdir", tmp_path, "--data-dir", pictures, *settings)
    (run / "checkpoints" / f"{TEMPORARY}abc.keras").write_bytes(b"half")
    (run / LOCK).write_text("process 1 on mars")
    ended = call("train", "--resume", run)
    assert ended.code == 0, ended.err
    assert_clean(run)


def test_a_finished_run_that_was_moved_is_trained_longer_as_it_advises(
    call: Any, tiny: Any, pictures: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    settings = tiny(f"train.steps={STEPS // 2}")
    ended = call("train", "--name", "run", "--logdir", tmp_path, "--data-dir", pictures, *settings)
    assert ended.code == 0, ended.err
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    ended = call("train", "--resume", moved)
    assert ended.code == 0, ended.err
    told, advice = ended.out.strip().split("To train it longer: deconvviz ")
    assert f"{moved} is finished: {STEPS // 2} of {STEPS // 2} steps" in told
    ended = call(*advice.split())
    assert ended.code == 0, ended.err
    left, right = state(moved), state(uninterrupted)
    assert left.keys() == right.keys()
    assert not [
        key for key in left if key != "best" and left[key].tobytes() != right[key].tobytes()
    ]
    assert_clean(moved)
    assert call("train", "--resume", moved, "--set", "train.seed=1").code == 2


def test_a_run_has_one_writer_and_any_readers(call: Any, uninterrupted: Path) -> None:
    with one_writer(uninterrupted):
        ended = call("train", "--resume", uninterrupted, "--set", "train.steps=80")
        assert ended.code == 1
        assert f"{uninterrupted} is being written by process {os.getpid()}" in ended.err
        question = ("reconstruct", "--ckpt", uninterrupted, "--limit", 1)
        assert call(*question).code == 0
        (folder,) = (uninterrupted / "reconstructions").iterdir()
        before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        with one_writer(folder):
            ended = call(*question)
        assert ended.code == 1
        assert f"{folder} is being written by process {os.getpid()}" in ended.err
        assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert "steps = 40" in (uninterrupted / "config.toml").read_text()

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


def test_a_stopped_run_says_how_to_go_on_and_ends_bit_identical(
    begin: Begin, start: Start, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = begin(tmp_path)
    for number in (signal.SIGINT, signal.SIGTERM):
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
    ended = call("train", "--resume", uninterrupted, "--data-dir", other)
    assert ended.code == 1
    assert "is not what this run began with" in ended.err

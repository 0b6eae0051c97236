"""What the tortures count as lost: a broken promise must not pass for a kept one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deconvviz.render.tensorboard import EventLog
from scripts.torturing.compare import difference
from scripts.torturing.processes import Ended
from scripts.torturing.subject import dice
from scripts.torturing.table import Row, not_plain, row


def test_a_row_counts_its_losses() -> None:
    assert str(row("x", ["", "gone", ""])) == "| x | 3 | 2 | LOST |"
    assert str(row("x", ["", ""])) == "| x | 2 | 2 | all |"
    assert "skipped: no disk" in str(Row("x", 0, skipped="no disk"))


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        (Ended(0, "done", ""), ""),
        (Ended(1, "", "Error: no room."), ""),
        (Ended(1, "", ""), "0 messages"),
        (Ended(1, "", "Traceback (most recent call last):"), "Traceback"),
        (Ended(130, "", ""), "not a word"),
        (Ended(-9, "", ""), "exit status -9"),
        (Ended(None, "", ""), "hung"),
    ],
)
def test_an_end_is_plain_or_says_what_is_wrong(ended: Ended, wrong: str) -> None:
    said = not_plain(ended, 0, 1, 130)
    assert wrong in said
    assert bool(said) is bool(wrong)


def write_run(folder: Path, *, date: str = "now", value: float = 1.0) -> None:
    folder.mkdir()
    (folder / "metrics.csv").write_text("step,loss\n1,2.5\n")
    (folder / "run.json").write_text(f'{{"started": "{date}", "seed": 0}}')
    np.savez(folder / "state.npz", step=1, weights=np.full(3, value))
    with EventLog(folder) as log:
        log.scalar("loss", value, 1)


def test_runs_that_differ_in_times_only_are_the_same(tmp_path: Path) -> None:
    write_run(tmp_path / "one")
    write_run(tmp_path / "other", date="then")
    assert difference(tmp_path / "one", tmp_path / "other") == ""


def damage_state(folder: Path) -> None:
    np.savez(folder / "state.npz", step=1, weights=np.full(3, np.nextafter(1.0, 2)))


def leave_a_temporary(folder: Path) -> None:
    (folder / ".left.keras").write_bytes(b"")


def draw_again(folder: Path) -> None:
    with EventLog(folder, first_step=1) as log:
        log.scalar("loss", 3.0, 1)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (damage_state, "state.npz differs"),
        (leave_a_temporary, "left over"),
        (draw_again, "TensorBoard"),
        (lambda folder: (folder / "metrics.csv").unlink(), "metrics.csv is missing"),
    ],
)
def test_any_other_difference_is_named(
    tmp_path: Path, harm: Callable[[Path], object], said: str
) -> None:
    write_run(tmp_path / "one")
    write_run(tmp_path / "other")
    harm(tmp_path / "one")
    assert said in difference(tmp_path / "one", tmp_path / "other")


def test_points_that_a_later_session_strikes_out_do_not_count(tmp_path: Path) -> None:
    write_run(tmp_path / "one", value=7.0)
    write_run(tmp_path / "other")
    np.savez(tmp_path / "one" / "state.npz", step=1, weights=np.full(3, 1.0))
    with EventLog(tmp_path / "one", first_step=1) as log:
        log.scalar("loss", 1.0, 1)
    assert difference(tmp_path / "one", tmp_path / "other") == ""


def test_a_trial_takes_the_same_moment_each_time() -> None:
    assert dice("training", 3).random() == dice("training", 3).random()
    assert dice("training", 3).random() != dice("training", 4).random()

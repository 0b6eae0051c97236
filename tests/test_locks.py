"""A folder has one writer at a time, and a process that died holds nothing."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deconvviz.atomic import TEMPORARY, remove_abandoned, replacing
from deconvviz.errors import DeconvvizError
from deconvviz.locks import LOCK, one_writer

# Both lines say that they hold what they hold, and wait to be killed.
HOLD = """
import sys, time
from pathlib import Path
from deconvviz.atomic import replacing
from deconvviz.locks import one_writer
with one_writer(Path(sys.argv[1])), replacing(Path(sys.argv[1], "a", "file.txt")) as temporary:
    temporary.write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""

# Adds to a number, which only one at a time can do without losing any.
COUNT = """
import sys
from pathlib import Path
from deconvviz.errors import DeconvvizError
from deconvviz.locks import one_writer
times, number = 100, Path(sys.argv[1], "number")
while times:
    try:
        with one_writer(number.parent):
            number.write_text(str(int(number.read_text()) + 1))
            times -= 1
    except DeconvvizError:
        pass
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_writer_is_told_who_the_first_is(
    holder: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    with pytest.raises(DeconvvizError) as refused, one_writer(tmp_path):
        pass
    assert f"process {holder.pid} on {socket.gethostname()}" in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_killed_writer_holds_nothing_and_what_it_left_goes(
    holder: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    left = list((tmp_path / "a").iterdir())
    assert [file.read_text() for file in left] == ["half"]
    remove_abandoned(tmp_path)
    assert list((tmp_path / "a").iterdir()) == left  # its writer lives
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with one_writer(tmp_path):
        remove_abandoned(tmp_path)
        assert (tmp_path / LOCK).read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_other_hidden_files_are_nobodys_business(tmp_path: Path) -> None:
    for name in (".hidden.keras", ".deconvviz", f"{TEMPORARY}x", "a"):
        (tmp_path / name).write_text("")
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".hidden.keras", ".deconvviz", "a"}


def test_threads_and_the_same_process_are_kept_apart_too(tmp_path: Path) -> None:
    with one_writer(tmp_path / "run"):
        with (
            pytest.raises(DeconvvizError, match="is being written by"),
            one_writer(tmp_path / "run"),
        ):
            pass
        with one_writer(tmp_path / "other"):
            pass
    with one_writer(tmp_path / "run"):
        pass


def test_nothing_is_lost_however_often_the_writer_changes(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    both = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "number").read_text() == "200"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeconvvizError, match="cannot be written to"), one_writer(tmp_path / "file"):
        pass


def test_a_file_system_without_locks_is_written_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with one_writer(tmp_path), replacing(tmp_path / "file") as temporary:
        remove_abandoned(tmp_path)  # cannot tell whose it is
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

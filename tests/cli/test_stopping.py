"""A command that is stopped says so in one sentence, whatever it was in the middle of."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deconvviz.cli.stopping import Stopped, if_stopped, stopped_by_signals

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def wrecked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a command's library function do what a test gives it."""
    from deconvviz.cli import demo

    def wreck(what: Any) -> None:
        monkeypatch.setattr(demo, "import_tensorflow", what)

    return wreck


@pytest.mark.parametrize("number", NUMBERS)
def test_a_stopped_command_ends_in_one_sentence_and_its_signals_status(
    number: signal.Signals, wrecked: Any, call: Any
) -> None:
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        pytest.skip("this process ignores the signal, as shells have it in the background")
    wrecked(lambda: signal.raise_signal(number))
    ended = call("demo", "unpool")
    assert ended.code == 128 + number
    assert ended.err.startswith("Stopped. ")
    assert ended.err.count("\n") == 1
    assert ended.out == ""
    assert signal.getsignal(number) == before


def test_the_innermost_words_are_said(wrecked: Any, call: Any) -> None:
    def work() -> None:
        with if_stopped("Stopped. Outer."), if_stopped("Stopped. Inner."):
            signal.raise_signal(signal.SIGTERM)

    wrecked(work)
    assert call("demo", "unpool").err == "Stopped. Inner.\n"


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stopped_by_signals():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_after_the_work_does_not_undo_the_exit_status() -> None:
    code = (
        "import atexit, os, signal, sys\n"
        "from deconvviz.cli import main\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "sys.argv = ['deconvviz', '--version']\n"
        "main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_signal_in_a_finalizer_is_not_lost() -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Stopped), stopped_by_signals():  # noqa: PT012
        found = Finalized()
        del found
        time.sleep(1)


def test_a_signal_in_an_import_waits_until_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a_module_that_is_stopped"
    (tmp_path / f"{name}.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGINT)\ndone = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Stopped), stopped_by_signals():  # noqa: PT012
        __import__(name)
        time.sleep(1)
    assert sys.modules.pop(name).done


@pytest.mark.parametrize("number", NUMBERS)
def test_while_tensorflow_loads_the_process_ends_at_once(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "tensorflow.py").write_text(
        f"import os, signal, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(60)\n"
    )
    (tmp_path / "keras.py").touch()
    ended = run("demo", "unpool", env={"PYTHONPATH": f"{tmp_path}:{os.getcwd()}"})
    assert ended.returncode == 128 + number
    assert ended.stderr == (
        "Loading TensorFlow\nStopped while TensorFlow was loading; nothing was written.\n"
    )


def run(*arguments: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deconvviz", *arguments],
        capture_output=True,
        text=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in NUMBERS],
        env={**os.environ, **(env or {})},
        check=False,
    )

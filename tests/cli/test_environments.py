"""What is right in one shell is right in another: with other settings, other streams, no home."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Shell = Callable[..., "subprocess.CompletedProcess[str]"]

# Each is a shell that some people have. None changes what a command prints.
SHELLS: dict[str, dict[str, str | None]] = {
    "a notebook's": {"MPLBACKEND": "module://no_such_notebook.backend_inline"},
    "another backend's": {"KERAS_BACKEND": "jax"},
    "C": {"LC_ALL": "C"},
    "C without UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "no home": {"HOME": None},
    "a home that is none": {"HOME": "/nonexistent"},
    "no room for temporaries": {"TMPDIR": "/nonexistent"},
    "dumb": {"TERM": "dumb"},
    "no terminal": {"TERM": None},
    "no colour": {"NO_COLOR": "1"},
    "colour": {"FORCE_COLOR": "1"},
    "no path": {"PATH": ""},
}
COMMANDS = (("--version",), ("train", "--set", "train.steps=0"))


@pytest.fixture
def shell() -> Shell:
    """Run `deconvviz ARGUMENTS` in a shell of its own."""

    def started(*arguments: Any, **more: Any) -> "subprocess.CompletedProcess[str]":
        changes = more.pop("env", {})
        env = {key: value for key, value in {**os.environ, **changes}.items() if value is not None}
        return subprocess.run(
            [sys.executable, "-m", "deconvviz", *map(str, arguments)],
            env=env, text=True, check=False, **{"capture_output": True, **more},
        )  # fmt: skip

    return started


@pytest.fixture(scope="module")
def plain() -> dict[tuple[str, ...], tuple[int, str, str]]:
    """What each command prints in the shell that the tests run in."""
    return {}


@pytest.mark.parametrize("name", SHELLS)
def test_a_command_says_the_same_in_every_shell(
    name: str, shell: Shell, plain: dict[tuple[str, ...], tuple[int, str, str]]
) -> None:
    for command in COMMANDS:
        if command not in plain:
            plain[command] = said(shell(*command))
        assert said(shell(*command, env=SHELLS[name])) == plain[command]


def said(ended: "subprocess.CompletedProcess[str]") -> tuple[int, str, str]:
    return ended.returncode, ended.stdout, ended.stderr


def test_help_fits_a_narrow_terminal(shell: Shell) -> None:
    for arguments in ((), ("occlusion",), ("features",)):
        ended = shell(*arguments, "--help", env={"COLUMNS": "40"})
        assert ended.returncode == 0
        lines = [line for line in ended.stdout.splitlines() if not line.startswith("  --rules [")]
        assert max(map(len, lines)) <= 40


@pytest.mark.parametrize("stream", ["1", "2", "0", "1 2"])
def test_a_closed_stream_is_no_fault(stream: str, shell: Shell, tmp_path: Path) -> None:
    numbers = [int(number) for number in stream.split()]

    def close() -> None:
        for number in numbers:
            os.close(number)

    ended = shell("--version", preexec_fn=close)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert ("version" in ended.stdout) is (1 not in numbers)
    assert shell("train", "--set", "train.steps=0", preexec_fn=close).returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_standard_output_is_told(shell: Shell) -> None:
    with open("/dev/full", "w") as full:
        ended = shell("--help", capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert ended.returncode == 1
        assert ended.stderr == (
            "Error: The standard output could not be written: No space left on device.\n"
        )
        ended = shell("no-such", capture_output=False, stdout=full, stderr=full)
        assert ended.returncode == 2


def test_a_reader_that_has_seen_enough_ends_a_command_quietly(shell: Shell) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = shell("--help", capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert ended.returncode == 1
    assert ended.stderr == ""


def test_the_nearest_command_is_named(call: Any) -> None:
    ended = call("reconstrct")
    assert ended.code == 2
    assert "No such command 'reconstrct'. Did you mean reconstruct?" in ended.err
    assert "Did you mean unpool?" in call("demo", "unpol").err
    assert "There are train, reconstruct" in call("xyz").err

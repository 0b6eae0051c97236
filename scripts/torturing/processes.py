"""Whole commands as processes: started plainly, or forked from one that has TensorFlow imported.

TensorFlow's import costs seconds, a few hundred times over. Where loading is not what is tried, a
command is forked from this process, which imports TensorFlow and runs no op: its thread pools do
not exist before the first op, so that a child builds its own.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 300.0  # seconds; a command that takes longer hangs
_PIPE = 1 << 20  # bytes that a command may say before anyone reads them


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (None: it hung), and what it said."""

    code: int | None
    out: str
    err: str


@dataclass
class Running:
    """A command at work; its two pipes are read when it has ended."""

    pid: int
    out: int
    err: int

    def ended(self, within: float = LONGEST) -> Ended:
        """Wait for the end; a command that takes longer is killed."""
        status = self._status(within)
        if hung := status is None:
            self.send(signal.SIGKILL)
            status = self._status(LONGEST)
        code = None if hung or status is None else os.waitstatus_to_exitcode(status)
        return Ended(code, _drained(self.out), _drained(self.err))

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)  # it is not waited for before `ended`, so its id is still its own

    def hit(self, number: signal.Signals, after: float) -> Ended:
        """Send a signal after so many seconds, or let the command end before that."""
        status = self._status(after, reap=False)
        if status is None:
            self.send(number)
        return self.ended()

    def listens(self, number: signal.Signals, within: float) -> bool:
        """Wait until a signal has a handler of the command's own; only Linux tells."""
        status, until = Path(f"/proc/{self.pid}/status"), time.monotonic() + within
        while time.monotonic() < until:
            caught = [line for line in _read(status).splitlines() if line.startswith("SigCgt")]
            if caught and int(caught[0].split()[1], 16) >> (number - 1) & 1:
                return True
            time.sleep(0.005)
        return False

    def _status(self, within: float, reap: bool = True) -> int | None:
        until = time.monotonic() + within
        while time.monotonic() < until:
            if reap:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    return status
            elif os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return 0
            time.sleep(0.002)
        return None


def forked(
    argv: Sequence[str],
    folder: Path,
    before: Callable[[], object] = lambda: None,
) -> Running:
    """Start a command in a fork of this process.

    Args:
        argv: what follows `deconvviz` on the command line.
        folder: where it is started.
        before: is called in the new process, ahead of the command.
    """
    pipes = [_pipe() for _ in range(2)]
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _be_the_command(argv, folder, before, [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    (out, _), (err, _) = pipes
    return Running(pid, out, err)


def plain(
    argv: Sequence[str],
    folder: Path,
    environment: Mapping[str, str | None] | None = None,
    before: Callable[[], object] | None = None,
) -> Running:
    """Start a command as a shell does.

    Args:
        argv: what follows `deconvviz` on the command line.
        folder: where it is started.
        environment: what is set, and with None what is not set, beside this process's own.
        before: is called in the new process, ahead of the command.
    """
    changed = {"PYTHONPATH": str(ROOT), **(environment or {})}
    full = {**os.environ, **{key: value for key, value in changed.items() if value is not None}}
    for key in [key for key, value in changed.items() if value is None]:
        full.pop(key, None)
    (out, out_write), (err, err_write) = _pipe(), _pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "deconvviz", *argv],
        cwd=folder,
        env=full,
        stdin=subprocess.DEVNULL,
        stdout=out_write,
        stderr=err_write,
        preexec_fn=before,
    )
    os.close(out_write)
    os.close(err_write)
    process.returncode = 0  # it is waited for here, not by subprocess
    return Running(process.pid, out, err)


def _be_the_command(
    argv: Sequence[str], folder: Path, before: Callable[[], object], screens: list[int]
) -> None:
    code = 70
    try:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor, screen in enumerate(screens, 1):
            os.dup2(screen, descriptor)
        sys.stdout, sys.stderr = (
            os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", closefd=False)
            for descriptor in (1, 2)
        )
        sys.argv = ["deconvviz", *argv]
        before()
        code = _called()
        sys.stdout.flush()
    finally:
        os._exit(code)


def _called() -> int:
    import traceback

    from deconvviz.cli import main

    try:
        main()
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE)
    return read, write


def _drained(pipe: int) -> str:
    """Read what was said; a grandchild that still holds the pipe is not waited for."""
    os.set_blocking(pipe, False)
    said = b""
    try:
        while piece := os.read(pipe, _PIPE):
            said += piece
    except BlockingIOError:
        pass
    os.close(pipe)
    return said.decode("utf-8", "replace")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

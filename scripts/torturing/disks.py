"""Disks that fail: full, with a limit on file size, read-only from some moment on.

Each command that writes meets each fault. What was there before must be whole, the command ends
with exit status 1 and one message (or with 0, where the fault came too late for it), and given
again on a sound disk it makes what it makes unharmed.
"""

import os
import resource
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import Random

from scripts.torturing.compare import content
from scripts.torturing.processes import Ended, forked, plain
from scripts.torturing.subject import (
    ANSWERS,
    ONLY_SAYS,
    TRAIN,
    Subject,
    dice,
    lengthen,
    train_on,
)
from scripts.torturing.table import Effort, Row, not_plain, row

Fault = Callable[[Path, Subject, str, Random], AbstractContextManager[Callable[[], Ended]]]

_MOVES_ON = {"metrics.csv", "run.json", "state.npz", "last.keras", "best.keras"}  # of a resumed run
_WRITTEN = {"train": 1_500_000, "resume": 1_500_000}  # bytes, about; an answer's pictures: less
_PICTURES = 60_000
_DISK = 64 << 20


def full_disk(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Leave no room, or too little, on a small file system in memory."""
    what = "full disk"
    if not _can_mount(folder):
        return Row(what, 0, skipped="mounting a small file system needs root on Linux")
    return _fault(what, _full, effort, subject, folder, pool)


def size_limit(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Let no file grow beyond some size (`ulimit -f`)."""
    return _fault("limit on file size", _limited, effort, subject, folder, pool)


def read_only(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Take away the right to write into any directory of the run at a random moment."""
    what = "directory that turns read-only"
    if os.geteuid() == 0 and not _can_seal(folder):
        return Row(what, 0, skipped="root may write anywhere, and chattr +i is not at hand")
    return _fault(what, _sealed, effort, subject, folder, pool)


def full_screen(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Send standard output to a device that is full."""
    what = "standard output on a full device"
    if not Path("/dev/full").exists():
        return Row(what, 0, skipped="there is no /dev/full")
    names = ["inspect"] if effort.quick else ["inspect", "train", *ANSWERS]
    return row(what, pool.map(partial(_unheard, subject, folder), names))


def _fault(
    what: str, fault: Fault, effort: Effort, subject: Subject, folder: Path, pool: Executor
) -> Row:
    names = ["train", "resume", *ANSWERS]
    chosen = ["train", "features"] if effort.quick else names
    trials = [(name, number) for name in chosen for number in range(effort.rounds)]
    return row(what, pool.map(partial(_trial, fault, subject, folder), trials))


def _trial(fault: Fault, subject: Subject, folder: Path, trial: tuple[str, int]) -> str:
    name, number = trial
    mine = folder / f"{fault.__name__.strip('_')}-{name}-{number}"
    mine.mkdir()
    with fault(mine, subject, name, dice(fault.__name__, *trial)) as command:
        before = {path: content(path) for path in _files(mine)}
        ended = command()
        _make_room(mine)
        loss = not_plain(ended, 0, 1) or _harmed(before, name)
        if not loss:
            again = forked(_argv(name, mine), mine).ended()
            loss = not_plain(again, 0) or ("" if name == "resume" else subject.unlike(mine, name))
            loss = f"given again on a sound disk: {loss}" if loss else ""
        if loss and os.path.ismount(mine):
            shutil.copytree(mine, f"{mine}-kept")
    if loss:
        return f"{mine}: {name}: {loss}"
    shutil.rmtree(mine)
    return ""


def _argv(name: str, folder: Path) -> tuple[str, ...]:
    return train_on(folder) if name in ("train", "resume") else ANSWERS[name]


def _copied(subject: Subject, folder: Path, name: str) -> None:
    source = {"train": subject.untrained, "resume": subject.bare}.get(name, subject.folder)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if name == "resume":
        lengthen(folder)


@contextmanager
def _full(
    folder: Path, subject: Subject, name: str, chance: Random
) -> Iterator[Callable[[], Ended]]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        _copied(subject, folder, name)
        room = chance.choice([0, chance.randrange(_WRITTEN.get(name, _PICTURES))])
        left = os.statvfs(folder)
        _filler(folder).write_bytes(bytes(max(0, left.f_bavail * left.f_bsize - room)))
        yield lambda: forked(_argv(name, folder), folder).ended()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _limited(
    folder: Path, subject: Subject, name: str, chance: Random
) -> Iterator[Callable[[], Ended]]:
    _copied(subject, folder, name)
    most = chance.randrange(_WRITTEN.get(name, _PICTURES))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    yield lambda: forked(_argv(name, folder), folder, limit).ended()


@contextmanager
def _sealed(
    folder: Path, subject: Subject, name: str, chance: Random
) -> Iterator[Callable[[], Ended]]:
    _copied(subject, folder, name)
    moment = chance.uniform(0, subject.seconds["train" if name == "resume" else name])

    def command() -> Ended:
        running = forked(_argv(name, folder), folder)
        time.sleep(moment)
        _seal(folder, True)
        try:
            return running.ended()
        finally:
            _seal(folder, False)

    yield command


def _seal(folder: Path, sealed: bool) -> None:
    directories = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    if os.geteuid() == 0:
        subprocess.run(["chattr", "+i" if sealed else "-i", *map(str, directories)], check=True)
        return
    for directory in directories:
        directory.chmod(0o555 if sealed else 0o755)


def _can_seal(folder: Path) -> bool:
    if shutil.which("chattr") is None:
        return False
    tried = subprocess.run(["chattr", "+i", str(folder)], capture_output=True)
    subprocess.run(["chattr", "-i", str(folder)], capture_output=True)
    return tried.returncode == 0


def _can_mount(folder: Path) -> bool:
    if shutil.which("mount") is None or os.geteuid() != 0:
        return False
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        return False
    subprocess.run(["umount", str(folder)], check=True)
    return True


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path != _filler(folder) and ".tfevents." not in path.name
    ]


def _filler(folder: Path) -> Path:
    return folder / "filler"


def _make_room(folder: Path) -> None:
    _filler(folder).unlink(missing_ok=True)


def _unheard(subject: Subject, folder: Path, name: str) -> str:
    mine = folder / f"unheard-{name}"
    shutil.copytree(subject.untrained if name == "train" else subject.bare, mine)

    def deafen() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)

    argv = {"train": TRAIN, **ONLY_SAYS, **ANSWERS}[name]
    loss = not_plain(plain(argv, mine, before=deafen).ended(), 1)
    return f"{mine}: {name} > /dev/full: {loss}" if loss else ""


def _harmed(before: dict[Path, object], name: str) -> str:
    for path, held in before.items():
        try:
            now = content(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            return f"{path} is no longer whole: {error}"
        if now != held and not (name == "resume" and path.name in _MOVES_ON):
            return f"{path} is not what it was"
    return ""

"""Ctrl-C, SIGTERM and SIGHUP at random moments of every command, its loading included.

The clock starts when the command has its own handlers: before that, a few hundredths of a second
in which Python itself starts, a signal ends it as it ends any program.
"""

import shutil
import signal
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from scripts.torturing.processes import plain
from scripts.torturing.subject import ANSWERS, ONLY_SAYS, TRAIN, Subject, dice
from scripts.torturing.table import Effort, Row, not_plain, row

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COMMANDS = {"train": TRAIN, **ANSWERS, **ONLY_SAYS}


def signals(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Send each signal to each command."""
    names = ["train", "reconstruct"] if effort.quick else list(_COMMANDS)
    trials = [
        (name, number, turn)
        for name in names
        for number in _SIGNALS
        for turn in range(effort.rounds)
    ]
    if effort.quick:
        trials = trials[1::2]  # each signal once
    return row("SIGINT, SIGTERM, SIGHUP", pool.map(partial(_trial, subject, folder), trials))


def _trial(subject: Subject, folder: Path, trial: tuple[str, signal.Signals, int]) -> str:
    name, number, turn = trial
    mine, chance = folder / f"{number.name}-{name}-{turn}", dice("signals", *trial)
    shutil.copytree(subject.untrained if name == "train" else subject.bare, mine)
    before = _hidden(mine)
    longest = subject.loading + subject.seconds.get(name, 0)
    while True:
        command = plain(_COMMANDS[name], mine, before=_heed)
        command.listens(number, within=3)
        moment = chance.uniform(0, longest)
        ended = command.hit(number, moment)
        if ended.code != 0 or longest < 0.01:
            break
        longest /= 2  # it was done before the signal came
        shutil.rmtree(mine)
        shutil.copytree(subject.untrained if name == "train" else subject.bare, mine)
    loss = not_plain(ended, 128 + number)
    if not loss and (left := _hidden(mine) - before):
        loss = f"{sorted(map(str, left))[0]} is left over"
    if loss:
        return f"{mine}: {number.name} to {name} after {moment:.2f} s: {loss}"
    shutil.rmtree(mine)
    return ""


def _heed() -> None:
    """Ignore none of the signals, whatever nohup or a shell's background left ignored."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _hidden(folder: Path) -> set[Path]:
    return {path for path in folder.rglob(".*") if path.is_file() and path.suffix != ".lock"}

"""SIGKILL at random moments of training: the run goes on as if it had never been killed."""

import shutil
import signal
from concurrent.futures import Executor
from functools import partial
from itertools import count
from pathlib import Path

from scripts.torturing.processes import forked
from scripts.torturing.subject import Subject, dice, train_on
from scripts.torturing.table import Effort, Row, not_plain

_MOST = 3  # kills of one run


def training(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Kill runs up to three times each, resume them to their end, and compare with an unharmed one.

    The run saves after every step, so that most moments lie within a save.
    """
    kills, numbers = 0, count()
    losses: list[str] = []
    while kills < effort.training_kills:
        pair = [next(numbers), next(numbers)]
        for killed, loss in pool.map(partial(_trial, subject, folder), pair):
            kills += killed
            losses += [loss] if loss else []
    return Row("SIGKILL in training, then `--resume`", kills, tuple(losses))


def _trial(subject: Subject, folder: Path, number: int) -> tuple[int, str]:
    """Kill one run, resume it; gives how often it was killed, and the loss."""
    mine, chance = folder / f"run-{number}", dice("training", number)
    after: list[float] = []
    shutil.copytree(subject.untrained, mine)
    for _ in range(chance.randint(1, _MOST)):
        moment = chance.uniform(0, subject.seconds["train"])
        ended = forked(train_on(mine), mine).hit(signal.SIGKILL, moment)
        if ended.code == 0:
            break
        if ended.code != -signal.SIGKILL:
            return len(after), f"{mine}: {not_plain(ended, 0)} after kills at {after} s"
        after.append(round(moment, 2))
    loss = not_plain(forked(train_on(mine), mine).ended(), 0) or subject.unlike(mine, "train")
    if loss:
        return len(after), f"{mine}: {loss}, after kills at {after} s"
    shutil.rmtree(mine)
    return len(after), ""

"""SIGKILL at random moments of long questions: the same command goes on to the same bytes."""

import shutil
import signal
from concurrent.futures import Executor
from functools import partial
from itertools import count
from pathlib import Path

from scripts.torturing.processes import forked
from scripts.torturing.subject import ANSWERS, Subject, dice
from scripts.torturing.table import Effort, Row, not_plain

_QUESTIONS = ("features", "evolution", "sanity")


def answers(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Kill features, evolution and sanity in turn, give each command again, compare its answer."""
    kills, numbers = 0, count()
    losses: list[str] = []
    while kills < effort.answer_kills:
        pair = [next(numbers), next(numbers)]
        for killed, loss in pool.map(partial(_trial, subject, folder), pair):
            kills += killed
            losses += [loss] if loss else []
    what = "SIGKILL in features, evolution, sanity, then the same command"
    return Row(what, kills, tuple(losses))


def _trial(subject: Subject, folder: Path, number: int) -> tuple[int, str]:
    name = _QUESTIONS[number % len(_QUESTIONS)]
    mine, chance, kills, after = folder / f"{name}-{number}", dice("answers", number), 0, []
    shutil.copytree(subject.bare, mine)
    for _ in range(chance.randint(1, 2)):
        moment = chance.uniform(0, subject.seconds[name])
        if forked(ANSWERS[name], mine).hit(signal.SIGKILL, moment).code == -signal.SIGKILL:
            kills += 1
            after.append(round(moment, 2))
    loss = not_plain(forked(ANSWERS[name], mine).ended(), 0) or subject.unlike(mine, name)
    if loss:
        return kills, f"{mine}: {name}: {loss}, after kills at {after} s"
    shutil.rmtree(mine)
    return kills, ""

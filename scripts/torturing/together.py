"""Two commands at once: one writer a run, one a folder of an answer, readers not hindered."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from scripts.torturing.compare import difference
from scripts.torturing.processes import forked
from scripts.torturing.subject import ANSWERS, RESUME, RUN, TRAIN, Subject, lengthen
from scripts.torturing.table import Effort, Row, not_plain, row

_LONG = 60  # steps of a run that others look at meanwhile
_READERS = 4


def together(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Start two resumes, two reconstructs, and features while a run trains."""
    kinds: list[Callable[[Subject, Path], str]] = [_two_resumes, _two_answers, _while_training]
    trials = [(kind, number) for number in range(effort.rounds) for kind in kinds]
    return row("two at once", pool.map(partial(_trial, subject, folder), trials))


def _trial(
    subject: Subject, folder: Path, trial: tuple[Callable[[Subject, Path], str], int]
) -> str:
    kind, number = trial
    mine = folder / f"{kind.__name__.strip('_')}-{number}"
    if loss := kind(subject, mine):
        return f"{mine}: {loss}"
    shutil.rmtree(mine)
    return ""


def _two_resumes(subject: Subject, mine: Path) -> str:
    """One goes on to the end as if it were alone, the other is told."""
    for name in ("alone", "both"):
        shutil.copytree(subject.bare, mine / name)
        lengthen(mine / name)
    alone = forked(RESUME, mine / "alone").ended()
    both = [forked(RESUME, mine / "both") for _ in range(2)]
    first, second = sorted((one.ended() for one in both), key=lambda ended: ended.code or 0)
    return (
        not_plain(alone, 0)
        or not_plain(first, 0)
        or not_plain(second, 1)
        or difference(mine / "both" / RUN, mine / "alone" / RUN)
    )


def _two_answers(subject: Subject, mine: Path) -> str:
    """Both succeed, or one is told; the answer is that of one alone, with one event file."""
    shutil.copytree(subject.bare, mine)
    both = [forked(ANSWERS["reconstruct"], mine) for _ in range(2)]
    first, second = sorted((one.ended() for one in both), key=lambda ended: ended.code or 0)
    return not_plain(first, 0) or not_plain(second, 0, 1) or subject.unlike(mine, "reconstruct")


def _while_training(subject: Subject, mine: Path) -> str:
    """Every question to a run that trains and saves at every step is answered."""
    shutil.copytree(subject.untrained, mine)
    training = forked((*TRAIN, "--set", f"train.steps={_LONG}"), mine)
    last, until = mine / RUN / "checkpoints" / "last.keras", time.monotonic() + 120
    while not last.exists() and time.monotonic() < until:
        time.sleep(0.01)
    argv = ANSWERS["features"]
    losses = [not_plain(forked(argv, mine).ended(), 0) for _ in range(_READERS)]
    return next(filter(None, losses), "") or not_plain(training.ended(), 0)

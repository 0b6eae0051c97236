"""How much is tried, and the line of the table that comes of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.torturing.processes import Ended

HEAD = "| what | tried | survived | |\n|---|---|---|---|"


@dataclass(frozen=True)
class Effort:
    """How much to try.

    Args:
        training_kills: SIGKILLs of training.
        answer_kills: SIGKILLs of features, evolution and sanity.
        inputs: mutated files.
        rounds: moments or sizes at which each command meets each fault or signal.
        quick: take a few commands and environments only, not all of them.
    """

    training_kills: int
    answer_kills: int
    inputs: int
    rounds: int
    quick: bool = False


FULL = Effort(training_kills=150, answer_kills=50, inputs=10_000, rounds=3)
QUICK = Effort(training_kills=4, answer_kills=3, inputs=240, rounds=1, quick=True)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what was done.
        tried: how often.
        losses: one sentence for each time that the promise was broken, with what repeats it.
        skipped: why nothing was tried.
    """

    what: str
    tried: int
    losses: tuple[str, ...] = ()
    skipped: str = ""

    def __str__(self) -> str:
        if self.skipped:
            return f"| {self.what} | – | – | skipped: {self.skipped} |"
        survived = max(0, self.tried - len(self.losses))
        verdict = "LOST" if self.losses else "all"
        return f"| {self.what} | {self.tried:,} | {survived:,} | {verdict} |"


def row(what: str, outcomes: Iterable[str]) -> Row:
    """Give the line of trials, of which each gave the sentence of its loss, or none."""
    each = list(outcomes)
    return Row(what, len(each), tuple(outcome for outcome in each if outcome))


NOISE = ("Traceback", "Aborted!", "oneDNN", "absl::", "tensorflow/", "cuda", "E0000", "W0000")


def not_plain(ended: Ended, *codes: int) -> str:
    """Say what is wrong with how a command ended: another exit status, noise, or no word at all."""
    said = ended.out + ended.err
    if ended.code is None:
        return "it hung"
    if ended.code not in codes:
        return f"exit status {ended.code} instead of {' or '.join(map(str, codes))}: {tail(said)}"
    for noise in NOISE:
        if noise in said:
            return f"{noise!r} on the screen: {tail(said)}"
    if ended.code == 1 and (messages := ended.err.count("Error:")) != 1:
        return f"{messages} messages: {tail(said)}"
    return "" if ended.code == 0 or said.strip() else "not a word was said"


def tail(text: str, length: int = 300) -> str:
    """Give the end of a text on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else f"…{flat[-length:]}"

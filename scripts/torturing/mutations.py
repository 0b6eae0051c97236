"""Mutated files: each is opened, or refused in words, within seconds and little memory.

Nothing is left to chance twice: file `n` of a seed is the same on every machine that wrote the same
sound file.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.torturing.opened import file_of, kind_of

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    """What came of the mutated files of one kind.

    Attributes:
        kind: of file.
        tried: how many.
        opened: those that were sound enough.
        refused: those that were refused in words.
        faults: what came of each other one, and where it lies.
    """

    kind: str
    tried: int
    opened: int
    refused: int
    faults: tuple[str, ...]


def mutate(count: int, seed: int, folder: Path, workers: int = 2) -> Iterator[Row]:
    """Mutate files and open them.

    Args:
        count: how many files, of all kinds together.
        seed: decides what is done to them.
        folder: where they lie; those that were lost stay there.
        workers: how many processes do it.

    Yields:
        A row for each kind, once all files were tried.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "scripts.torturing.opened", str(count), str(seed)]
    running = []
    for index in range(workers):
        with (folder / f"worker-{index}.log").open("w") as log:
            arguments = [str(index), str(workers), str(folder.resolve())]
            running.append(
                subprocess.Popen(
                    [*command, *arguments], stdout=subprocess.PIPE, stderr=log, cwd=_ROOT, text=True
                )
            )
    ends: Counter[tuple[str, str]] = Counter()
    faults: dict[str, list[str]] = {}
    for process in running:
        told, _ = process.communicate()
        for case, end, why in map(json.loads, told.splitlines()):
            ends[kind_of(case), end] += 1
            if end == "lost":
                faults.setdefault(kind_of(case), []).append(f"{file_of(case, folder)} {why}")
    for kind in sorted({kind_of(case) for case in range(count)}):
        opened, refused = ends[kind, "opened"], ends[kind, "refused"]
        tried = sum(kind_of(case) == kind for case in range(count))
        missing = tried - opened - refused - ends[kind, "lost"]
        untold = (f"{missing} were not tried; see {folder}/worker-*.log",) if missing else ()
        yield Row(kind, tried, opened, refused, (*faults.get(kind, ()), *untold))


if __name__ == "__main__":
    for row in mutate(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])):
        print(row.kind, row.tried, row.opened, row.refused, *row.faults, sep="\n    ")

#!/usr/bin/env python3
"""Kills, faults and hostile input, tried and survived: `python scripts/torture.py [--quick]`.

`--quick` takes about three minutes on two cores, the whole an hour. Names of kinds, such as
`training signals`, choose among the rows. Exit status 1 says that a promise was broken; what was
lost is said below the table and its folder is kept. docs/reliability.md says what each row
promises.
Linux and macOS; a row that the machine cannot try says why.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for scripts.torturing

from scripts.torturing.subject import ANSWERS, Subject, make_subject
from scripts.torturing.table import FULL, HEAD, QUICK, Effort, Row

Kind = Callable[[Effort, Subject, Path, Executor], Row | Sequence[Row]]


def kinds() -> dict[str, Kind]:
    """Give the rows by name."""
    from scripts.torturing import answers, disks, environments, inputs, signals, together, training

    each: tuple[Kind, ...] = (
        training.training,
        answers.answers,
        inputs.inputs,
        disks.full_disk,
        disks.size_limit,
        disks.read_only,
        disks.full_screen,
        together.together,
        signals.signals,
        environments.environments,
        environments.paths,
    )
    return {kind.__name__: kind for kind in each}


def import_what_commands_import() -> None:
    """Load all modules into this process, which starts nothing of TensorFlow's, to fork from it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    sys.stderr.flush()
    screen, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # TensorFlow's noise
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import deconvviz.cli.correspondence
    import deconvviz.cli.evolution
    import deconvviz.cli.features
    import deconvviz.cli.invariance
    import deconvviz.cli.occlusion
    import deconvviz.cli.reconstruct
    import deconvviz.cli.sanity
    import deconvviz.cli.train
    import deconvviz.training.train  # noqa: F401

    os.dup2(screen, 2)
    os.close(screen)
    os.close(nowhere)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill, starve and feed bad files to deconvviz.")
    parser.add_argument("--quick", action="store_true", help="about three minutes: a few of each")
    parser.add_argument("kind", nargs="*", help="only these rows")
    given = parser.parse_args()
    known = kinds()
    if unknown := [name for name in given.kind if name not in known]:
        parser.error(f"there is no kind {unknown[0]!r}; there are {', '.join(known)}")

    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="torture-"))
    import_what_commands_import()
    forks = multiprocessing.get_context("fork")
    subject = make_subject(folder / "subject", tuple(ANSWERS)[: 4 if given.quick else None])
    lost: list[str] = []
    print(HEAD, flush=True)
    with ProcessPoolExecutor(2, mp_context=forks) as pool:
        for name in given.kind or known:
            (folder / name).mkdir()
            rows = known[name](QUICK if given.quick else FULL, subject, folder / name, pool)
            for made in [rows] if isinstance(rows, Row) else rows:
                lost += made.losses
                print(made, flush=True)
    print(f"\n{time.monotonic() - began:.0f} seconds.", *lost, sep="\n")
    if not lost:
        shutil.rmtree(folder)
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What deconvviz costs, ours against others: `python scripts/bench.py [--quick]`.

The two sides of a row are timed in turn in one run, and the median of the pairs counts. It takes
ten minutes on two cores that do nothing else, `--quick` one. Exit status 1 says that a limit was
missed.

`pip install -e .[bench]` brings the peers; a row whose peer is missing says so. The rows are
functions from `Effort` to `Row` in scripts/benchmarks; a new one joins `rows` here.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for scripts.benchmarks

from deconvviz.cli.quiet import import_tensorflow
from scripts.benchmarks.timing import FULL, HEAD, QUICK, Effort, Row

Measure = Callable[[Effort], Row]


def rows() -> dict[str, tuple[Measure, ...]]:
    """Give the rows of both tables; the second takes what the first leaves out."""
    from scripts.benchmarks import classic, mining, peers, starting, training, units, zoo

    always = (
        classic.layer_two,
        classic.layer_two_as_the_program,
        classic.arithmetic,
        classic.all_maps,
        units.block3,
        mining.mining,
        starting.start_of_help,
    )
    longer = (
        classic.layer_two_by_the_same_rule,
        units.block2,
        units.block4,
        mining.figure,
        mining.memory,
        starting.first_call_classic,
        starting.first_call_vgg,
        zoo.worst_of_the_zoo,
        training.training_step,
        training.waiting_for_input,
        peers.captum,
        peers.tf_keras_vis,
        peers.xplique,
    )
    return {"always": always, "longer": longer}


def circumstances() -> str:
    """Say where the numbers hold."""
    import tensorflow as tf

    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__} with oneDNN {_one_dnn()}{load}"
    )


def _one_dnn() -> str:
    from tensorflow.python.util import _pywrap_util_port  # no public name tells it

    return "on" if _pywrap_util_port.IsMklEnabled() else "off"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what deconvviz costs.")
    parser.add_argument(
        "--quick", action="store_true", help="about a minute, fewer rows, less exact"
    )
    quick = parser.parse_args().quick
    effort = QUICK if quick else FULL

    import_tensorflow()
    print(f"{circumstances()}; at least {effort.pairs} pairs, taken in turn\n\n{HEAD}")
    made, chosen = [], rows()
    for row in chosen["always"] + (() if quick else chosen["longer"]):
        made.append(row(effort))
        print(made[-1], flush=True)
    if quick:
        print("\nLeft out:", ", ".join(row.__name__ for row in chosen["longer"]))
    sys.exit(not all(row.kept for row in made))


if __name__ == "__main__":
    main()

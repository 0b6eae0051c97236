"""How a person is told to open TensorBoard, and to write a path in a shell."""

import shlex
from pathlib import Path

# TensorBoard keeps ten steps of each picture unless it is told otherwise.
EVERY_STEP = "--samples_per_plugin images=1000"


def tensorboard(logs: Path) -> str:
    """The command that shows a folder of runs."""
    return f"tensorboard --logdir {word(logs)} {EVERY_STEP}"


def word(path: Path) -> str:
    """Write a path as one word of a shell that is no option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)

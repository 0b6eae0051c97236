"""Mutated files of every kind that the program reads, as rows of the table."""

from concurrent.futures import Executor
from pathlib import Path

from scripts.torturing.mutations import mutate
from scripts.torturing.subject import Subject
from scripts.torturing.table import Effort, Row


def inputs(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> list[Row]:
    """Open mutated files: each is opened or refused in words."""
    return [
        Row(f"mutated {made.kind}", made.tried, made.faults)
        for made in mutate(effort.inputs, 0, folder)
    ]

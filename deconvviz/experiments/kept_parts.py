"""The parts of a long check, each kept in a file as it is done: one that is stopped goes on.

A part's file is named by all that decides what it holds (the network's weights, the images, what
was asked), so that nothing of another check is ever taken for it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from deconvviz.atomic import replacing
from deconvviz.errors import DataError
from deconvviz.experiments.findings import Maps, Row
from deconvviz.experiments.npz import read_npz
from deconvviz.wording import one_line


class _About(BaseModel):
    rows: list[tuple[str, str, str]]
    shown: list[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Part:
    """What one part found: its rows, and by rule and name the maps to be shown."""

    rows: tuple[Row, ...]
    pictures: dict[str, Maps]


class KeptParts:
    """Parts in a folder; None keeps nothing.

    Args:
        folder: where their files lie.
        arrays: the network's weights and the images.
        asked: all else that decides what is found; its `repr` counts.
    """

    def __init__(
        self, folder: Path | None, arrays: Iterable[npt.NDArray[Any]], asked: object
    ) -> None:
        digest = hashlib.sha256(repr(asked).encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
        self._folder, self._of = folder, digest.hexdigest()[:12]
        self._files: list[Path] = []

    def part(self, name: str, make: Callable[[], Part]) -> Part:
        """Give a part that an earlier call kept; make and keep it where there is none.

        Raises:
            DataError: for a file that holds no part.
        """
        if self._folder is None:
            return make()
        file = self._folder / f"{self._of}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.npz"
        self._files.append(file)
        with suppress(FileNotFoundError):  # not made yet, or removed by a like check that is done
            return _read(file)
        part = make()
        _write(file, part)
        return part

    def remove(self) -> None:
        """Remove the files, once all parts are done."""
        for file in self._files:
            file.unlink(missing_ok=True)
        if self._folder is not None:
            with suppress(OSError):  # other checks keep parts in it, or none was kept
                self._folder.rmdir()


def _write(file: Path, part: Part) -> None:
    shown = [(rule, name) for rule, maps in part.pictures.items() for name in maps]
    about = {"rows": [(row.group, row.name, row.rule) for row in part.rows], "shown": shown}
    arrays: dict[str, Any] = {f"row/{number}": row.values for number, row in enumerate(part.rows)}
    arrays |= {f"map/{n}": part.pictures[rule][name] for n, (rule, name) in enumerate(shown)}
    with replacing(file) as temporary, temporary.open("wb") as raw:
        np.savez(raw, about=np.array(json.dumps(about)), **arrays)


def _read(file: Path) -> Part:
    try:
        kept = read_npz(file)
        about = _About.model_validate_json(str(kept["about"]))
        rows = tuple(
            Row(group, name, rule, kept[f"row/{number}"])
            for number, (group, name, rule) in enumerate(about.rows)
        )
        pictures: dict[str, Maps] = {}
        for number, (rule, name) in enumerate(about.shown):
            pictures.setdefault(rule, {})[name] = kept[f"map/{number}"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{file} holds no part of a sanity check ({one_line(str(error), 150)}). Remove it, and "
            "it is made anew."
        ) from error
    return Part(rows, pictures)

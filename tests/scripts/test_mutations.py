"""The tortures' own judgement: what counts as lost, and that a case is the same each time."""

import io
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from deconvviz.errors import DataError
from scripts.torturing import opened
from scripts.torturing.damage import damaged

TEXT = b'{"steps": 7, "name": "a"}'


def packed(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


@pytest.mark.parametrize("content", [TEXT, bytes(range(256)), packed(a=TEXT, b=bytes(99)), b""])
def test_a_case_is_the_same_each_time_and_few_leave_the_file_as_it_was(content: bytes) -> None:
    def case(number: int) -> bytes:
        return damaged(content, TEXT, random.Random(f"0 {number}"))

    cases = [case(number) for number in range(300)]
    assert cases == [case(number) for number in range(300)]
    assert sum(one == content for one in cases) < 60
    assert len(set(cases)) > (20 if not content else 100)


def test_an_archives_members_are_damaged_behind_right_checksums() -> None:
    whole = 0
    for number in range(200):
        content = damaged(packed(a=TEXT, b=bytes(99)), TEXT, random.Random(number))
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                whole += archive.testzip() is None and archive.read("a") != TEXT
        except Exception:  # this one's archive itself was damaged
            continue
    assert whole > 40


def ends(value: Any) -> Any:
    def open_file(path: Path) -> None:
        if isinstance(value, BaseException):
            raise value

    return open_file


def test_only_words_count_as_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "_MEMORY", 2**60)  # other tests of this process have had much
    path = Path("a")
    assert opened._try(ends(None), path) == ("opened", "")
    assert opened._try(ends(DataError("The file is\nno file.")), path) == ("refused", "")
    for error in (ValueError("x"), MemoryError(), KeyboardInterrupt(), RecursionError()):
        end, why = opened._try(ends(error), path)
        assert end == "lost"
        assert why.startswith(type(error).__name__)
    assert opened._try(ends(DataError("\x1b[2J")), path)[0] == "lost"
    assert opened._try(ends(DataError("y" * 10_000)), path)[0] == "lost"


def test_a_file_that_takes_long_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "LONGEST", 0.05)

    def work(path: Path) -> None:
        began = time.process_time()
        while time.process_time() < began + 0.1:
            pass

    assert opened._try(work, Path("a"))[1].startswith("takes 0.1")


def test_a_child_that_falls_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(opened, "_SILENCE", 0.1)
    reader, writer = os.pipe()
    os.write(writer, b'[0, "opened", ""]\n[2, "refused", ""]\n[4, "ope')
    assert opened._listen(reader, [0, 2, 4, 6]) == 2
    os.close(writer)
    assert opened._listen(reader, [4, 6]) == 0
    os.close(reader)

"""Whatever stands in a configuration or a file of parts, it is read or refused in few words."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deconvviz.cli.parts import read_parts
from deconvviz.config import load_config
from deconvviz.errors import ConfigError, DeconvvizError
from deconvviz.toml_text import read_toml
from deconvviz.wording import one_line, quoted

LETTERS = "y" * 100_000
BRACKETS = "[" * 3000 + "]" * 3000
LONG_NAME = "n" * 300


def refusal(read: Callable[[], Any]) -> str:
    with pytest.raises(DeconvvizError) as refused:
        read()
    said = str(refused.value)
    assert said.replace("\n", "").isprintable()
    assert len(said) < 700
    return said


# what stands in a TOML file, and what is said of it whichever kind of file it is
TEXTS: dict[str, tuple[bytes, str]] = {
    "nested": (b"a = " + BRACKETS.encode(), "nested too deeply"),
    "nested tables": (b"a = " + b"{a = " * 3000 + b"1" + b"}" * 3000, "nested too deeply"),
    "a number": (b"a = " + b"9" * 5000, "a number of too many digits"),
    "too long": (b"#" * (2**20 + 1), "has more than 1,048,576 bytes"),
    "no text": (b"a = '\xff'", "no text in UTF-8"),
    "a null byte": (b"a = \0", "not TOML"),
    "a long key": (b"[" + LETTERS.encode() + b"]\n" * 2, "not TOML"),
    "no TOML": (b"[a", "not TOML"),
}


@pytest.mark.parametrize("read", [load_config, read_parts])
@pytest.mark.parametrize("kind", TEXTS)
def test_hostile_toml_is_refused_in_words(kind: str, read: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    content, words = TEXTS[kind]
    file.write_bytes(content)
    said = refusal(lambda: read(file))
    assert words in said
    assert str(file) in said


@pytest.mark.parametrize("read", [load_config, read_parts])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        (LONG_NAME, "File name too long"),
        ("a\0b", "null byte"),
        (".", "Is a directory"),
        ("none.toml", "There is no"),
        ("a\x1b[2J\nb", "There is no"),
        ("\udcff", "There is no"),
        ("tests/conftest.py/a", "There is no"),
    ],
)
def test_a_path_that_no_toml_file_has_is_refused(path: str, words: str, read: Any) -> None:
    assert words in refusal(lambda: read(Path(path)))


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no /dev/zero")
def test_a_device_without_an_end_is_refused() -> None:
    assert "more than" in refusal(lambda: load_config(Path("/dev/zero")))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (f"train.steps={BRACKETS}", "nested too deeply"),
        (f"train.steps={'9' * 5000}", "too many digits"),
        (f"train.steps=0x{'f' * 5000}", "too long to be shown"),
        (f"train.steps={10**400}", "less than"),
        (f"train.steps='{LETTERS}'", "valid integer"),
        (f"data.name={LETTERS}", "'cifar10', 'photos' or 'folder'"),
        (f"train.{LETTERS}=1", "no such key"),
        (f"{LETTERS}.a=1", "no such key"),
        (f"{LETTERS}", "SECTION.KEY=VALUE"),
        (f"train.steps=[{'[1],' * 500}]", "valid integer"),
        ('data.dir="a\\u0000b"', "null byte"),
        ("data.size=1000000", "less than or equal to 4096"),
        ("train.batch_size=100000000000", "less than"),
        ("train.steps=\x1b[2J", "valid integer"),
        ("train.learning_rate=1e999", "finite"),
    ],
)
def test_a_hostile_setting_is_refused_with_its_value_cut(setting: str, words: str) -> None:
    assert words in refusal(lambda: load_config(overrides=[setting]))


def test_of_thousands_of_mistakes_the_first_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[train]\n" + "".join(f"k{number} = 1\n" for number in range(5000)))
    with pytest.raises(ConfigError, match="and 4990 more") as refused:
        load_config(file)
    assert len(str(refused.value)) < 2000


IMAGE = '[[image]]\nfile = "a.png"\n[image.parts]\n'
TABLES = {
    "a long part": (IMAGE + f"{LETTERS} = [1, 2, 3]\n", "cannot be used"),
    "a long value": (IMAGE + f"nose = '{LETTERS}'\n", "valid tuple"),
    "a null byte": (
        '[[image]]\nfile = "a\\u0000b"\n[image.parts]\na = [1, 2, 3, 4]\n' * 2,
        "should match",
    ),
    "other parts": (
        f"{IMAGE}{LETTERS} = [1, 2, 3, 4]\n{IMAGE}nose = [1, 2, 3, 4]\n",
        "in every image or in none",
    ),
    "many parts": (
        IMAGE + "".join(f"p{n} = [1, 2, 3, 4]\n" for n in range(5000)) + IMAGE + "q = [1, 2, 3, 4]",
        "in every image or in none",
    ),
    "a large box": (IMAGE + f"nose = [{10**30}, 0, 1, 1]\n", "less than"),
    "a large index": (f"[[image]]\nindex = {10**30}\n[image.parts]\na = [1, 2, 3, 4]\n", "less"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_hostile_parts_are_refused_in_words(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "parts.toml"
    text, words = TABLES[kind]
    file.write_text(text)
    assert words in refusal(lambda: read_parts(file))


def test_sound_toml_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[train]\nsteps = 7\n")
    assert read_toml(tmp_path / "a.toml", "file", "") == {"train": {"steps": 7}}


def test_a_value_is_quoted_on_one_line_of_bounded_length() -> None:
    assert quoted("a\nb") == r"'a\nb'"
    assert quoted(16**5000) == "a int that is too long to be shown"
    assert len(quoted(LETTERS)) < 90
    assert one_line("a\x1b[31m\nb\udcff") == r"a b\udcff"

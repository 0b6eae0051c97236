"""Quote what somebody else wrote without letting it write on the terminal.

Names out of a model file, values out of a configuration and paths stand in our refusals, and may
hold line breaks, colours that Keras puts there, control sequences, or a megabyte of text.
"""

import re
from typing import Any

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def one_line(text: str, longest: int = 1000) -> str:
    """Put a text on one line of printable characters, its middle left out where it is too long."""
    text = " ".join(_COLOUR.sub("", text[: 2 * longest] + text[2 * longest :][-longest:]).split())
    text = printable(text)
    end = longest // 3
    return text if len(text) <= longest else f"{text[: longest - end]} … {text[-end:]}"


def printable(text: str) -> str:
    """Escape what would write on the terminal; lines stay lines."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )


def quoted(value: Any, longest: int = 80) -> str:
    """Write a value as Python would, or say what it is where that cannot be written."""
    try:
        return one_line(repr(value), longest)
    except (ValueError, RecursionError):  # a number of thousands of digits, nesting without end
        return f"a {type(value).__name__} that is too long to be shown"


def escaped(text: str) -> str:
    r"""Write what is no Unicode, as in a file's name of another coding, as `\udce9` is written."""
    return text.encode("utf-8", "backslashreplace").decode()

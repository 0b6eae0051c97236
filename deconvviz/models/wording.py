"""Quote a stranger's file without letting it write on the terminal.

Names out of a model file stand in our refusals, and may hold line breaks, colours that Keras puts
there, control sequences, or a megabyte of text.
"""

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def one_line(text: str, longest: int = 1000) -> str:
    """Put a text on one line of printable characters, its middle left out where it is too long."""
    text = " ".join(_COLOUR.sub("", text[: 2 * longest] + text[2 * longest :][-longest:]).split())
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    end = longest // 3
    return text if len(text) <= longest else f"{text[: longest - end]} … {text[-end:]}"

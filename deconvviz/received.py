"""Refuse an argument of another type than is meant, in words, where it comes in."""

import operator
from typing import Any

from deconvviz.errors import DeconvvizError

_LONGEST = 60  # letters of a value that a message repeats


def shown(value: Any) -> str:
    """Write what was received on part of a line: its value where that is short, or its type."""
    tolist = getattr(value, "tolist", None)
    words = " ".join(repr(tolist() if callable(tolist) else value).split())
    return words if len(words) <= _LONGEST else f"{type(value).__name__} {words[:_LONGEST]}…"


def require(name: str, value: Any, kind: type | tuple[type, ...], allowed: str) -> None:
    """Make sure that an argument is of a type.

    Args:
        name: the argument's.
        value: what was received.
        kind: its type, or several.
        allowed: what it takes, in words that go after "takes".

    Raises:
        DeconvvizError: for any other type.
    """
    if not isinstance(value, kind):
        raise DeconvvizError(f"{name} takes {allowed}; received {shown(value)}.")


def whole(name: str, value: Any, least: int = 0) -> int:
    """Take a whole number, Python's or numpy's, from `least` up.

    Raises:
        DeconvvizError: for anything else, True and False included.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise DeconvvizError(
            f"{name} takes a whole number, {least} or more; received {shown(value)}."
        )
    return number


def pair(name: str, value: Any, allowed: str) -> tuple[int, int]:
    """Take two whole numbers, such as a place or a size.

    Raises:
        DeconvvizError: for anything else.
    """
    try:
        one, other = map(operator.index, value)
    except (TypeError, ValueError):
        raise DeconvvizError(f"{name} takes {allowed}; received {shown(value)}.") from None
    return one, other

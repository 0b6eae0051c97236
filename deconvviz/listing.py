"""Names and counts in a sentence: few of many names, and a plural only of more than one.

A message that lists sixty layers is read by nobody. All are listed where they fit into a line; else
the three whose names come nearest to what was asked for.
"""

import difflib
from collections.abc import Sequence

_LINE = 100  # characters
_NEAREST = 3


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun.

    Example:
        >>> counted(1, "row"), counted(1200, "row"), counted(2, "class", "classes")
        ('1 row', '1,200 rows', '2 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], meant: str = "") -> str:
    """List names, or of many those nearest to what was meant, or the first.

    Args:
        names: all there are.
        meant: what was asked for; empty where nothing was.
    """
    line = ", ".join(names)
    if len(line) <= _LINE:
        return line
    few = nearest(meant, names) if meant else tuple(names[:_NEAREST])
    return f"{', '.join(few)}, … ({len(names)} in all)"


def nearest(meant: str, names: Sequence[str], likeness: float = 0.0) -> tuple[str, ...]:
    """Give the three names that are most like one, those of the same last part first.

    Args:
        meant: what was asked for.
        names: all there are.
        likeness: how alike they are at least, 0 to 1.
    """
    last = meant.rsplit("/", 1)[-1]
    same = [name for name in names if name.rsplit("/", 1)[-1] == last]
    alike = difflib.get_close_matches(meant, names, n=_NEAREST, cutoff=likeness)
    return tuple(dict.fromkeys([*same, *alike]))[:_NEAREST]

"""What the library warns of in a reconstruction, caught for its caption and record."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from deconvviz.errors import EmptyReconstructionWarning


@contextmanager
def why_empty(others: bool = False) -> Iterator[list[str]]:
    """Collect why reconstructions show nothing, each reason once; no Python warning is given.

    Args:
        others: whether the library's other warnings are given; a caption may say them itself.
    """
    reasons: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield reasons
    for one in caught:
        if issubclass(one.category, EmptyReconstructionWarning):
            reasons += [str(one.message)] if str(one.message) not in reasons else []
        elif others:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)

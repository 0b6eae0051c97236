"""Let a library that believes what a file claims have little memory for it.

libhdf5 allocates the length that a text claims, up to 4 GiB, before it looks whether there is such
a text. No look through its interface can tell that length, so the allocation itself is bounded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS = Path("/proc/self/statm")  # its first number: the pages of address space in use


@contextmanager
def at_most_more(size: int) -> Iterator[None]:
    """Make allocations fail that would take this process `size` bytes beyond what it has.

    Only Linux can, and elsewhere the block runs without a bound. The bound holds for all threads,
    so the block is to be short.
    """
    if not _STATUS.exists():
        yield
        return
    import resource  # Windows has none

    soft, hard = before = resource.getrlimit(resource.RLIMIT_AS)
    bound = int(_STATUS.read_text().split()[0]) * resource.getpagesize() + size
    if soft != resource.RLIM_INFINITY:
        bound = min(bound, soft)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

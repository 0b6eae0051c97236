"""A folder drawn anew: what an earlier call left goes when all that is new is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deconvviz.errors import DeconvvizError


@contextmanager
def drawn_anew(folder: Path, pictures: str | None = None) -> Iterator[list[Path]]:
    """Remove the events of an earlier call, and its pictures that were not written again.

    Args:
        folder: where the old lie and the new are written.
        pictures: fits the names, without ".png", of pictures whose number may change.

    Yields:
        A list for the paths of the new pictures; the JSON file beside each is kept with it.

    Raises:
        DeconvvizError: where an old file cannot be removed.
    """
    old = set(folder.glob("events.out.tfevents.*"))
    if pictures is not None:
        old |= {path for kind in ("png", "json") for path in folder.glob(f"{pictures}.{kind}")}
    new: list[Path] = []
    yield new
    kept = {file for path in new for file in (path, path.with_suffix(".json"))}
    try:
        for file in old - kept:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise DeconvvizError(
            f"A file of an earlier call, {error.filename}, could not be removed: {error.strerror}. "
            "What it shows stands beside the new pictures until it is."
        ) from None

"""A folder drawn anew by one process: what an earlier call left goes when the new is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deconvviz.errors import DeconvvizError
from deconvviz.locks import one_writer


@contextmanager
def drawn_anew(folder: Path, pictures: str | None = None) -> Iterator[list[Path]]:
    """Remove the events of an earlier call, and its pictures that were not written again.

    Args:
        folder: where the old lie and the new are written.
        pictures: fits the names, without ".png", of pictures whose number may change.

    Yields:
        A list for the paths of the new pictures; the JSON file beside each is kept with it.

    Raises:
        DeconvvizError: where another process draws there, or an old file cannot be removed.
    """
    with one_writer(folder):
        old = set(folder.glob("events.out.tfevents.*"))
        if pictures is not None:
            old |= {path for kind in ("png", "json") for path in folder.glob(f"{pictures}.{kind}")}
        new: list[Path] = []
        yield new
        kept = {file for path in new for file in (path, path.with_suffix(".json"))}
        _remove(old - kept)


def _remove(files: set[Path]) -> None:
    try:
        for file in files:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise DeconvvizError(
            f"A file of an earlier call, {error.filename}, could not be removed: {error.strerror}. "
            "What it shows stands beside the new pictures until it is."
        ) from None

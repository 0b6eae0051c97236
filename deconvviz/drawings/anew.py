"""A folder drawn anew by one process: what an earlier call left goes when the new is there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deconvviz.errors import DeconvvizError
from deconvviz.locks import one_writer


@contextmanager
def drawn_anew(folder: Path, pictures: str | None = None) -> Iterator[list[Path]]:
    """Remove the events of an earlier call, and its pictures that were not written again.

    Where the block ends early, what it wrote first goes instead, and so does a folder that it made:
    half an answer looks like a whole one.

    Args:
        folder: where the old lie and the new are written.
        pictures: fits the names, without ".png", of pictures whose number may change.

    Yields:
        A list for the paths of the new pictures; the JSON file beside each is kept with it.

    Raises:
        DeconvvizError: where another process draws there, or an old file cannot be removed.
    """
    made = not folder.is_dir()
    try:
        with one_writer(folder):
            before = set(folder.iterdir())
            old = set(folder.glob("events.out.tfevents.*"))
            for kind in ("png", "json") if pictures is not None else ():
                old |= set(folder.glob(f"{pictures}.{kind}"))
            new: list[Path] = []
            try:
                yield new
            except BaseException:
                _take_back(set(folder.iterdir()) - before)
                raise
            kept = {file for path in new for file in (path, path.with_suffix(".json"))}
            _remove(old - kept)
    except BaseException:
        if made:
            _take_back({folder})
        raise


def _remove(files: set[Path]) -> None:
    try:
        for file in files:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise DeconvvizError(
            f"A file of an earlier call, {error.filename}, could not be removed: {error.strerror}. "
            "What it shows stands beside the new pictures until it is."
        ) from None


def _take_back(paths: set[Path]) -> None:
    """Remove what this call made; the error that led here is what is told."""
    for path in paths:
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()

"""From CIFAR-10's archive to what tensorflow-datasets keeps on disk.

tensorflow-datasets knows where the archive lies, its checksum and how to build its records, but
without a network it waits for minutes, and a failure leaves half a tree behind. So the archive is
fetched here, only where its host answers at once, and the records are built in a temporary
directory that is moved into its place when it is whole.
"""

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import tensorflow_datasets as tfds
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from deconvviz.errors import DataError

_PATIENCE = 4.0  # seconds: a host that has not answered by then counts as out of reach
_STALL = 30.0  # seconds without a byte after which a download has broken off
_WHAT_TO_DO = (
    "Run `deconvviz data import cifar-10-binary.tar.gz` with an archive that you already have, or "
    "point TFDS_DATA_DIR or --data-dir at a directory where tensorflow-datasets has prepared "
    "cifar10; the built-in photographs need neither: --set data.name=photos."
)


def data_directory(data_dir: Path | None) -> Path:
    """Say where tensorflow-datasets keeps its data: as told, TFDS_DATA_DIR, or its own default."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    return Path(chosen).expanduser()


def prepared_directory(root: Path) -> Path:
    """Say where the records of CIFAR-10 lie below tensorflow-datasets' directory."""
    builder = _builder_class()
    return root / builder.name / str(builder.VERSION)


def import_cifar10(archive: Path, data_dir: Path | None = None) -> Path:
    """Build CIFAR-10 from the archive that a person already has, without a network.

    Args:
        archive: the file `cifar-10-binary.tar.gz`, under any name.
        data_dir: where tensorflow-datasets keeps its data; None takes TFDS_DATA_DIR, or else
            tensorflow-datasets' own default.

    Returns:
        The directory of the records; where they are already there, they stay as they are.

    Raises:
        DataError: for a file that is not that archive, and a directory that cannot be written.
    """
    root = data_directory(data_dir)
    _verify(archive, str(archive))
    if os.path.isdir(prepared_directory(root)):
        return prepared_directory(root)
    with _scratch(root) as scratch:
        shutil.copyfile(archive, _archive_in(scratch))
        return _build(scratch, root)


def download_cifar10(root: Path) -> Path:
    """Fetch CIFAR-10's archive, showing progress, and build the records from it.

    Args:
        root: where tensorflow-datasets keeps its data.

    Returns:
        The directory of the records.

    Raises:
        DataError: within seconds where the host does not answer; where the download breaks off;
            where the directory cannot be written. Nothing is left behind.
    """
    url, _ = _source()
    if not _answers(url):
        raise DataError(
            f"CIFAR-10 is not in {root}, and {urlsplit(url).hostname} cannot be reached to "
            f"download it. {_WHAT_TO_DO}"
        )
    with _scratch(root) as scratch:
        _fetch(url, _archive_in(scratch))
        _verify(_archive_in(scratch), f"What came from {url}")
        return _build(scratch, root)


def _builder_class() -> Any:
    return tfds.builder_cls("cifar10")


def _source() -> tuple[str, Any]:
    (item,) = _builder_class().url_infos.items()
    return item


def _verify(archive: Path, called: str) -> None:
    _, known = _source()
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{called} cannot be read ({error.strerror}); give the path of a file {known.filename}."
        ) from None
    if digest != known.checksum:
        raise DataError(
            f"{called} is not CIFAR-10's archive {known.filename}, or is damaged: it has "
            f"{archive.stat().st_size} bytes and sha256 {digest[:12]}…, expected {int(known.size)} "
            f"bytes and {known.checksum[:12]}…. Fetch it again; the archives for Python and Matlab "
            "will not do."
        )


def _answers(url: str) -> bool:
    """Ask for the archive's first bytes, as the download will, but give up after moments."""
    answer = []

    def ask() -> None:
        with (
            contextlib.suppress(requests.RequestException),
            requests.get(url, stream=True, timeout=_PATIENCE) as response,
        ):
            answer.append(response.ok)

    # Looking up a name has no time limit of its own, so it is left behind in its thread.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return answer == [True]


def _fetch(url: str, target: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    try:
        with (
            requests.get(url, stream=True, timeout=_STALL) as response,
            Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
            target.open("wb") as file,
        ):
            response.raise_for_status()
            task = progress.add_task(target.name, total=int(_source()[1].size))
            for block in response.iter_content(1 << 20):
                file.write(block)
                progress.advance(task, len(block))
    except requests.RequestException as error:
        raise DataError(f"The download of {url} broke off ({error}). {_WHAT_TO_DO}") from None


@contextlib.contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    """Give a temporary directory in `root`; a failure leaves no directory that was not there."""
    below = prepared_directory(root).parent
    missing = [path for path in (below, root, *root.parents) if not os.path.exists(path)]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".cifar10-", dir=root) as name:
            yield Path(name)
    except OSError as error:
        raise DataError(
            f"CIFAR-10 could not be written to {root}: {error.strerror or error}. Make room there, "
            "or choose another directory with --data-dir or TFDS_DATA_DIR."
        ) from error
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # it is not empty: all went well
                path.rmdir()


def _archive_in(scratch: Path) -> Path:
    manual = scratch / "manual"
    manual.mkdir(exist_ok=True)
    return manual / _source()[1].filename


def _build(scratch: Path, root: Path) -> Path:
    builder = _builder_class()(data_dir=scratch)
    # Nothing is downloaded: the archive is found in the directory for manual downloads.
    config = tfds.download.DownloadConfig(manual_dir=scratch / "manual", try_download_gcs=False)
    with contextlib.redirect_stdout(io.StringIO()):  # it would praise the temporary directory
        builder.download_and_prepare(download_dir=scratch / "downloads", download_config=config)
    prepared = prepared_directory(root)
    prepared.parent.mkdir(exist_ok=True)
    os.replace(builder.data_dir, prepared)
    return prepared

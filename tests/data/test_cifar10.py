"""CIFAR-10: from the archive to TFDS's records, from the records to arrays, and what goes wrong.

There is no archive here: a small one of the same layout is built, and TFDS is told its checksum.
"""

import hashlib
import io
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download import checksums

from deconvviz.config import DataConfig
from deconvviz.data import Dataset, cifar10_archive, import_cifar10, load_dataset
from deconvviz.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN, TEST = 20, 6
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (TRAIN + TEST, 32, 32, 3), dtype=np.uint8)
LABELS = RNG.integers(0, 10, TRAIN + TEST).astype(np.uint8)
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow_datasets")


def binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Write images as https://www.cs.toronto.edu/~kriz/cifar.html describes: label, R, G, B."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels[:, None], planes], axis=1).astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"batches.meta.txt": "\n".join(CLASSES).encode() + b"\n\n"}
    for index in range(5):
        part = slice(4 * index, 4 * index + 4)
        files[f"data_batch_{index + 1}.bin"] = binary(PIXELS[part], LABELS[part])
    files["test_batch.bin"] = binary(PIXELS[TRAIN:], LABELS[TRAIN:])
    path = tmp_path_factory.mktemp("archive") / "mine.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@contextmanager
def trusting(archive: Path) -> Iterator[checksums.UrlInfo]:
    """Let TFDS take the small archive for the right one."""
    content = archive.read_bytes()
    info = checksums.UrlInfo(
        size=tfds.core.utils.Size(len(content)),
        checksum=hashlib.sha256(content).hexdigest(),
        filename="cifar-10-binary.tar.gz",
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tfds.builder_cls("cifar10"), "url_infos", {ADDRESS: info})
        monkeypatch.setitem(checksums.get_all_url_infos(), ADDRESS, info)
        yield info


@pytest.fixture
def trusted(archive: Path) -> Iterator[checksums.UrlInfo]:
    with trusting(archive) as info:
        yield info


@pytest.fixture(scope="module")
def prepared(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small archive's records, built once."""
    with trusting(archive):
        return import_cifar10(archive, tmp_path_factory.mktemp("small"))


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    """A copy of those records to break; not all of it may be written in `prepared`."""
    shutil.copytree(prepared.parent.parent, tmp_path / "copy")
    return tmp_path / "copy"


def load(root: Path | None) -> Dataset:
    return load_dataset(DataConfig(name="cifar10", dir=root), seed=0)


def records(root: Path, split: str) -> Path:
    (path,) = root.glob(f"cifar10/*/cifar10-{split}.tfrecord*")
    return path


# The archive -------------------------------------------------------------------------------------


def test_tfds_knows_the_archive_by_the_published_checksum() -> None:
    ((address, info),) = tfds.builder_cls("cifar10").url_infos.items()
    assert address == ADDRESS
    assert info.size == 170_052_171
    assert info.checksum == "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"


def test_an_imported_archive_gives_its_own_pixels_and_labels(prepared: Path) -> None:
    dataset = load(prepared.parent.parent)
    assert dataset.classes == CLASSES
    for split, part in ((dataset.train, slice(TRAIN)), (dataset.test, slice(TRAIN, None))):
        expected = {PIXELS[i].tobytes(): LABELS[i] for i in range(TRAIN + TEST)[part]}
        found = {x.tobytes(): y for x, y in zip(split.images, split.labels, strict=True)}
        assert found == expected  # TFDS writes them in an order of its own
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64


def test_an_import_leaves_the_records_and_nothing_else(prepared: Path) -> None:
    assert os.listdir(prepared.parent.parent) == ["cifar10"]
    assert os.listdir(prepared.parent) == [prepared.name]


def test_an_import_opens_no_connection(
    archive: Path, trusted: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    assert import_cifar10(archive, tmp_path).is_dir()


def test_what_is_there_already_is_not_touched(archive: Path, trusted: object, root: Path) -> None:
    records(root, "train").write_text("precious")
    import_cifar10(archive, root)
    assert records(root, "train").read_text() == "precious"


def test_another_file_is_refused_and_nothing_is_left(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mine\.tar\.gz is not CIFAR-10's archive .* c4a38c50"):
        import_cifar10(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.tar.gz", tmp_path):
        with pytest.raises(DataError, match=f"{path.name} cannot be read"):
            import_cifar10(path, tmp_path / "new")


def test_a_directory_that_cannot_be_made_is_named(
    archive: Path, trusted: object, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"could not be written to .*file/data"):
        import_cifar10(archive, tmp_path / "file" / "data")


@pytest.mark.parametrize(
    ("failure", "seen"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "full"), DataError)],
)
def test_a_failure_in_the_middle_leaves_no_partial_tree(
    archive: Path,
    trusted: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    seen: type[BaseException],
) -> None:
    def fail(builder: Any, *_: object) -> Iterator[Any]:
        assert list((tmp_path / "new").iterdir())  # it has begun
        raise failure

    monkeypatch.setattr(tfds.builder_cls("cifar10"), "_generate_examples", fail)
    with pytest.raises(seen):
        import_cifar10(archive, tmp_path / "new" / "data")
    assert list(tmp_path.iterdir()) == []


# No data on disk ---------------------------------------------------------------------------------


def test_without_data_and_network_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", offline)
    with pytest.raises(DataError) as raised:
        load(tmp_path / "new")
    for word in (str(tmp_path), "www.cs.toronto.edu", "deconvviz data import", "TFDS_DATA_DIR"):
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "new").exists()


def test_a_host_that_never_answers_is_given_up_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def silent(*_: object, **__: object) -> None:
        released.wait(timeout=60)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", silent)
    begun = time.monotonic()
    with pytest.raises(DataError, match="cannot be reached"):
        load(tmp_path)
    assert time.monotonic() - begun < 8
    released.set()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, trusted: checksums.UrlInfo) -> Iterator[dict[str, Any]]:
    """A host on this machine that sends the given content, or closes the connection early."""
    answer: dict[str, Any] = {"content": b"", "length": 0, "status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(answer["length"]))
            self.end_headers()
            self.wfile.write(answer["content"])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz"
        monkeypatch.setattr(cifar10_archive, "_source", lambda: (address, trusted))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield answer
        server.shutdown()


def test_what_is_not_on_disk_is_downloaded(
    archive: Path, host: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = archive.read_bytes()
    host.update(content=content, length=len(content))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "new"))
    assert len(load(None).train.labels) == TRAIN
    assert os.listdir(tmp_path / "new") == ["cifar10"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"content": b"half", "length": 8}, "broke off"),
        ({"content": b"other", "length": 5}, "What came from http.* is not CIFAR-10's archive"),
        ({"status": 404}, "cannot be reached"),
    ],
)
def test_a_bad_download_is_told_and_leaves_nothing(
    host: dict[str, Any], tmp_path: Path, answer: dict[str, Any], message: str
) -> None:
    host.update(answer)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "new")
    assert not (tmp_path / "new").exists()


# Data on disk ------------------------------------------------------------------------------------


def test_a_truncated_file_is_named_with_what_to_do(root: Path) -> None:
    path = records(root, "train")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=rf"{path.name} is truncated .* Remove that directory"):
        load(root)


def test_a_file_that_ends_between_two_records_is_named(root: Path) -> None:
    shutil.copyfile(records(root, "test"), records(root, "train"))
    with pytest.raises(DataError, match=f"holds {TEST} records instead of {TRAIN}"):
        load(root)


def test_an_empty_file_is_named(root: Path) -> None:
    records(root, "test").write_bytes(b"")
    with pytest.raises(DataError, match=r"cifar10-test.* holds 0 records"):
        load(root)


def test_a_missing_file_is_named(root: Path) -> None:
    records(root, "test").unlink()
    with pytest.raises(DataError, match=r"cifar10-test\S+ is missing"):
        load(root)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", ["", "{", None])
def test_a_broken_description_is_told_by_its_directory(
    root: Path, name: str, content: str | None
) -> None:
    (path,) = root.glob(f"cifar10/*/{name}")
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match=r"cifar10/3\.\d+\.\d+ cannot be used"):
        load(root)


@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR is not set")
def test_cifar10_is_read_in_the_order_of_tfds_with_the_pixels_of_pillow() -> None:
    dataset = load(None)
    assert dataset.train.images.shape == (50_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(dataset.train.labels), [5_000] * 10)
    encoded = tfds.load(
        "cifar10",
        split="test",
        data_dir=os.environ["TFDS_DATA_DIR"],
        download=False,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    examples = list(encoded.as_numpy_iterator())
    images = [Image.open(io.BytesIO(example["image"])).convert("RGB") for example in examples]
    np.testing.assert_array_equal(dataset.test.images, np.stack(list(map(np.asarray, images))))
    np.testing.assert_array_equal(dataset.test.labels, [example["label"] for example in examples])

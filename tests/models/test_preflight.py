"""Whatever is no sound model is refused in its own words, before a framework is even imported."""

import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from deconvviz.errors import CheckpointError
from deconvviz.models.preflight import inspect_file

Make = Callable[["Good", Path], None]
Config = dict[str, Any]
GIB = 2**30


class Good:
    """One small sound model, as Keras saves it in both formats, to be spoilt."""

    def __init__(self, folder: Path) -> None:
        import keras

        layers = keras.layers
        images = keras.Input((12, 12, 3))
        x = layers.Conv2D(4, 3, activation="relu", name="conv")(images)
        x = layers.ZeroPadding2D(2)(layers.UpSampling2D(2)(layers.MaxPooling2D(2)(x)))
        x = layers.Dense(5, name="dense")(layers.Reshape((784,))(x))
        model = keras.Model(images, x)
        self.keras, self.h5 = folder / "good.keras", folder / "good.h5"
        self.weights = folder / "good.weights.h5"
        model.save(self.keras)
        model.save(self.h5)
        model.save_weights(self.weights)

    def members(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.keras) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def archive(changed: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Make:
    """Replace or add members of the `.keras` file."""
    return lambda good, path: write_zip(path, good.members() | changed, method)


def layers_of(config: Config) -> dict[str, Config]:
    return {layer["class_name"]: layer for layer in config["config"]["layers"]}


def layer(target: str, /, **settings: Any) -> Make:
    """Change settings of one layer of the `.keras` file's configuration."""
    return config(lambda tree: layers_of(tree)[target]["config"].update(settings))


def entry(target: str, /, **settings: Any) -> Make:
    """Change how one layer is named in the `.keras` file's configuration."""
    return config(lambda tree: layers_of(tree)[target].update(settings))


def config(change: Callable[[Config], Any]) -> Make:
    def make(good: Good, path: Path) -> None:
        members = good.members()
        tree = json.loads(members["config.json"])
        change(tree)
        write_zip(path, members | {"config.json": json.dumps(tree).encode()})

    return make


def h5(change: Callable[[h5py.File], Any]) -> Make:
    def make(good: Good, path: Path) -> None:
        path.write_bytes(good.h5.read_bytes())
        with h5py.File(path, "a") as file:
            change(file)

    return make


def h5_layer(target: str, version: str = "2.4.0", /, **changed: Any) -> Make:
    def change(file: h5py.File) -> None:
        tree = json.loads(file.attrs["model_config"])
        layers_of(tree)[target].update(changed)
        file.attrs["model_config"] = json.dumps(tree)
        file.attrs["keras_version"] = version

    return h5(change)


def in_weights(change: Callable[[h5py.File], Any]) -> Make:
    """Change the HDF5 file inside a `.keras` file."""

    def make(good: Good, path: Path) -> None:
        members = good.members()
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "a") as file:
            change(file)
        write_zip(path, members | {"model.weights.h5": content.getvalue()})

    return make


def bytes_of(content: bytes) -> Make:
    return lambda good, path: (path.write_bytes(content), None)[1]


def half(kind: str) -> Make:
    def make(good: Good, path: Path) -> None:
        content = getattr(good, kind).read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return make


def flipped(good: Good, path: Path) -> None:
    """Change one letter of the configuration, and not the checksum beside it."""
    path.write_bytes(good.keras.read_bytes().replace(b'"filters": 4', b'"filters": 5', 1))


def overwritten(good: Good, path: Path) -> None:
    """Write over what the HDF5 file's root points to."""
    content = bytearray(good.h5.read_bytes())
    content[96:2048] = b"\xff" * (2048 - 96)
    path.write_bytes(content)


def lying(member: str, size: int) -> Make:
    """Inflate a member to more than every header of the zip says, with the checksum of the lie."""

    def make(good: Good, path: Path) -> None:
        truth = good.members()[member]
        write_zip(path, good.members() | {member: truth + b" " * size}, zipfile.ZIP_DEFLATED)
        content = bytearray(path.read_bytes())
        honest = struct.pack("<I", len(truth) + size)
        checksum = struct.pack("<I", zlib.crc32(truth + b" " * size))
        assert content.count(honest) == content.count(checksum) == 2
        content = content.replace(honest, struct.pack("<I", len(truth)))
        path.write_bytes(content.replace(checksum, struct.pack("<I", zlib.crc32(truth))))

    return make


def crowded(good: Good, path: Path) -> None:
    write_zip(path, good.members() | {f"assets/{i:06}": b"" for i in range(30_000)})


def doubled(good: Good, path: Path) -> None:
    write_zip(path, good.members())
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("config.json", b"{}")


def folder(*names: str) -> Make:
    def make(good: Good, path: Path) -> None:
        path.mkdir()
        for name in names:
            (path / name).write_bytes(b"")

    return make


def big(file: h5py.File) -> None:
    file.create_dataset("big", (2**17, 2**17), "f4", chunks=(2**10, 2**10), compression="gzip")


def outside(file: h5py.File) -> None:
    file.create_dataset("far", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
    file.create_virtual_dataset("far", layout)


def external_link(file: h5py.File) -> None:
    file["far"] = h5py.ExternalLink("/tmp/other.h5", "/x")


def soft_link(file: h5py.File) -> None:
    file["far"] = h5py.SoftLink("/model_weights")


def long_attribute(good: Good, path: Path) -> None:
    path.write_bytes(good.h5.read_bytes())
    with h5py.File(path, "a", libver="latest") as file:
        file.create_group("extra").attrs["model_config"] = np.zeros(2**24, "u1")


def endless_text(attribute: str, group: str = "/") -> Make:
    """Claim that a text, the first of the attribute's, has 4 GiB."""

    def make(good: Good, path: Path) -> None:
        with h5py.File(good.h5) as file:
            text = np.ravel(file[group].attrs[attribute])[0]
        length = len(text if isinstance(text, bytes) else text.encode())
        content = good.h5.read_bytes()
        heaps = [found.start() for found in re.finditer(b"GCOL", content)]
        # A text lies in a heap, and is told by its length, the heap's place and a number in it.
        for pointer in (struct.pack("<IQ", length, heap) for heap in heaps):
            content = content.replace(pointer, b"\xff\xff\xff\xff" + pointer[4:], 1)
        assert content != good.h5.read_bytes()
        path.write_bytes(content)

    return make


def empty_h5(good: Good, path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["temperature"] = [1.0]


def old_weights(good: Good, path: Path) -> None:
    """What `save_weights` of Keras 2 wrote: the weights' group as the whole file."""
    with h5py.File(good.h5) as whole, h5py.File(path, "w") as file:
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", file)
        file.attrs["layer_names"] = whole["model_weights"].attrs["layer_names"]


def nested(depth: int) -> Make:
    return config(
        lambda tree: (
            tree.update(config=json.loads("[" * depth + "]" * depth), config2=0)
            or tree.update(config={"layers": tree["config"]})
        )
    )


def dialect(name: str, module: str | None = "keras.layers", **more: Any) -> Config:
    return {"class_name": name, "module": module, "config": {}, **more}


SYSTEM = {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}
LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEA"}}
KERAS_2 = ("Keras 2", "tf_keras", "Rebuild")
POINTS_OUT = ("can read other files", "not opened")

BAD: dict[str, tuple[Make, tuple[str, ...]]] = {
    # what lies at the path
    "missing": (lambda good, path: None, ("There is no", "logs/classic-1")),
    "empty": (bytes_of(b""), ("is empty", "save the model again")),
    "a SavedModel": (folder("saved_model.pb"), ("SavedModel", "model.save('model.keras')")),
    "a folder": (folder("a.txt"), ("a folder, but not a run", "logs/classic-1")),
    "a pipe": (lambda good, path: os.mkfifo(path), ("a pipe or a device",)),
    "a git-lfs pointer": (
        bytes_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        ("git-lfs pointer", "git lfs pull"),
    ),
    "a pickle": (bytes_of(b"\x80\x04\x95\x10\0\0\0"), ("Python pickle", "can run any code")),
    "a text": (bytes_of(b"no model"), ("is not a .keras file", "b'no model'")),
    # zips
    "a truncated zip": (half("keras"), ("truncated or damaged", "Copy or save")),
    "a damaged zip": (flipped, ("truncated or damaged", "config.json is not what was written")),
    "another zip": (lambda good, path: write_zip(path, {"a.txt": b"a"}), ("a zip of a.txt",)),
    "a PyTorch file": (
        lambda good, path: write_zip(path, {"archive/data.pkl": b"\x80\x02"}),
        ("PyTorch", "pickle", "can run any code"),
    ),
    "another member": (archive({"evil.py": b""}), ("a zip of", "evil.py", "not a .keras file")),
    "a member twice": (doubled, ("a zip of", "not a .keras file")),
    "thousands of members": (crowded, ("truncated or damaged", "its directory has more")),
    "a bomb": (
        archive({"config.json": b" " * 2**28}, zipfile.ZIP_DEFLATED),
        ("unpacks config.json to 268435456 bytes", "at most"),
    ),
    "a bomb that lies": (lying("config.json", 2**28), ("lies about config.json",)),
    "a bomb of weights": (
        archive({"model.weights.h5": bytes(2**27)}, zipfile.ZIP_DEFLATED),
        ("unpacks model.weights.h5", "more than weights ever shrink"),
    ),
    "a bomb of weights that lies": (
        lying("model.weights.h5", 2**28),
        ("lies about model.weights.h5",),
    ),
    "compressed as Keras never does": (
        archive({}, zipfile.ZIP_LZMA),
        ("truncated or damaged", "as Keras never does"),
    ),
    # HDF5
    "a truncated HDF5": (half("h5"), ("HDF5 file that is truncated or damaged", "Copy it again")),
    "a damaged HDF5": (overwritten, ("HDF5 file that is truncated or damaged",)),
    "damaged weights": (
        archive({"model.weights.h5": b"junk"}),
        ("HDF5 file that is truncated or damaged",),
    ),
    "weights alone": (
        lambda good, path: (path.write_bytes(good.weights.read_bytes()), None)[1],
        ("weights alone", "model.load_weights"),
    ),
    "weights alone of Keras 2": (old_weights, ("weights alone", "model.load_weights")),
    "an HDF5 of something else": (empty_h5, ("HDF5 file of temperature", "not a Keras model")),
    "an external link": (h5(external_link), ("an external link", *POINTS_OUT)),
    "a soft link": (h5(soft_link), ("a soft link", *POINTS_OUT)),
    "external storage": (h5(outside), ("external storage", *POINTS_OUT)),
    "a virtual data set": (h5(virtual), ("a virtual data set", *POINTS_OUT)),
    "an external link in .keras": (in_weights(external_link), ("an external link", *POINTS_OUT)),
    "a shape bomb": (h5(big), ("bytes of weights in", "fill the memory")),
    "a shape bomb in .keras": (in_weights(big), ("bytes of weights in", "fill the memory")),
    "a long attribute": (long_attribute, ("an attribute model_config", "16777216 values")),
    "a text that claims 4 GiB": (
        endless_text("model_config"),
        ("HDF5 file that is truncated or damaged",),
    ),
    "a name that claims 4 GiB": (
        endless_text("layer_names", "/model_weights"),
        ("HDF5 file that is truncated or damaged",),
    ),
    # descriptions
    "damaged JSON": (archive({"config.json": b'{"class_name": '}), ("damaged JSON",)),
    "no text": (archive({"config.json": b"\xff\xfe\x00"}), ("damaged JSON",)),
    "a JSON list": (archive({"config.json": b"[1]"}), ("by a JSON list, not by an object",)),
    "another JSON": (
        archive({"config.json": b'{"a": 1}'}),
        ("describes no model", "its JSON has a"),
    ),
    "bottomless JSON": (archive({"config.json": b"[" * 10**6}), ("levels deep",)),
    "deep JSON": (nested(300), ("levels deep",)),
    "endless JSON": (
        config(lambda tree: tree.update(more=[[]] * 2**20)),
        ("by more than 524288 values",),
    ),
    # code and classes
    "a Lambda": (entry("Reshape", class_name="Lambda"), ("a Lambda", "can run any code")),
    "a Lambda in .h5": (h5_layer("Reshape", class_name="Lambda"), ("a Lambda", "any code")),
    "a TFSMLayer": (entry("Reshape", class_name="TFSMLayer"), ("a TFSMLayer", "any code")),
    "a lambda for an activation": (layer("Conv2D", activation=LAMBDA), ("__lambda__", "any code")),
    "a foreign class": (entry("Reshape", module="os.path"), ("os.path.Reshape", "not Keras's own")),
    "a class hidden in Keras": (
        entry("Reshape", module="keras.src.utils.file_utils"),
        ("keras.src.utils.file_utils.Reshape", "not Keras's own"),
    ),
    "a class that Keras lacks": (entry("Reshape", class_name="Shape"), ("keras.layers.Shape",)),
    "a class that writes on the terminal": (
        entry("Reshape", class_name="\x1b[2J\x07\nSorry" + "y" * 10**6),
        ("\\x1b[2J\\x07 Sorry", " … ", "hand the model to deconvviz.Deconvnet"),
    ),
    "a function for a class": (
        entry("Reshape", class_name="deserialize"),
        ("keras.layers.deserialize", "not Keras's own"),
    ),
    "another registered class": (
        entry("Reshape", registered_name="mine>Reshape"),
        ("Reshape", "not Keras's own"),
    ),
    "a foreign initializer": (
        layer("Conv2D", kernel_initializer=dialect("Ones", "evil")),
        ("evil.Ones", "not Keras's own"),
    ),
    "a foreign function": (layer("Conv2D", activation=SYSTEM), ("os.function", "not Keras's own")),
    "a class that is no text": (entry("Reshape", class_name=["Reshape"]), ("not Keras's own",)),
    "an unknown class in .h5": (
        h5_layer("Reshape", "3.15.1", class_name="MyLayer"),
        ("?.MyLayer", "not Keras's own"),
    ),
    "an operation in .h5": (
        h5_layer("Reshape", "3.15.1", class_name="GetItem"),
        ("the operation GetItem", "model.save('model.keras')"),
    ),
    "Keras 2's operations": (
        h5_layer("Reshape", class_name="TFOpLambda"),
        ("Keras 2.4.0", "TFOpLambda", *KERAS_2),
    ),
    "a class of one's own, saved by Keras 2": (
        h5_layer("Reshape", "2.4.0", class_name="MyLayer"),
        ("?.MyLayer", "not Keras's own", "your own program"),
    ),
    "Keras 2's layers": (
        h5_layer("Reshape", class_name="LocallyConnected2D"),
        ("Keras 2.4.0", "LocallyConnected2D", *KERAS_2),
    ),
    "a .keras of Keras 2": (
        archive(
            {
                "metadata.json": b'{"keras_version": "2.15.0"}',
                "config.json": json.dumps(
                    dialect("Functional", "keras.src.engine.functional")
                ).encode(),
            }
        ),
        ("Keras 2.15.0", "Functional", *KERAS_2),
    ),
    "a name that fills the screen": (
        layer("Dense", name="y" * 100_000),
        ("a Dense of the name", "at most 255 letters", "Rename it"),
    ),
    "a name that writes on the terminal": (
        layer("Dense", name="a\x1b[2J"),
        (r"'a\x1b[2J'", "that can be printed"),
    ),
    "a number of thousands of digits": (
        archive({"config.json": b'{"a": ' + b"9" * 5000 + b"}"}),
        ("damaged JSON (Exceeds the limit", "5000 digits)"),
    ),
    "a call of nothing": (
        entry("Reshape", inbound_nodes=[{"args": [[[1.0] * 784]], "kwargs": {}}]),
        ("a Reshape that is connected to nothing",),
    ),
    "a call of nothing in .h5": (
        h5_layer("Reshape", inbound_nodes=[[]]),
        ("a Reshape that is connected to nothing",),
    ),
    # sizes
    "many units": (layer("Dense", units=4 * 10**8), ("units = 400000000", "fill the memory")),
    "units in half": (layer("Dense", units=4e8), ("units = 400000000", "fill the memory")),
    "units not stored": (layer("Dense", units=999), ("units = 999", "do not belong together")),
    "filters not stored": (layer("Conv2D", filters=77), ("filters = 77", "belong together")),
    "a large kernel": (layer("Conv2D", kernel_size=[3, 99]), ("kernel_size = 99", "together")),
    "many units in .h5": (
        h5_layer("Dense", config={"name": "dense", "units": 4 * 10**8}),
        ("units = 400000000", "fill the memory"),
    ),
    "a long input": (
        layer("InputLayer", batch_shape=[None, 2**25, 1, 1]),
        (f"batch_shape = {2**25}", "fill the memory"),
    ),
    "a large input": (
        layer("InputLayer", batch_shape=[None, 2**14, 2**14, 3]),
        ("batch_shape = [None, 16384, 16384, 3]", "fill the memory"),
    ),
    "a large padding": (
        layer("ZeroPadding2D", padding=[[1, 1], [1, 10**5]]),
        ("padding = 100000", "at most 8192"),
    ),
    "a large up-sampling": (layer("UpSampling2D", size=[10**5, 1]), ("size = 100000",)),
    "a large pool": (layer("MaxPooling2D", pool_size=[2, 10**5]), ("pool_size = 100000",)),
    "a large target shape": (
        layer("Reshape", target_shape=[2**14, 2**14]),
        ("target_shape = [16384, 16384]", "fill the memory"),
    ),
    "a size under any name": (layer("Reshape", whatever=2**40), (f"whatever = {2**40}",)),
}

JUDGE = """
import json, sys
for name in ("tensorflow", "keras"):
    sys.modules[name] = None  # an import of it fails
from pathlib import Path
from deconvviz.errors import CheckpointError
from deconvviz.models.preflight import inspect_file
said = {}
for path in sys.argv[1:]:
    try:
        said[path] = inspect_file(Path(path)).format
    except CheckpointError as error:
        said[path] = "refused: " + str(error)
status = Path("/proc/self/status")  # getrusage would tell the parent's peak, where it is higher
lines = status.read_text().splitlines() if status.exists() else []
peak = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
print(json.dumps({"said": said, "peak": peak}))
"""


def judge(*paths: Path) -> Any:
    """Look at files in a process that has no framework."""
    command = [sys.executable, "-W", "error", "-c", JUDGE, *map(str, paths)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return Good(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def bad(good: Good, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bad")
    paths = {name: root / f"{number}.keras" for number, name in enumerate(BAD)}
    for name, path in paths.items():
        BAD[name][0](good, path)
    return paths


@pytest.fixture(scope="module")
def verdict(bad: dict[str, Path]) -> Any:
    return judge(*bad.values())


@pytest.mark.parametrize("kind", BAD)
def test_each_bad_kind_is_refused_in_its_own_words_without_a_framework(
    kind: str, bad: dict[str, Path], verdict: Any
) -> None:
    said = verdict["said"][str(bad[kind])]
    assert said.startswith("refused: ")
    for word in (str(bad[kind]), *BAD[kind][1]):
        assert word in said
    assert said.isprintable()
    assert len(said) < 1100


def test_all_refusals_together_stay_under_a_gibibyte(verdict: Any) -> None:
    if not verdict["peak"]:
        pytest.skip("this system does not tell a process's largest memory in /proc")
    assert verdict["peak"][0] < GIB


def test_sound_files_pass_without_a_framework(good: Good) -> None:
    import keras

    said = judge(good.keras, good.h5)["said"]
    assert said[str(good.keras)] == f".keras (Keras {keras.__version__})"
    assert said[str(good.h5)] == f".h5 (Keras {keras.__version__})"


def test_a_sound_file_tells_its_fingerprint(good: Good) -> None:
    expected = hashlib.sha256(good.keras.read_bytes()).hexdigest()
    assert inspect_file(good.keras).sha256 == expected


def test_a_compressed_archive_of_a_sound_model_passes(good: Good, tmp_path: Path) -> None:
    write_zip(tmp_path / "model.keras", good.members(), zipfile.ZIP_DEFLATED)
    assert inspect_file(tmp_path / "model.keras").config["class_name"] == "Functional"


def test_what_an_author_compiled_a_model_with_does_not_matter(good: Good, tmp_path: Path) -> None:
    make = config(lambda tree: tree.update(compile_config={"loss": dialect("MyLoss", "mine")}))
    make(good, tmp_path / "model.keras")
    inspect_file(tmp_path / "model.keras")


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        inspect_file(Path("model\0.keras"))

"""Whatever is wrong with what a person gives, they read one plain sentence, and lose nothing."""

import resource
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Change = Callable[[Path], None]


def assert_refused(ended: Any, *words: str) -> None:
    assert ended.code == 1, ended
    assert ended.err.startswith("Error: ")
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def with_config(change: Callable[[bytes], bytes]) -> Change:
    def changed(path: Path) -> None:
        parts = members(path)
        write_zip(path, {**parts, "config.json": change(parts["config.json"])})

    return changed


def overwrite(content: bytes) -> Change:
    def overwritten(path: Path) -> None:
        path.write_bytes(content)

    return overwritten


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "missing": (lambda path: path.unlink(), ("There is no", "logs/classic-1")),
    "empty": (overwrite(b""), ("is empty", "save the model again")),
    "truncated": (truncate, ("is truncated or damaged", "save the model again")),
    "text": (overwrite(b"no model"), ("not a .keras file", "no model")),
    "HDF5": (overwrite(b"\x89HDF\r\n\x1a\n"), ("an HDF5 file", "model.save('model.keras')")),
    "git-lfs pointer": (
        overwrite(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        ("git-lfs pointer", "git lfs pull"),
    ),
    "another zip": (lambda path: write_zip(path, {"a.txt": b"a"}), ("a zip of a.txt",)),
    "another member": (
        lambda path: write_zip(path, {**members(path), "evil.py": b""}),
        ("evil.py", "not a .keras file"),
    ),
    "a zip bomb": (with_config(lambda config: config + b" " * 2**25), ("unpacks config.json to",)),
    "foreign code": (
        with_config(lambda config: config.replace(b'"keras.layers"', b'"os.path"')),
        ("os.path", "not Keras's own"),
    ),
    "a Lambda": (
        with_config(lambda config: config.replace(b'"Conv2D"', b'"Lambda"')),
        ("Lambda", "can run any code"),
    ),
    "a size beyond memory": (
        with_config(lambda config: config.replace(b'"filters": 64', b'"filters": 400000000')),
        ("filters = 400000000", "not opened"),
    ),
    "other weights": (
        with_config(lambda config: config.replace(b'"filters": 64', b'"filters": 63')),
        ("filters", "63", "not opened"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_its_own_words(
    damage: str, call: Any, trained: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes((trained / "checkpoints" / "last.keras").read_bytes())
    change, words = DAMAGES[damage]
    change(path)
    ended = call("reconstruct", "--ckpt", path, "--preprocess", "unit", "--dataset", "photos")
    assert_refused(ended, str(path), *words)


def test_a_folder_that_is_no_run_is_refused(call: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert_refused(call("reconstruct", "--ckpt", tmp_path), str(tmp_path), "not a run")
    assert_refused(call("train", "--resume", tmp_path), str(tmp_path), "is not a run")


def test_a_damaged_state_is_refused_and_kept(call: Any, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    truncate(run / "checkpoints" / "state.npz")
    before = (run / "checkpoints" / "last.keras").read_bytes()
    assert_refused(call("train", "--resume", run), "state.npz", "damaged")
    assert (run / "checkpoints" / "last.keras").read_bytes() == before


def test_every_mistake_in_a_configuration_is_told_at_once(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nstepz = 5\nlearning_rate = -1\n[data]\nname = 'imagenet'\n")
    ended = call("train", "--config", file, "--logdir", tmp_path / "logs")
    assert_refused(ended, "train.stepz", "allowed are steps", "learning_rate", "-1", "'imagenet'")
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.steps", ("SECTION.KEY=VALUE",)),
        ("steps=3", ("SECTION.KEY=VALUE",)),
        ("train.steps=0", ("train.steps", "greater than or equal to 1", "received 0")),
        ("train.learning_rate=nan", ("train.learning_rate", "finite")),
        ("data.crop=40", ("crop is 40", "32 pixels")),
        ("data.name=folder", ("needs dir",)),
        ("pictures.scale=[1.0]", ("1 value for 2 layers",)),
    ],
)
def test_an_impossible_setting_is_refused(setting: str, words: Any, call: Any) -> None:
    assert_refused(call("train", "--set", setting), *words)


def test_a_configuration_that_is_missing_or_no_toml_is_refused(call: Any, tmp_path: Path) -> None:
    assert_refused(call("train", "--config", tmp_path / "none.toml"), "no configuration file")
    (tmp_path / "bad.toml").write_text("[train\n")
    assert_refused(call("train", "--config", tmp_path / "bad.toml"), "not TOML")


def test_a_batch_larger_than_the_data_is_refused_before_a_folder_is_made(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    settings = tiny("train.batch_size=1000")
    ended = call("train", "--logdir", logs, "--data-dir", pictures, *settings)
    assert_refused(ended, "1000", "--set train.batch_size=64")  # four fifths of 80 pictures
    assert not logs.exists()


def test_a_picture_layer_that_the_network_lacks_is_refused_before_training(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path
) -> None:
    ended = call(
        "train", "--logdir", tmp_path, "--data-dir", pictures,
        *tiny("pictures.layers=['pool9']"),
    )  # fmt: skip
    assert_refused(ended, "pool9", "pool1, conv2, pool2")


def test_an_image_that_is_none_is_refused_by_name(call: Any, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_text("meow")
    assert_refused(call("reconstruct", "--ckpt", trained, "--images", file), str(file))
    assert_refused(
        call("reconstruct", "--ckpt", trained, "--images", tmp_path / "no.png"), "no.png"
    )


def test_a_layer_that_the_network_lacks_is_refused_by_name(call: Any, trained: Path) -> None:
    ended = call("reconstruct", "--ckpt", trained, "--layer", "conv9")
    assert_refused(ended, "conv9", "conv1, pool1")


def test_a_file_that_belongs_to_no_run_needs_its_preprocessing(
    call: Any, trained: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes((trained / "checkpoints" / "last.keras").read_bytes())
    ended = call("reconstruct", "--ckpt", path, "--dataset", "photos")
    assert_refused(ended, "--preprocess", "standardize, signed, unit, raw")


def test_broken_pictures_are_refused_by_name_or_skipped_and_counted(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    for name in ("x.png", "y.png"):
        (folder / "dark" / name).write_text("no picture")
    options = ("train", "--logdir", tmp_path / "logs", "--data-dir", folder)
    assert_refused(call(*options, *tiny()), str(folder / "dark" / "x.png"), "--skip-broken")
    assert not (tmp_path / "logs").exists()
    ended = call(*options, "--skip-broken", *tiny("train.steps=1"))
    assert ended.code == 0, ended.err
    assert "Left out 2 files" in ended.out
    assert '"skipped_files": 2' in (tmp_path / "logs" / "classic-1" / "run.json").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [((), "--dataset"), (("--dataset", "folder"), "--data-dir")],
)
def test_a_file_that_belongs_to_no_run_needs_its_images_named(
    options: tuple[str, ...], words: str, call: Any, trained: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes((trained / "checkpoints" / "last.keras").read_bytes())
    assert_refused(call("reconstruct", "--ckpt", path, "--preprocess", "unit", *options), words)


def test_folders_that_cannot_be_written_are_refused(call: Any, tiny: Any, pictures: Path) -> None:
    inside_a_file = next(pictures.rglob("*.png")) / "logs"
    ended = call("train", "--logdir", inside_a_file, "--data-dir", pictures, *tiny())
    assert_refused(ended, str(inside_a_file), "can be written")


@pytest.mark.parametrize("limit", [2_000, 100_000])
def test_a_full_disk_while_saving_keeps_the_last_checkpoint(
    limit: int, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    text = (run / "config.toml").read_text().replace("steps = 20", "steps = 40")
    (run / "config.toml").write_text(text)
    kept = {name: (run / "checkpoints" / name).read_bytes() for name in ("last.keras", "state.npz")}

    def no_room() -> None:
        # No file may grow beyond the limit: the write fails as on a disk that is full.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = subprocess.run(
        [sys.executable, "-m", "deconvviz", "train", "--resume", run],
        capture_output=True, text=True, preexec_fn=no_room, check=False,
    )  # fmt: skip
    assert ended.returncode == 1, ended
    assert ended.stderr.splitlines()[-1].startswith("Error: ")
    assert "could not be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    for name, content in kept.items():
        assert (run / "checkpoints" / name).read_bytes() == content
    assert not list((run / "checkpoints").glob(".*"))


def test_usage_errors_exit_with_2(call: Any) -> None:
    assert call("train", "--no-such-option").code == 2
    assert call("reconstruct").code == 2
    assert call("train", "--resume", "logs/x", "--name", "y").code == 2
    assert call("no-such-command").code == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--size", "9" * 5000),
        ("--at", "9" * 5000 + ",1"),
        ("--size", "y" * 100_000),
        ("--at", "\x1b[2J"),
    ],
)
def test_a_hostile_size_or_place_is_a_usage_error_in_few_words(
    call: Any, option: str, value: str
) -> None:
    ended = call("reconstruct", "--ckpt", "a.keras", option, value)
    assert ended.code == 2
    assert "it takes" in ended.err
    assert len(ended.err) < 500


@pytest.mark.parametrize("command", ["inspect", "reconstruct"])
def test_no_error_writes_on_the_terminal(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from deconvviz import cli

    monkeypatch.setattr(sys, "argv", ["deconvviz", command, "--ckpt", "\x1b[2J\n\udcff"])
    assert cli._run() == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: There is no \\x1b[2J")
    assert said.replace("\n", "").isprintable()


def test_a_run_of_a_name_that_no_file_has_is_refused() -> None:
    from deconvviz.errors import CheckpointError
    from deconvviz.training.rundir import RunDirectory

    with pytest.raises(CheckpointError, match="is not a run"):
        RunDirectory.open(Path("n" * 300))

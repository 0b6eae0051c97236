"""A tiny data set, a tiny trained run, and the command line as a person calls it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# A network of the classic shape on 12x12 pictures: everything that a run does, in seconds.
TINY = (
    "data.name=folder",
    "data.size=12",
    "data.crop=8",
    "data.flip=true",
    "data.random_crop=true",
    "model.dropout=0.3",
    "train.batch_size=16",
    "train.report_every=5",
    "train.evaluate_every=10",
    "pictures.every=10",
    "pictures.images=3",
)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Call = Callable[..., Ended]


def _tiny(*more: str) -> list[str]:
    return [part for setting in (*TINY, *more) for part in ("--set", setting)]


@pytest.fixture(scope="session")
def tiny() -> Callable[..., list[str]]:
    """The settings of a tiny network, and any more, as `--set` options."""
    return _tiny


@pytest.fixture(scope="session")
def start() -> "Callable[..., subprocess.Popen[str]]":
    """Start `deconvviz ARGUMENTS` in a process of its own."""
    return _start


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noisy pictures, a bright one and a dark one."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for name, low in (("bright", 128), ("dark", 0)):
        (folder / name).mkdir()
        for index in range(40):
            pixels = generator.integers(low, low + 128, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:02d}.png")
    return folder


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call `deconvviz ARGUMENTS` in this process, through the function that the script calls."""
    from deconvviz.cli import main

    def called(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["deconvviz", *map(str, arguments)])
        capsys.readouterr()
        code: int | str | None = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        return Ended(int(code or 0), *capsys.readouterr())

    return called


def _heed_signals() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would our child."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _start(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "deconvviz", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_heed_signals,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )


@pytest.fixture(scope="session")
def run() -> Callable[..., None]:
    """Run `deconvviz ARGUMENTS` to its good end in this process, where TensorFlow is loaded."""
    return _run


def _run(*arguments: object) -> None:
    from deconvviz.cli.commands import cli

    cli.main(list(map(str, arguments)), prog_name="deconvviz", standalone_mode=False)


@pytest.fixture(scope="session")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained to its end."""
    logs, settings = tmp_path_factory.mktemp("logs"), _tiny("train.steps=20")
    _run("train", "--name", "tiny", "--logdir", logs, "--data-dir", pictures, *settings)
    return logs / "tiny"

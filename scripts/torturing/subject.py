"""What is tortured: a small training run with every answer, and the commands that make them.

Everything lies in one folder and is named relative to it, so that a copy of the folder is another
subject, equal to the last byte.
"""

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.torturing.compare import difference
from scripts.torturing.processes import Ended, forked, plain

RUN = Path("logs/run")
STEPS, LONGER = 6, 8
_SETTINGS = {
    "data.name": "folder",
    "data.dir": "pictures",
    "data.size": 16,
    "data.crop": 16,
    "data.flip": "true",
    "model.dropout": 0.5,  # its random state must come back, too
    "train.steps": STEPS,
    "train.batch_size": 4,
    "train.report_every": 1,
    "train.evaluate_every": 2,
    "train.checkpoint_every": 1,  # most of the time goes into saving
    "pictures.every": STEPS,
    "pictures.images": 2,
    "pictures.layers": '["pool1"]',
    "evolution.steps": f"[2, {STEPS}]",
}
TRAIN = (
    "train",
    *(part for key, value in _SETTINGS.items() for part in ("--set", f"{key}={value}")),
    *("--name", RUN.name),
)
RESUME = ("train", "--resume", str(RUN))
_ASKED = ("--ckpt", str(RUN))
# The first four are all that the quick torture asks.
ANSWERS = {
    "reconstruct": ("reconstruct", *_ASKED, "--limit", "3"),
    "features": (
        "features",
        *_ASKED,
        "--layer",
        "pool1",
        "--layer",
        "pool2",
        "--features",
        "0-5",
        "-k",
        "2",
    ),
    "evolution": ("evolution", *_ASKED, "--layer", "pool1", "--feature", "0", "--feature", "1"),
    "sanity": ("sanity", *_ASKED, "--limit", "3", "--draws", "1", "--layer", "pool1"),
    "occlusion": ("occlusion", *_ASKED, "--limit", "2", "--square", "8", "--stride", "4"),
    "invariance": ("invariance", *_ASKED, "--limit", "2"),
    "correspondence": ("correspondence", *_ASKED, "--parts", "parts.toml", "--repetitions", "2"),
}
ONLY_SAYS = {
    "inspect": ("inspect", *_ASKED, "--dataset", "folder", "--data-dir", "pictures"),
    "demo": ("demo", "unpool"),
}
_PARTS = """
[[image]]
index = 0
[image.parts]
left = [2, 2, 4, 4]
right = [2, 9, 4, 4]

[[image]]
index = 1
[image.parts]
left = [3, 2, 4, 4]
right = [3, 9, 4, 4]
"""


@dataclass(frozen=True)
class Subject:
    """The folder of an uninterrupted run with its answers, each made by an uninterrupted command.

    Attributes:
        folder: of pictures, parts file and logs.
        bare: the same before any answer was made.
        untrained: the same before there was a run.
        seconds: how long each command took in a fork.
        loading: how many seconds more a plain start takes.
    """

    folder: Path
    bare: Path
    untrained: Path
    seconds: dict[str, float]
    loading: float

    def unlike(self, folder: Path, name: str) -> str:
        """Name the first difference of a run from this one, other commands' answers left aside."""
        others = {answer_folder(other) for other in ANSWERS if other != name}
        return difference(folder / RUN, self.folder / RUN, lambda path: path.parts[0] not in others)


def answer_folder(name: str) -> str:
    """Give the folder in a run where a command's answers lie."""
    return {"reconstruct": "reconstructions"}.get(name, name)


def train_on(folder: Path) -> tuple[str, ...]:
    """Choose the command that goes on with a run, or begins one where there is none."""
    return RESUME if (folder / RUN / "config.toml").is_file() else TRAIN


def lengthen(folder: Path) -> None:
    """Let a finished run have two steps more to go."""
    config = folder / RUN / "config.toml"
    config.write_text(config.read_text().replace(f"\nsteps = {STEPS}\n", f"\nsteps = {LONGER}\n"))


def draw_pictures(folder: Path) -> None:
    """Make the images and the parts file: two classes of noise in two colours."""
    random_colours = np.random.default_rng(0)
    for label, name in enumerate(("blue", "red")):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            pixels = random_colours.integers(0, 200, (16, 16, 3), dtype=np.uint8)
            pixels[..., 2 - 2 * label] += 55
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{number}.png")
    (folder / "parts.toml").write_text(_PARTS)


def make_subject(folder: Path, asked: Sequence[str] = tuple(ANSWERS)) -> Subject:
    """Train the run by a plain process, ask the questions of it, and time each in a fork."""
    untrained, bare, whole = (folder / name for name in ("untrained", "bare", "whole"))
    untrained.mkdir(parents=True)
    draw_pictures(untrained)
    shutil.copytree(untrained, bare)
    began = time.monotonic()
    _require(plain(TRAIN, bare).ended(), "train")
    whole_start = time.monotonic() - began
    shutil.copytree(bare, whole)
    seconds = {}
    for name in asked:
        began = time.monotonic()
        _require(forked(ANSWERS[name], whole).ended(), name)
        seconds[name] = time.monotonic() - began
    timed = folder / "timed"
    shutil.copytree(untrained, timed)
    began = time.monotonic()
    _require(forked(TRAIN, timed).ended(), "train")
    seconds["train"] = time.monotonic() - began
    loading = max(1.0, whole_start - seconds["train"])
    return Subject(whole, bare, untrained, seconds, loading)


def _require(ended: Ended, name: str) -> None:
    if ended.code != 0:
        raise SystemExit(f"{name} fails unharmed, exit status {ended.code}: {ended.out}{ended.err}")


def dice(*of: object) -> random.Random:
    """Give the random numbers of one trial, the same ones every time."""
    return random.Random(repr(of))

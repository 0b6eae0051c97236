"""Environments that shells and notebooks bring: a command gives the same bytes in each of them.

Where it cannot, it ends with exit status 1 and one message.
"""

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scripts.torturing.compare import difference
from scripts.torturing.processes import forked, plain
from scripts.torturing.subject import ANSWERS, RUN, TRAIN, Subject, answer_folder
from scripts.torturing.table import Effort, Row, not_plain, row


@dataclass(frozen=True)
class Environment:
    """What is unusual: variables (None: not set), what keras.json says, the umask."""

    name: str
    variables: Mapping[str, str | None] = field(default_factory=dict)
    keras: str = ""
    umask: int = 0o022


_ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
_INLINE = "module://matplotlib_inline.backend_inline"
_CHANNELS = '{"image_data_format": "channels_first"}'
_EACH = (
    Environment("a notebook's MPLBACKEND", {"MPLBACKEND": _INLINE}),
    Environment("KERAS_BACKEND=jax", {"KERAS_BACKEND": "jax"}),
    Environment("KERAS_BACKEND=torch", {"KERAS_BACKEND": "torch"}),
    Environment("keras.json with another backend", keras='{"backend": "torch"}'),
    Environment("keras.json with channels_first", keras=_CHANNELS),
    Environment("keras.json with float16", keras='{"floatx": "float16"}'),
    Environment("LC_ALL=C", _ASCII),
    Environment("no HOME", {"HOME": None}),
    Environment("a HOME and a TMPDIR that are not there", {"HOME": "/proc/x", "TMPDIR": "/proc/x"}),
    Environment("COLUMNS=40", {"COLUMNS": "40"}),
    Environment("TERM=dumb", {"TERM": "dumb"}),
    Environment("NO_COLOR", {"NO_COLOR": "1"}),
    Environment("umask 077", umask=0o077),
)
_ALL_AT_ONCE = Environment(
    "all at once",
    {
        **_ASCII,
        "MPLBACKEND": _INLINE,
        "KERAS_BACKEND": "jax",
        "HOME": None,
        "COLUMNS": "40",
        "TERM": "dumb",
        "NO_COLOR": "1",
    },
    _CHANNELS,
    0o077,
)
_NAMES = ("with a space", "Grüße-日本", "new\nline", "-dash", os.fsdecode(b"not\xff-utf8"))


def environments(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Train and draw in each environment."""
    chosen = (_ALL_AT_ONCE,) if effort.quick else (*_EACH, _ALL_AT_ONCE)
    trials = [(each, name) for each in chosen for name in ("train", "sanity")]
    return row("environments", pool.map(partial(_in_environment, subject, folder), trials))


def paths(effort: Effort, subject: Subject, folder: Path, pool: Executor) -> Row:
    """Move the run to places with unusual names, and ask there."""
    return row("a run moved to an unusual path", pool.map(partial(_at, subject, folder), _NAMES))


def _in_environment(subject: Subject, folder: Path, trial: tuple[Environment, str]) -> str:
    environment, name = trial
    mine = folder / f"{name}-{environment.name.replace(' ', '-').replace('=', '-')}"
    shutil.copytree(subject.untrained if name == "train" else subject.bare, mine)
    variables = dict(environment.variables)
    if environment.keras:
        (mine / "keras").mkdir()
        (mine / "keras" / "keras.json").write_text(environment.keras)
        variables["KERAS_HOME"] = str(mine / "keras")

    def mask() -> None:
        os.umask(environment.umask)

    argv = TRAIN if name == "train" else ANSWERS[name]
    ended = plain(argv, mine, variables, mask).ended()
    loss = not_plain(ended, 0, 1) or ("" if ended.code else subject.unlike(mine, name))
    if loss:
        return f"{mine}: {name} in {environment.name}: {loss}"
    shutil.rmtree(mine)
    return ""


def _at(subject: Subject, folder: Path, name: str) -> str:
    mine = folder / "moved" / ascii(name).strip("'").replace("\\", "_")
    shutil.copytree(subject.bare / RUN, mine / name)
    shutil.copytree(subject.bare / "pictures", mine / "pictures")
    argv = [f"--ckpt={name}" if part == str(RUN) else part for part in ANSWERS["reconstruct"]]
    argv.remove("--ckpt")
    ended = forked(argv, mine).ended()
    lies = answer_folder("reconstruct")
    there, here = mine / name / lies, subject.folder / RUN / lies
    # The records beside the pictures name the run.
    loss = not_plain(ended, 0) or difference(there, here, lambda path: path.suffix == ".png")
    if loss:
        return f"{mine}: reconstruct --ckpt={name!a}: {loss}"
    shutil.rmtree(mine)
    return ""

"""Other people's tools on the classic network's second layer, each in a process of its own.

captum and tf-keras-vis come with `pip install -e .[bench]`. Xplique's own pins rule this TensorFlow
out, which no extra can express; it runs past them all the same, so it is installed without what it
depends on, with the few of those that it imports, into a folder of its own in the user's cache.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

import deconvviz
from scripts.benchmarks.classic import COUNT, network, noise
from scripts.benchmarks.timing import Effort, Pairs, Row, as_fast, seconds

XPLIQUE = (
    "xplique==2.0.2",
    "tensorflow-probability==0.25.0",
    "tf-keras==2.21.0",
    "opencv-python-headless>=4.10",
    "scikit-learn>=1.6,<1.8",
    "joblib",
    "threadpoolctl",
    "einops",
    "deprecated",
    "cloudpickle",
    "decorator",
)


class Absent(Exception):
    """A peer does not run here; the text says why."""


def captum(effort: Effort) -> Row:
    """Time captum's Deconvolution."""
    return _row("captum", "captum Deconvolution (PyTorch)", effort)


def tf_keras_vis(effort: Effort) -> Row:
    """Time the guided backpropagation of tf-keras-vis, which has no deconvnet."""
    return _row("tf-keras-vis", "tf-keras-vis guided backpropagation", effort)


def xplique(effort: Effort) -> Row:
    """Time Xplique's DeconvNet."""
    return _row("xplique", "Xplique DeconvNet", effort)


def _row(name: str, what: str, effort: Effort) -> Row:
    what = f"whole layer 2, {COUNT} images: {what} / ours"
    try:
        picture, pairs = _measure(name, effort)
    except Absent as reason:
        return Row(what, [], why=str(reason))
    return as_fast(f"{what}; {picture}", pairs)


def _measure(name: str, effort: Effort) -> tuple[str, Pairs]:
    images, folder = noise(COUNT), _installed(name)
    nets = {rules: deconvviz.Deconvnet(network(), rules) for rules in ("deconvnet", "guided")}

    def ours() -> Any:
        return nets["deconvnet"].reconstruct(images, "pool2")

    maps = {rules: net.reconstruct(images, "pool2") for rules, net in nets.items()}
    with _case(images, maps) as case, _peer(name, case, folder) as peer:
        picture = _compared(_answer(peer))
        pairs = [(seconds(ours), _once(peer)) for _ in range(effort.pairs)]
    return picture, pairs


def _installed(name: str) -> Path | None:
    """Give the folder where a peer lies, if it is not in the environment."""
    if name != "xplique":
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    wanted = "\n".join((sys.version, *XPLIQUE)).encode()
    folder = cache / "deconvviz-bench" / f"xplique-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not folder.is_dir():
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--target", str(Path(unfinished) / "new"), *XPLIQUE]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Absent(f"pip could not install it: {_last_line(done.stderr)}")
        (Path(unfinished) / "new").replace(folder)


@contextmanager
def _case(images: Any, maps: dict[str, Any]) -> Iterator[Path]:
    weights = {
        f"{part}{number}": np.asarray(getattr(network().get_layer(f"conv{number}"), part))
        for part in ("kernel", "bias")
        for number in (1, 2)
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.npz"
        arrays: dict[str, Any] = {"images": images, **weights, **maps}
        np.savez(path, **arrays)
        yield path


@contextmanager
def _peer(name: str, case: Path, folder: Path | None) -> Iterator[subprocess.Popen[str]]:
    # The peer's own folder comes last on its path, so that nothing there hides what is installed.
    program = "import runpy, sys; sys.path += sys.argv[3:]; sys.argv[3:] = []; "
    program += f"runpy.run_path({str(Path(__file__).with_name('peer.py'))!r}, run_name='__main__')"
    command = [sys.executable, "-c", program, name, str(case), *([str(folder)] if folder else [])]
    with tempfile.TemporaryFile("w+") as said:
        peer = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        try:
            yield peer
        except Absent:
            said.seek(0)
            raise Absent(_last_line(said.read()) or "it stopped without a word") from None
        finally:
            _pipe(peer.stdin).close()
            peer.wait()


def _once(peer: subprocess.Popen[str]) -> float:
    print(file=_pipe(peer.stdin), flush=True)
    return float(_answer(peer))


def _answer(peer: subprocess.Popen[str]) -> str:
    line = _pipe(peer.stdout).readline()
    if not line:
        raise Absent
    return line


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _compared(answer: str) -> str:
    equal = dict(zip(("deconvnet", "guided"), map(int, answer.split()), strict=True))
    rules = max(equal, key=lambda name: equal[name])
    return f'equals rules="{rules}" in {equal[rules]} of them'


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].replace("|", "/")[:200] if lines else ""

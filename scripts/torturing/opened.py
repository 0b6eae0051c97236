"""Open mutated files one after the other, in a process that may hang or crash over one.

This process has imported TensorFlow and run nothing; it forks a child that opens file by file and
writes what came of each on a pipe. A child that says nothing for long is killed, and another one
goes on behind the file that it died of.
"""

import json
import os
import random
import resource
import select
import signal
import sys
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deconvviz.errors import DeconvvizError
from scripts.torturing.damage import damaged
from scripts.torturing.sound_files import KINDS, network, write_sound_files

LONGEST = 5.0  # seconds of work, the child's that looks at HDF5 among it
_SILENCE = 40.0  # seconds by the clock, where other programs have the processors
_MEMORY = 3 * 2**29  # bytes, 1.5 GiB
_ORDER = (".keras", ".h5", "picture", ".keras", ".h5", *KINDS)  # how often each kind is tried
_NOT_BEGUN = 3  # the exit status of a child that could not begin
_WORDS = 2500  # characters of a refusal

Open = Callable[[Path], Any]


def main() -> None:
    """Try every `workers`-th file of `count`, from the `index`-th on, and print what came of it."""
    count, seed, index, workers = map(int, sys.argv[1:5])
    folder = Path(sys.argv[5])
    import deconvviz.models.files
    import deconvviz.training.rundir
    import deconvviz.training.state  # noqa: F401

    cases = list(range(index, count, workers))
    while cases:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _try_all(cases, seed, folder, writer)
        os.close(writer)
        said = _listen(reader, cases)
        os.close(reader)
        if said < len(cases):
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == _NOT_BEGUN:
            sys.exit("The sound files cannot be made or opened.")
        if said < len(cases):
            _tell(cases[said], "lost", f"hangs, or ends the process ({status})")
        cases = cases[said + 1 :]


def kind_of(case: int) -> str:
    """The kind of file that a case is of."""
    return _ORDER[case % len(_ORDER)]


def file_of(case: int, folder: Path) -> Path:
    """Where the file of a case lies while it is tried, and afterwards where it was lost."""
    return folder / "mutated" / f"{case}-{kind_of(case).lstrip('.')}"


def _tell(case: int, end: str, why: str = "") -> None:
    print(json.dumps([case, end, why]), flush=True)


def _listen(reader: int, cases: list[int]) -> int:
    """Hand on what the child says, and count the files that it said something of."""
    said, left = 0, b""
    while said < len(cases) and select.select([reader], [], [], _SILENCE)[0]:
        if not (more := os.read(reader, 1 << 16)):
            break
        *lines, left = (left + more).split(b"\n")
        for line in lines:
            _tell(*json.loads(line))
            said += 1
    return said


def _try_all(cases: list[int], seed: int, folder: Path, writer: int) -> None:
    status = _NOT_BEGUN
    try:
        sound = folder / f"sound-{os.getppid()}"
        if not sound.exists():
            write_sound_files(sound)
        (folder / "mutated").mkdir(exist_ok=True)
        openers = _openers()
        for kind in KINDS:
            whole = [_try(openers[kind], file)[0] for file in (sound / kind).iterdir()]
            assert "opened" in whole, f"no sound {kind} can be opened"
        status = 0
        for case in cases:
            end = _try(openers[kind_of(case)], _write(case, seed, sound, folder))
            if end[0] != "lost":
                file_of(case, folder).unlink()
            os.write(writer, json.dumps([case, *end]).encode() + b"\n")
    finally:
        traceback.print_exc()
        os._exit(status)


def _write(case: int, seed: int, sound: Path, folder: Path) -> Path:
    rng = random.Random(f"{seed} {case}")
    sources = sorted((sound / kind_of(case)).iterdir())
    one, other = rng.choice(sources), rng.choice(sources)
    content = damaged(one.read_bytes(), other.read_bytes(), rng)
    file_of(case, folder).write_bytes(content)
    return file_of(case, folder)


def _try(open_file: Open, path: Path) -> tuple[str, str]:
    before = _work()
    _forget_peak()
    try:
        open_file(path)
        end = "opened", ""
    except DeconvvizError as error:
        said = str(error)
        end = "refused", ""
        if not said.replace("\n", "").isprintable() or len(said) > _WORDS:
            end = "lost", f"is refused in {len(said)} characters: {said[:200]!r}"
    except BaseException as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(at.filename).name}:{at.lineno}"
        end = "lost", f"{type(error).__name__} at {place}: {str(error)[:200]!r}"
    if (took := _work() - before) > LONGEST:
        return "lost", f"takes {took:.1f} s"
    if (peak := _peak()) > _MEMORY:
        return "lost", f"takes {peak / 2**30:.2f} GiB"
    return end


def _work() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def _forget_peak() -> None:
    if os.path.exists("/proc/self/clear_refs"):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """The most memory since the last file, where the system tells it."""
    if not os.path.exists("/proc/self/status"):
        return 0
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _openers() -> dict[str, Open]:
    from deconvviz.cli.parts import read_parts
    from deconvviz.config import load_config
    from deconvviz.data import read_images
    from deconvviz.experiments.mining_state import Asked, open_state
    from deconvviz.models.files import load_model
    from deconvviz.training.state import restore_state

    model, optimizer = network()
    asked = Asked(("conv",), 3, 0)
    return {
        ".keras": load_model,
        ".h5": load_model,
        "state.npz": lambda path: restore_state(path, model, optimizer),
        "run.json": lambda path: _run(path, "run.json").record(),
        "metrics.csv": lambda path: _run(path, "metrics.csv").metrics().begin(step=5),
        "config.toml": load_config,
        "picture": lambda path: read_images([path], 8),
        "parts": read_parts,
        "search.npz": lambda path: open_state(path, asked, model),
    }


def _run(path: Path, name: str) -> Any:
    """A run's folder of which one small file is the mutated one."""
    from deconvviz.training.rundir import RunDirectory

    folder = path.parents[1] / f"run-{zlib.crc32(name.encode()):08x}-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").touch()
    (folder / name).write_bytes(path.read_bytes())
    return RunDirectory.open(folder)


if __name__ == "__main__":
    main()

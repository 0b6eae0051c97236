"""TensorFlow's start-up noise stays off the screen, and comes back when it is wanted."""

import subprocess
import sys

# A stand-in for TensorFlow: it writes to file descriptor 2 as TensorFlow's C++ does.
NOISY = """
import os, sys, types
from pathlib import Path
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            from importlib.machinery import ModuleSpec
            return ModuleSpec(name, self)
    def create_module(self, spec):
        return types.ModuleType(spec.name)
    def exec_module(self, module):
        if module.__name__ == "keras":
            return
        os.write(2, b"noise from C++\\n")
        if FAILS:
            raise ImportError("a library is missing")
        module.constant = lambda value: value
sys.meta_path.insert(0, Finder())
from deconvviz.cli.quiet import import_tensorflow
import_tensorflow(verbose=VERBOSE)
os.write(2, b"after\\n")
"""
SAID = "Loading TensorFlow\n"


def stderr(fails: bool, verbose: bool) -> str:
    program = NOISY.replace("FAILS", str(fails)).replace("VERBOSE", str(verbose))
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode == 0) is not fails
    return ended.stderr


def test_the_noise_is_kept_off_the_screen_and_later_words_are_not() -> None:
    assert stderr(fails=False, verbose=False) == f"{SAID}after\n"


def test_verbose_lets_it_through() -> None:
    assert stderr(fails=False, verbose=True) == f"{SAID}noise from C++\nafter\n"


def test_a_failure_brings_it_back() -> None:
    text = stderr(fails=True, verbose=False)
    assert text.startswith(f"{SAID}noise from C++\n")
    assert "a library is missing" in text

"""Keras's and Matplotlib's settings come from many places; none of them may change what we do."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from deconvviz.backend import own_process, require_importable, require_keras_on_tensorflow
from deconvviz.errors import DeconvvizError


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A process in which nothing has been imported or chosen."""
    for name in ("keras", "matplotlib"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("KERAS_BACKEND", "MPLBACKEND", "MATPLOTLIBRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return monkeypatch


def test_a_keras_that_runs_on_another_backend_is_refused(fresh: pytest.MonkeyPatch) -> None:
    keras = ModuleType("keras")
    keras.config = SimpleNamespace(backend=lambda: "jax")  # type: ignore[attr-defined]
    fresh.setitem(sys.modules, "keras", keras)
    with pytest.raises(DeconvvizError, match="'jax' here; deconvviz needs TensorFlow's"):
        require_keras_on_tensorflow()


@pytest.mark.parametrize("name", ["jax", "torch", "openvino"])
def test_a_backend_chosen_before_keras_is_imported_is_refused(
    name: str, fresh: pytest.MonkeyPatch
) -> None:
    fresh.setenv("KERAS_BACKEND", name)
    with pytest.raises(DeconvvizError, match=f"KERAS_BACKEND chooses Keras's backend '{name}'"):
        require_importable()
    fresh.setenv("KERAS_BACKEND", "tensorflow")
    require_importable()


def test_keras_json_chooses_where_the_environment_does_not(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require_importable()
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    with pytest.raises(DeconvvizError, match=r"keras\.json chooses Keras's backend 'torch'"):
        require_importable()
    fresh.setenv("KERAS_BACKEND", "tensorflow")
    require_importable()


@pytest.mark.parametrize("content", ["", "[]", "{", "{}"])
def test_a_keras_json_that_says_nothing_is_no_hindrance(
    content: str, fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keras.json").write_text(content)
    require_importable()


def test_a_backend_of_matplotlib_that_is_not_installed_is_refused(
    fresh: pytest.MonkeyPatch,
) -> None:
    fresh.setenv("MPLBACKEND", "module://no_such_notebook.backend_inline")
    with pytest.raises(DeconvvizError, match="Unset it, or set it to agg"):
        require_importable()
    fresh.setenv("MPLBACKEND", "agg")
    require_importable()


def test_our_own_process_chooses_for_itself(fresh: pytest.MonkeyPatch) -> None:
    for name in ("KERAS_BACKEND", "KERAS_HOME", "MPLBACKEND", "MATPLOTLIBRC"):
        fresh.setenv(name, "nonsense")
    own_process()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert "nonsense" not in [os.environ[name] for name in ("KERAS_HOME", "MPLBACKEND")]
    require_importable()

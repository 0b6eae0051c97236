"""What TensorBoard gives back is what was written, pixel for pixel."""

import contextlib
import io
import resource
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from deconvviz.errors import DeconvvizError
from deconvviz.render.tensorboard import EventLog


def test_tensorboard_lists_the_tags_with_their_descriptions(server: Any, written: Any) -> None:
    tags = server.ask_json("images/tags")["run"]
    assert set(tags) == {"source/cifar10", "filters/conv1"}
    assert written.description in tags["source/cifar10"]["description"]
    assert tags["source/cifar10"]["samples"] == 4


@pytest.mark.parametrize("sample", range(4))
def test_tensorboard_serves_the_pixels_of_every_step_that_was_written(
    server: Any, written: Any, sample: int
) -> None:
    query = {"run": "run", "tag": "source/cifar10", "sample": sample}
    served = server.ask_json("images/images", **query)
    assert [one["step"] for one in served] == list(written.steps)
    for one in served:
        blob = server.ask("images/individualImage", **dict(parse_qsl(one["query"])))
        shown = np.asarray(Image.open(io.BytesIO(blob)))
        np.testing.assert_array_equal(shown, written.pictures(one["step"])[sample])


def test_tensorboard_serves_the_scalars(server: Any, written: Any) -> None:
    points = server.ask_json("scalars/scalars", run="run", tag="train/loss")
    assert [step for _, step, _ in points] == list(written.steps)
    for _, step, value in points:
        assert value == np.float32(1 / (step + 1))


def test_tensorboard_serves_the_text_and_the_graph(server: Any) -> None:
    text = server.ask_json("text/text", run="run", tag="config")
    assert "<strong>steps</strong> = 500" in text[0]["text"]
    assert server.ask_json("graphs/info")["run"]["run_graph"]
    graph = server.ask("graphs/graph", run="run", conceptual="false").decode()
    assert 'name: "conv1"' in graph
    assert 'op: "Conv2D"' in graph


def _read(directory: Path) -> Any:
    """Read as TensorBoard's slower reader does, the one in Python."""
    reader = EventAccumulator(str(directory), size_guidance={"tensors": 0})
    reader.Reload()
    return reader


RESUMED = [(step, 1.0 if step <= 400 else 2.0) for step in range(50, 601, 50)]


def test_a_resumed_run_shows_no_step_twice(server: Any) -> None:
    points = server.ask_json("scalars/scalars", run="resumed", tag="train/loss")
    assert [(step, value) for _, step, value in points] == RESUMED


def test_a_resumed_run_shows_no_step_twice_in_the_python_reader(written: Any) -> None:
    points = _read(written.logdir / "resumed").Tensors("train/loss")
    assert [(p.step, float(make_ndarray(p.tensor_proto))) for p in points] == RESUMED


def test_what_was_reported_outlives_a_killed_run(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.scalar("train/loss", 0.5, 7)
    # Neither flush nor close: the file as a killed process leaves it.
    assert [point.step for point in _read(tmp_path).Tensors("train/loss")] == [7]
    log.flush()
    log.close()


def test_the_files_of_one_moment_keep_their_order(tmp_path: Path) -> None:
    for session in range(12):
        with EventLog(tmp_path, first_step=session) as log:
            log.scalar("x", session, session)
    assert [point.step for point in _read(tmp_path).Tensors("x")] == list(range(12))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 4, 4, 3), np.float32),
        np.zeros((1, 4, 4, 3), np.int64),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 1), np.uint8),
    ],
    ids=["floats", "ints", "one picture", "grey"],
)
def test_only_uint8_colour_batches_are_written(tmp_path: Path, pixels: Any) -> None:
    with EventLog(tmp_path) as log, pytest.raises(TypeError, match=r"uint8 \[n, h, w, 3\]"):
        log.images("source/x", pixels, 0, "")
    assert _read(tmp_path).Tags()["tensors"] == []


def test_a_tag_holds_one_kind_of_data(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.images("sanity/x", np.zeros((1, 2, 2, 3), np.uint8), 0, "")
        with pytest.raises(ValueError, match="a tag of its own"):
            log.text("sanity/x", "words", 0)


def test_a_directory_that_cannot_be_made_is_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeconvvizError, match=r"event file .* could not be written"):
        EventLog(tmp_path / "file" / "run")


def test_a_full_disk_is_told_in_plain_words_and_loses_nothing_written_before(
    tmp_path: Path,
) -> None:
    log = EventLog(tmp_path)
    log.scalar("x", 1.0, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 256, (1, 99, 99, 3), dtype=np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(DeconvvizError, match="Make room"):
            log.images("source/x", noise, 2, "")
        with contextlib.suppress(DeconvvizError):
            log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with EventLog(tmp_path, first_step=2) as log:
        log.scalar("x", 2.0, 2)
    assert [point.step for point in _read(tmp_path).Tensors("x")] == [1, 2]

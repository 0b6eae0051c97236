"""`deconvviz evolution`, and what training draws of the networks that it keeps."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deconvviz.cli.evolution import evolution
from deconvviz.errors import CheckpointError, DeconvvizError


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(evolution, list(map(str, arguments)))


@pytest.fixture(scope="module")
def evolving(
    run: Callable[..., None],
    tiny: Callable[..., list[str]],
    pictures: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run that kept three networks and drew two layers of each."""
    logs = tmp_path_factory.mktemp("logs")
    settings = tiny(
        "train.steps=6", "evolution.steps=[1, 4, 6]", 'evolution.layers=["conv1", "pool2"]',
        "evolution.features=[2, 5, 60]", "evolution.images=40",
    )  # fmt: skip
    run("train", "--name", "run", "--logdir", logs, "--data-dir", pictures, *settings)
    return logs / "run"


def pixels_at(folder: Path, tag: str) -> dict[int, list[bytes]]:
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {event.step: list(event.tensor_proto.string_val[2:]) for event in events.Tensors(tag)}


def test_looking_back_shows_what_training_showed(evolving: Path) -> None:
    assert len(list((evolving / "checkpoints").glob("step-*.keras"))) == 3
    ended = ask("--ckpt", evolving)
    assert ended.exit_code == 0, ended.output
    for layer in ("conv1", "pool2"):
        folder = evolving / "evolution" / f"folder-deconvnet-{layer}-40images"
        assert f"3 steps of {layer}: {folder / 'evolution.png'}" in ended.output
        while_training = pixels_at(evolving, f"evolution/{layer}")
        assert sorted(while_training) == [1, 4, 6]
        assert [len(shown) for shown in while_training.values()] == [3, 3, 3]
        assert pixels_at(folder, f"evolution/{layer}") == while_training


def test_each_step_is_searched_with_its_own_network(evolving: Path, pictures: Path) -> None:
    import deconvviz
    from deconvviz.config import load_config
    from deconvviz.data import Preprocess, load_dataset

    ended = ask("--ckpt", evolving, "--layer", "pool2", "--feature", 7, "--limit", 1000)
    assert ended.exit_code == 0, ended.output
    data = load_config(evolving / "config.toml").data
    images = load_dataset(data, 0).train.images
    name = f"folder-deconvnet-pool2-{len(images)}images-feature7"
    record = json.loads((evolving / "evolution" / name / "evolution.json").read_text())
    assert record["searched"] == len(images)
    inputs = Preprocess("standardize", 8)(images)
    for step, one in zip((1, 4, 6), record["steps"], strict=True):
        file = evolving / "checkpoints" / f"step-{step:08d}.keras"
        maps = deconvviz.Deconvnet(deconvviz.load_model(file)).activation(inputs, "pool2")[..., 7]
        image, y, x = np.unravel_index(maps.argmax(), maps.shape)
        assert (one["step"], one["image"], one["unit"]) == (step, [image], [[y, x]])
        assert one["activation"] == pytest.approx([maps.max()], rel=1e-5)


def test_stopping_draws_the_steps_that_were_searched(
    evolving: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deconvviz.cli.stopping import Stopped
    from deconvviz.experiments import evolution as experiment

    real = experiment.strongest_moment

    def interrupted(*arguments: Any) -> Any:
        if arguments[5] == 6:
            raise Stopped(signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(experiment, "strongest_moment", interrupted)
    ended = call("evolution", "--ckpt", evolving, "--layer", "pool1", "--feature", 0)
    assert ended.code == 143
    assert "2 of 3 steps" in ended.err
    assert "goes on from there" in ended.err
    (file,) = (evolving / "evolution").glob("folder-deconvnet-pool1-*/evolution.json")
    assert [step["step"] for step in json.loads(file.read_text())["steps"]] == [1, 4]


def test_other_features_of_the_same_layers_need_no_new_search(
    evolving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deconvviz.deconv.deconvnet import Deconvnet

    looked: list[int] = []
    real = Deconvnet.strongest

    def counted(self: Deconvnet, images: Any, layers: Any) -> Any:
        looked.append(len(images[0] if isinstance(images, tuple) else images))
        return real(self, images, layers)

    monkeypatch.setattr(Deconvnet, "strongest", counted)
    asked = ("--ckpt", evolving, "--layer", "conv2", "--limit", 30)
    for feature, expected in ((1, True), (2, False)):
        looked.clear()
        ended = ask(*asked, "--feature", feature)
        assert ended.exit_code == 0, ended.output
        assert (sum(looked) >= 3 * 30) == expected


def test_what_the_run_lacks_is_told_in_words(
    evolving: Path, tmp_path: Path, call: Any, tiny: Any, pictures: Path
) -> None:
    def refused(*arguments: object) -> str:
        ended = ask(*arguments)
        assert isinstance(ended.exception, DeconvvizError), ended.output
        return str(ended.exception)

    assert "features 0 to 63; received 64" in refused("--ckpt", evolving, "--feature", 64)
    assert "nowhere" in refused("--ckpt", evolving, "--layer", "nowhere")
    none_kept = shutil.copytree(evolving, tmp_path / "none")
    for file in (none_kept / "checkpoints").glob("step-*"):
        file.unlink()
    assert "kept no network" in refused("--ckpt", none_kept)
    stranger = shutil.copy(evolving / "checkpoints" / "last.keras", tmp_path / "mine.keras")
    assert "belongs to no run" in refused("--ckpt", stranger)
    with pytest.raises(CheckpointError):
        raise ask("--ckpt", tmp_path / "nothing").exception or AssertionError


def test_training_refuses_a_map_to_draw_before_it_makes_a_folder(
    call: Any, tiny: Any, pictures: Path, tmp_path: Path
) -> None:
    settings = tiny('evolution.layers=["conv3"]', "evolution.features=[2]")
    ended = call("train", "--logdir", tmp_path / "logs", "--data-dir", pictures, *settings)
    assert ended.code == 1
    assert "features 0 to 1; received 2" in ended.err
    assert not (tmp_path / "logs").exists()

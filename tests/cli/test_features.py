"""`deconvviz features` on a tiny trained run: what it draws, keeps and refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from deconvviz.errors import DeconvvizError

Ask = Callable[..., Any]


@pytest.fixture
def ask() -> Ask:
    """Call the command; a mendable failure gives its sentence and exit status 1."""
    from deconvviz.cli.features import features

    def asked(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(features, [*map(str, arguments)])
        if isinstance(result.exception, DeconvvizError):
            return 1, str(result.exception)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return asked


def test_all_layers_are_drawn_in_one_go(ask: Ask, trained: Path) -> None:
    code, out = ask("--ckpt", trained, "-k", 3)
    assert code == 0, out
    for layer in ("conv1", "pool1", "conv2", "pool2", "conv3"):
        folder = trained / "features" / f"folder-test-deconvnet-{layer}-k3"
        assert f"{layer}: " in out
        assert str(folder) in out or "nothing to draw" in out
    assert "pool3" not in out  # an average is no feature map of its own
    assert "tensorboard --logdir" in out


def test_the_winners_are_those_of_the_whole_activations(ask: Ask, trained: Path) -> None:
    import deconvviz
    from deconvviz.config import DataConfig
    from deconvviz.data import Preprocess, load_dataset
    from deconvviz.training.rundir import RunDirectory

    code, out = ask("--ckpt", trained, "--layer", "conv2", "--features", "0-2,9", "-k", 2)
    assert code == 0, out
    config: DataConfig = RunDirectory.open(trained).config().data
    dataset = load_dataset(config, 0)
    net = deconvviz.Deconvnet(deconvviz.load_model(trained))
    x = Preprocess(config.preprocess, config.crop)(dataset.test.images)
    activation = net.activation(x, "conv2").max(axis=(1, 2))
    folder = trained / "features" / "folder-test-deconvnet-conv2-maps0+1+2+9-k2"
    (file,) = folder.glob("*.json")
    record = json.loads(file.read_text())
    alive = [feature for feature in (0, 1, 2, 9) if activation[:, feature].max() > 0]
    assert [one["feature"] for one in record["maps"]] == alive
    for one in record["maps"]:
        strongest = np.lexsort((np.arange(len(x)), -activation[:, one["feature"]]))[:2]
        assert [winner["image"] for winner in one["winners"]] == strongest.tolist()
        for winner in one["winners"]:
            assert winner["label"] == dataset.classes[dataset.test.labels[winner["image"]]]
            value = activation[winner["image"], one["feature"]]
            assert winner["activation"] == pytest.approx(value, rel=1e-4)
    assert record["layer"] == "conv2"
    assert record["sha256"]


def test_pictures_of_ones_own_are_looked_through(ask: Ask, trained: Path, pictures: Path) -> None:
    files = sorted(pictures.rglob("*.png"))[:5]
    code, out = ask("--ckpt", trained, "--layer", "pool1", "-k", 2, "--images", *files)
    assert code == 0, out
    page, *_ = (trained / "features" / "images-deconvnet-pool1-k2").glob("*.json")
    record = json.loads(page.read_text())
    assert record["images"] == 5
    assert "class" not in record["maps"][0]
    assert record["maps"][0]["winners"][0]["label"] in {file.stem for file in files}


def test_what_was_found_is_not_sought_again(
    ask: Ask, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deconvviz.deconv.deconvnet import Deconvnet

    asked = ("--ckpt", trained, "--layer", "conv1", "-k", 1, "--limit", 10)
    assert ask(*asked)[0] == 0
    monkeypatch.setattr(Deconvnet, "strongest", None)  # whoever calls it fails
    code, out = ask(*asked, "--features", 3)
    assert code == 0, out
    with pytest.raises(TypeError):
        ask(*asked[:-1], 11)


def test_of_fewer_images_than_units_as_many_are_shown_and_it_is_said(
    ask: Ask, trained: Path, pictures: Path
) -> None:
    files = sorted(pictures.rglob("*.png"))[:3]
    code, out = ask("--ckpt", trained, "--layer", "conv1", "--images", *files)
    assert code == 0, out
    assert "There are 3 images, so 3 in place of 9 (-k)" in out
    (page, *_) = (trained / "features" / "images-deconvnet-conv1-k3").glob("*.json")
    assert all(len(one["winners"]) <= 3 for one in json.loads(page.read_text())["maps"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--features", "60-70"), ("70", "0 to 63", "conv1")),
        (("--layer", "nowhere"), ("nowhere", "conv1")),
        (("--layer", "softmax"), ("softmax",)),
        (("--preprocess", "wild"), ("wild", "standardize")),
    ],
)
def test_what_there_is_not_is_refused_in_words(
    options: tuple[Any, ...], words: tuple[str, ...], ask: Ask, trained: Path
) -> None:
    layer = () if "--layer" in options else ("--layer", "conv1")
    code, out = ask("--ckpt", trained, *layer, *options)
    assert code == 1, out
    assert out.count("\n") == 0
    for word in words:
        assert word in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--features", "5-2"), "0-15,40"),
        (("--features", "a"), "0-15,40"),
        (("-k", 0), "-k"),
        (("x.png",), "--images"),
        (("--images", "x.png", "--limit", 3), "--limit"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(
    options: tuple[Any, ...], words: str, ask: Ask, tmp_path: Path
) -> None:
    code, out = ask("--ckpt", tmp_path / "none.keras", *options)
    assert code == 2
    assert words in out

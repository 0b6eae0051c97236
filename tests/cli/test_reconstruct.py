"""`deconvviz reconstruct` on a trained run: what it writes, and that it is what it says."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def panels(png: Path) -> np.ndarray:
    """Read the exact pixels of a row back out of its enlarged picture: [panels, h, w, 3]."""
    layout = json.loads(png.with_suffix(".json").read_text())["layout"]
    picture = np.asarray(Image.open(png))
    height, width, factor = layout["panel_height"], layout["panel_width"], layout["factor"]
    read = []
    for panel in range(layout["panels"]):
        left = layout["left"] + panel * (width * factor + layout["gap"])
        block = picture[layout["top"] :, left:][: height * factor, : width * factor]
        read.append(block[::factor, ::factor])
    return np.stack(read)


def network_input(window: np.ndarray) -> np.ndarray:
    pixels = window.astype(np.float64)
    return ((pixels - pixels.mean()) / pixels.std()).astype(np.float32)[None]


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def written(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.png") if path.name != "all.png")


def test_every_test_image_becomes_a_row(call: Any, trained: Path) -> None:
    ended = call("reconstruct", "--ckpt", trained, "--limit", 4)
    assert ended.code == 0, ended.err
    folder = trained / "reconstructions" / "folder-test-deconvnet-pool1+pool2"
    assert str(folder) in ended.out
    assert len(written(folder)) == 4
    assert (folder / "all.png").exists()
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


def test_a_deconvnet_row_is_the_image_and_each_map_by_its_own_scale(
    call: Any, trained: Path
) -> None:
    import deconvviz

    assert call("reconstruct", "--ckpt", trained, "--limit", 2).code == 0
    folder = trained / "reconstructions" / "folder-test-deconvnet-pool1+pool2"
    net = deconvviz.Deconvnet(deconvviz.load_model(trained))
    for png in written(folder)[:2]:
        original, *maps = panels(png)
        record = json.loads(png.with_suffix(".json").read_text())
        for shown, layer in zip(maps, ("pool1", "pool2"), strict=True):
            scale = record["scales"][layer]
            values = net.reconstruct(network_input(original), layer)[0]
            assert np.isclose(scale, np.abs(values).max(), rtol=1e-4)
            expected = np.trunc(128 + 127 * values / np.abs(values).max())
            # The inputs are computed twice, in float64 here; a value may move by one level.
            assert np.abs(expected - shown).max() <= 1
        for words in ("pool1", "pool2", "deconvnet", "whole layer", "zero is grey"):
            assert words in record["caption"]
        assert record["step"] == 20


def test_a_classic_row_is_drawn_by_one_scale(call: Any, trained: Path) -> None:
    import deconvviz

    assert call("reconstruct", "--ckpt", trained, "--limit", 1, "--rules", "classic").code == 0
    folder = trained / "reconstructions" / "folder-test-classic-pool1+pool2"
    deconvnet = trained / "reconstructions" / "folder-test-deconvnet-pool1+pool2"
    assert call("reconstruct", "--ckpt", trained, "--limit", 1).code == 0
    inputs = network_input(panels(written(deconvnet)[0])[0])
    net = deconvviz.Deconvnet(deconvviz.load_model(trained), rules="classic")
    maps = [net.reconstruct(inputs, layer)[0] for layer in ("pool1", "pool2")]
    row = np.stack([inputs[0], *maps])
    expected = np.trunc(row * 127 / np.abs(row).max() + 128)
    assert np.abs(expected - panels(written(folder)[0])).max() <= 1


@pytest.mark.parametrize("rules", ["guided", "gradient"])
def test_a_layer_and_rules_can_be_chosen(rules: str, call: Any, trained: Path) -> None:
    ended = call(
        "reconstruct", "--ckpt", trained, "--limit", 1, "--rules", rules, "--layer", "conv2"
    )
    assert ended.code == 0, ended.err
    (png,) = written(trained / "reconstructions" / f"folder-test-{rules}-conv2")
    assert len(panels(png)) == 2
    assert rules in json.loads(png.with_suffix(".json").read_text())["caption"]


def test_pictures_of_ones_own_are_taken_several_at_a_time(
    call: Any, trained: Path, pictures: Path
) -> None:
    files = sorted(pictures.rglob("*.png"))[:3]
    ended = call("reconstruct", "--ckpt", trained, "--images", *files)
    assert ended.code == 0, ended.err
    rows = written(trained / "reconstructions" / "images-deconvnet-pool1+pool2")
    assert len(rows) == 3
    with Image.open(files[0]) as image:
        assert np.array_equal(panels(rows[0])[0], np.asarray(image)[2:10, 2:10])


def test_a_checkpoint_file_of_a_run_knows_its_run(call: Any, trained: Path) -> None:
    ended = call("reconstruct", "--ckpt", trained / "checkpoints" / "best.keras", "--limit", 1)
    assert ended.code == 0, ended.err
    assert str(trained / "reconstructions") in ended.out


@pytest.mark.parametrize(
    ("inside", "named"),
    [
        (".", "."),
        (".", "checkpoints/last.keras"),
        ("checkpoints", "last.keras"),
        ("checkpoints", "../checkpoints/last.keras"),
        ("..", "tiny/checkpoints/last.keras"),
    ],
)
def test_a_relative_path_of_a_checkpoint_knows_its_run(
    inside: str, named: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deconvviz.cli.checkpoint import run_of

    monkeypatch.chdir(trained / inside)
    run = run_of(Path(named))
    assert run is not None
    assert run.samefile(trained)


def test_a_link_to_a_checkpoint_knows_its_run(trained: Path, tmp_path: Path) -> None:
    from deconvviz.cli.checkpoint import run_of

    link = tmp_path / "link.keras"
    link.symlink_to(trained / "checkpoints" / "best.keras")
    assert run_of(link) == trained
    link.unlink()
    link.write_bytes(b"")
    assert run_of(link) is None


def test_a_file_that_belongs_to_no_run_gets_a_folder_of_its_own(
    call: Any, trained: Path, pictures: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.keras"
    file.write_bytes((trained / "checkpoints" / "last.keras").read_bytes())
    ended = call(
        "reconstruct", "--ckpt", file, "--preprocess", "standardize", "--logdir", tmp_path / "logs",
        "--images", next(pictures.rglob("*.png")),
    )  # fmt: skip
    assert ended.code == 0, ended.err
    folder = tmp_path / "logs" / "mine" / "reconstructions"
    assert len(written(folder / "images-deconvnet-pool1+pool2-standardize")) == 1


def test_reconstructing_again_leaves_one_event_file(call: Any, trained: Path) -> None:
    for _ in range(2):
        assert call("reconstruct", "--ckpt", trained, "--limit", 1, "--layer", "pool1").code == 0
    folder = trained / "reconstructions" / "folder-test-deconvnet-pool1"
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


def test_every_checkpoint_of_a_run_knows_its_step(call: Any, trained: Path) -> None:
    folder = trained / "reconstructions" / "folder-test-deconvnet-conv1"
    kept = sorted((trained / "checkpoints").glob("step-*.keras"))[1]
    own = int(kept.stem.removeprefix("step-"))
    evaluated = [row for row in metrics(trained) if row["test_accuracy"]]
    best = int(max(evaluated, key=lambda row: float(row["test_accuracy"]))["step"])
    for file, step in (("last.keras", 20), ("best.keras", best), (kept.name, own)):
        ckpt = trained / "checkpoints" / file
        assert call("reconstruct", "--ckpt", ckpt, "--limit", 1, "--layer", "conv1").code == 0
        record = json.loads(written(folder)[0].with_suffix(".json").read_text())
        assert record["step"] == step
        assert record["checkpoint"] == str(ckpt)


def test_the_page_speaks_of_the_rows_that_it_shows(
    call: Any, trained: Path, pictures: Path
) -> None:
    files = sorted(pictures.rglob("*.png"))[:18]
    ended = call("reconstruct", "--ckpt", trained, "--layer", "pool2", "--images", *files)
    assert ended.code == 0, ended.err
    folder = trained / "reconstructions" / "images-deconvnet-pool2"
    page = json.loads((folder / "all.json").read_text())
    each = [json.loads(png.with_suffix(".json").read_text()) for png in written(folder)]
    assert len(each) == 18
    assert page["scales"]["pool2"] == [one["scales"]["pool2"] for one in each[:16]]


def test_a_later_call_leaves_no_rows_of_an_earlier_one(call: Any, trained: Path) -> None:
    folder = trained / "reconstructions" / "folder-test-deconvnet-conv2"
    for limit in (3, 1):
        assert (
            call("reconstruct", "--ckpt", trained, "--limit", limit, "--layer", "conv2").code == 0
        )
        assert len(written(folder)) == limit
        assert len(list(folder.glob("*.json"))) == limit + 1


def test_other_settings_go_to_other_folders(call: Any, trained: Path) -> None:
    asked = ("reconstruct", "--ckpt", trained, "--limit", 1, "--layer", "conv2")
    assert call(*asked, "--preprocess", "mean=127.5,std=64").code == 0
    assert call(*asked, "--nonlinear", "gradient").code == 0
    for settings in ("mean_127.5_std_64", "nonlinear"):
        name = f"folder-test-deconvnet-conv2-{settings}"
        assert len(written(trained / "reconstructions" / name)) == 1

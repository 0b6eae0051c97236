"""An error says what was wrong and what to do, in a few lines, and its advice can be followed."""

import re
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

from deconvviz.cli.commands import cli

CONTEXT = click.Context(cli)
LONGEST = 300  # characters that a person reads


def names_of(command: str) -> set[str]:
    found = cli.get_command(CONTEXT, command)
    assert found is not None, command
    return {flag for param in found.params for flag in param.opts}


def assert_fit_to_read(said: str, command: str, *paths: Path) -> None:
    """Hold an error to its length, its plurals, and to advice that this command takes.

    A path is a person's own and as long as they made it, so it counts for nothing.
    """
    text = said.removeprefix("Error: ").strip()
    for path in sorted(map(str, paths), key=len, reverse=True):
        text = text.replace(path, "x")
    for line in text.split("\n"):
        assert len(line) < LONGEST, (len(line), line)
    assert not re.search(
        r"\b1 (image|row|file|layer|picture|value|step|input|class directorie|pixel|channel)s\b",
        text,
    ), text
    other = re.findall(r"deconvviz (\w+)((?: --[a-z-]+)*)", text)
    for name, flags in other:
        assert set(flags.split()) <= names_of(name), text
    advised = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    for _, flags in other:
        advised -= set(flags.split())
    assert advised <= names_of(command) | names_of("inspect"), (advised, text)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of sixty layers, one of which no rules define, for images of an open height."""
    import keras

    x = images = keras.Input((None, 80, 1))
    for number in range(30):
        x = keras.layers.Conv2D(2, 1, name=f"convolution_of_stage_{number}")(x)
        x = keras.layers.LeakyReLU(name=f"leaky_of_stage_{number}")(x)
    path = tmp_path_factory.mktemp("many") / "many.keras"
    keras.Model(images, x).save(path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two layers, quick to open."""
    import keras

    images = keras.Input((None, 80, 1))
    x = keras.layers.LeakyReLU(name="leaky")(keras.layers.Conv2D(2, 1, name="conv")(images))
    path = tmp_path_factory.mktemp("small") / "small.keras"
    keras.Model(images, x).save(path)
    return path


@pytest.fixture
def picture(pictures: Path) -> Path:
    return next(pictures.rglob("*.png"))


def test_all_that_is_missing_stands_in_one_message(call: Any, many: Path, picture: Path) -> None:
    ended = call("features", "--ckpt", many, "-k", 9, "--layer", "conv_9", "--images", picture)
    assert ended.code == 1
    first, *problems = ended.err.splitlines()
    assert "3 things to mend" in first
    assert_fit_to_read(ended.err, "features", many, picture)
    for problem, words in zip(
        problems,
        ("--preprocess", "--size 224x80", "Did you mean convolution_of_stage_"),
        strict=True,
    ):
        assert words in problem
    none = call("features", "--ckpt", many)
    assert none.code == 1
    for words in ("--images", "--dataset", "--preprocess"):
        assert words in none.err
    assert_fit_to_read(none.err, "features", many)


def test_the_advice_on_a_size_can_be_followed(
    call: Any, small: Path, picture: Path, tmp_path: Path
) -> None:
    asked: tuple[Any, ...] = ("reconstruct", "--ckpt", small, "--preprocess", "raw")
    asked += ("--images", picture, "--logdir", tmp_path, "--layer", "conv")
    for size in ((), ("--size", 224)):
        ended = call(*asked, *size)
        assert ended.code == 1
        assert "images any pixels high and 80 wide" in ended.err
        (advice,) = re.findall(r"--size \d+x\d+", ended.err)
    ended = call(*asked, *advice.split())
    assert ended.code == 0, ended.err
    assert "1 row, " in ended.out


def test_a_layer_without_a_rule_is_refused_in_few_words_and_its_advice_works(
    call: Any, small: Path, picture: Path, tmp_path: Path
) -> None:
    asked: tuple[Any, ...] = ("reconstruct", "--ckpt", small, "--preprocess", "raw")
    asked += ("--images", picture, "--size", "9x80", "--logdir", tmp_path, "--layer", "leaky")
    ended = call(*asked)
    assert ended.code == 1
    assert_fit_to_read(ended.err, "reconstruct", small, picture)
    for advice in ("--nonlinear gradient", "--rules gradient"):
        assert advice in ended.err
        assert call(*asked, *advice.split()).code == 0


def test_the_advice_to_skip_broken_pictures_can_be_followed(
    call: Any, small: Path, pictures: Path, tmp_path: Path
) -> None:
    shutil.copytree(pictures, tmp_path / "pictures")
    (tmp_path / "pictures" / "dark" / "x.png").write_text("no picture")
    asked: tuple[Any, ...] = ("reconstruct", "--ckpt", small, "--preprocess", "raw")
    asked += ("--size", "9x80", "--layer", "conv", "--logdir", tmp_path)
    asked += ("--dataset", "folder", "--data-dir", tmp_path / "pictures")
    ended = call(*asked)
    assert ended.code == 1
    assert "--skip-broken" in ended.err
    ended = call(*asked, "--skip-broken")
    assert ended.code == 0, ended.err
    assert "Left out 1 file that cannot be read" in ended.err


# What a person may give wrongly; {folder} holds what `strange` made.
MISTAKES = [
    "reconstruct --ckpt {folder}/none.keras --dataset photos",
    "reconstruct --ckpt {folder} --dataset photos",
    "reconstruct --ckpt {folder}/text.keras --dataset photos",
    "reconstruct --ckpt {folder}/empty.keras --dataset photos",
    "reconstruct --ckpt {small} --images {folder}/text.png --preprocess raw",
    "reconstruct --ckpt {small} --images {folder}/none.png --preprocess raw",
    "reconstruct --ckpt {small} --images {folder} --preprocess raw",
    "reconstruct --ckpt {small} --images {picture} --preprocess wild",
    "reconstruct --ckpt {small} --images {picture} --preprocess mean=1,2,std=1,2,3",
    "reconstruct --ckpt {small} --images {picture} --preprocess mean=x,std=1",
    "reconstruct --ckpt {small} --dataset folder --preprocess raw",
    "reconstruct --ckpt {small} --images {picture} --preprocess raw --size 9999x80",
    "reconstruct --ckpt {small} --images {picture} --preprocess raw --size 5x5",
    "reconstruct --ckpt {small} --images {picture} --preprocess raw --size 20x80 --fit crop",
    "reconstruct --ckpt {small} --images {picture} --preprocess raw --size 9x80",
    "features --ckpt {small} --images {picture} --preprocess caffe --size 9x80",
    "invariance --ckpt {small} --images {picture} --preprocess raw --size 9x80",
    "occlusion --ckpt {small} --images {picture} --preprocess raw --size 9x80",
    "sanity --ckpt {small} --images {picture} {picture} --preprocess raw --size 9x80",
    "inspect --ckpt {small} --dataset folder",
    "inspect --ckpt {small} --dataset folder --data-dir {folder}/none --size 9x80",
    "inspect --ckpt {small} --dataset folder --data-dir {folder}/one --size 9x80",
    "inspect --ckpt {small} --dataset folder --data-dir {folder}/broken --size 9x80",
    "evolution --ckpt {small}",
    "evolution --ckpt {folder}/none",
    "correspondence --ckpt {small} --parts {folder}/none.toml",
    "correspondence --ckpt {small} --parts {folder}/text.png",
    "correspondence --ckpt {small} --parts {folder}/one.toml",
    "correspondence --ckpt {small} --parts {folder}/other.toml",
    "correspondence --ckpt {small} --parts {folder}/odd.toml",
    "correspondence --ckpt {small} --parts {folder}/files.toml --preprocess raw --size 9x80",
    "train --config {folder}/none.toml",
    "train --config {folder}/text.png",
    "train --set train.stepz=1",
    "train --set nonsense.steps=1",
    "train --set steps=1",
    "train --set train.steps=0",
    "train --set pictures.scale=[1.0]",
    "train --set data.name=folder",
    "train --set data.name=folder --data-dir {folder}/one",
    "train --set data.name=folder --data-dir {folder}/broken",
    "train --set data.name=folder --data-dir {folder}/valonly",
    "train --resume {folder}",
    "train --name a/b --set data.name=folder --data-dir {pictures} --set train.batch_size=8",
    "data import {folder}/none.tar.gz --data-dir {folder}",
    "data import {folder}/text.png --data-dir {folder}",
]


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Files and folders of many a wrong kind."""
    folder = tmp_path_factory.mktemp("strange")
    for name in ("text.keras", "text.png", "broken/a/0.png", "broken/b/0.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("[no picture and no model")
    (folder / "empty.keras").touch()
    for name in ("one/alone", "valonly/val/a", "valonly/test/a"):
        (folder / name).mkdir(parents=True)
    box, file = "[0, 0, 5, 5]", next(pictures.rglob("*.png"))
    first = f'[[image]]\nfile = "{file}"\nparts = {{nose = {box}}}\n'
    for name, text in {
        "one": first,
        "odd": f"{first}[[image]]\nindex = 1\nparts = {{ear = {box}}}\n",
        "other": f"{first}[[image]]\nindexx = 1\nparts = {{nose = {box}}}\n",
        "files": f'{first}[[image]]\nfile = "{file}"\nparts = {{nose = [0, 0, 50, 50]}}\n',
    }.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_few_words_whose_advice_this_command_takes(
    mistake: str,
    call: Any,
    small: Path,
    picture: Path,
    pictures: Path,
    strange: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"folder": strange, "small": small, "picture": picture, "pictures": pictures}
    ended = call(*mistake.format(**paths).split())
    assert ended.code == 1, ended
    said = ended.err[ended.err.index("Error: ") :]
    assert_fit_to_read(said, mistake.split()[0], *paths.values())
    assert "Traceback" not in ended.err


OF_A_RUN = [
    "reconstruct --layer nowhere",
    "reconstruct --layer softmax",
    "reconstruct --layer conv1 --feature 999",
    "reconstruct --layer conv1 --feature 1 --at 99,99",
    "reconstruct --dataset folder --data-dir none",
    "features --layer conv1 --features 60-70",
    "evolution --layer nowhere",
    "evolution --layer conv1 --feature 999",
    "occlusion --square 999",
    "occlusion --square 2 --stride 99",
    "occlusion --feature 999",
    "invariance --layer nowhere",
    "sanity --feature 999",
    "sanity --dataset photos --layer nowhere",
]


@pytest.mark.parametrize("mistake", OF_A_RUN)
def test_a_mistake_about_a_run_is_told_in_few_words(
    mistake: str, call: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *options = mistake.split()
    ended = call(name, "--ckpt", trained, *options)
    assert ended.code == 1, ended
    said = ended.err[ended.err.index("Error: ") :]
    assert_fit_to_read(said, name, trained)

"""What the README tells people to type is what works."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [
    line.split("#")[0].strip()
    for block in blocks("sh")
    for line in block.splitlines()
    if line.startswith("deconvviz ")
]


def test_the_readme_shows_every_command() -> None:
    from deconvviz.cli.commands import cli

    shown = {command.split()[1] for command in COMMANDS}
    assert shown == set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_has_only_options_that_exist(command: str) -> None:
    from deconvviz.cli.commands import cli

    name, *arguments = shlex.split(command)[1:]
    context = click.Context(cli)
    found = cli.get_command(context, name)
    assert found is not None
    while isinstance(found, click.Group):
        found = found.get_command(context, arguments.pop(0))
        assert found is not None
    found.make_context(name, arguments)  # raises click.UsageError


def test_the_readmes_python_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import keras
    from PIL import Image

    import deconvviz
    from deconvviz.config import ModelConfig
    from deconvviz.models.classic import classic_network

    class MyAffineLayer(keras.layers.Layer):
        pass

    model = classic_network(ModelConfig(), (24, 24, 3), 10)
    monkeypatch.setattr(deconvviz, "load_model", lambda path: model, raising=False)
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save("cat.jpg")
    names: dict[str, Any] = {"MyAffineLayer": MyAffineLayer}
    for block in blocks("python"):
        exec(block, names)
    assert names["whole"].shape == names["unit"].shape == (1, 24, 24, 3)


def test_the_readmes_parts_can_be_read(tmp_path: Path) -> None:
    from deconvviz.cli.parts import read_parts

    (text,) = blocks("toml")
    (tmp_path / "faces.toml").write_text(text)
    marked = read_parts(tmp_path / "faces.toml")
    assert [one.file for one in marked] == [tmp_path / "a.png", tmp_path / "b.png"]


def test_a_file_of_the_readme_is_always_scaled_in_the_same_way() -> None:
    scaled = [
        re.findall(r"--preprocess (\S+)", command)
        for command in COMMANDS
        if "--ckpt cnn.keras" in command and "inspect" not in command
    ]
    assert len(scaled) > 1
    assert all(one == scaled[0] for one in scaled)


def test_the_readmes_first_picture_is_what_the_quickstart_draws() -> None:
    root = Path(__file__).parents[1]
    quickstart = (root / "scripts" / "quickstart").read_text()
    pictures = (root / "scripts" / "readme_pictures").read_text()
    assert '{astronaut,chelsea,coffee}.png "$photos/rocket.jpg"' in quickstart
    drawn = "reconstructions/images-deconvnet-pool1+pool2/all.png"
    assert f'cp "$run/{drawn}" docs/pictures/quickstart.png' in pictures
    assert README.index("docs/pictures/quickstart.png") < README.index("scripts/quickstart")


def test_every_file_that_the_readme_links_to_exists() -> None:
    for target in re.findall(r"(?:\]\(|src=\"|href=\")([^)#:\"]+)", README):
        assert (Path(__file__).parents[1] / target).exists(), target

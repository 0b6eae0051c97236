"""An option that another one leaves without a meaning is refused, and no other one is lost."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from deconvviz.cli.asked import Asked, ask
from deconvviz.cli.command import command
from deconvviz.cli.commands import cli
from deconvviz.cli.options import IMAGES, PREPARED, SOURCE
from deconvviz.config import RunConfig, to_toml

CONTEXT = click.Context(cli)
COMMANDS = {
    name: found
    for name in cli.list_commands(CONTEXT)
    if not isinstance(found := cli.get_command(CONTEXT, name), click.Group) and found
}
FIGURES = ("reconstruct", "features", "invariance", "occlusion", "sanity")
# An option's words, where its first value is not of use.
VALUES = {
    "--split": "test", "--dataset": "photos", "--fit": "resize", "--limit": "3", "--size": "24",
    "--rules": "deconvnet", "--nonlinear": "refuse",
}  # fmt: skip


def refused(name: str, *arguments: object) -> str:
    ended = CliRunner().invoke(cli, [name, *map(str, arguments)])
    assert ended.exit_code == 2, (ended.output, ended.exception)
    return " ".join(ended.output.split())


def run_on(data: str, folder: Path) -> Path:
    """Make a run's folder, which holds no network yet; the options are looked at before it."""
    folder.mkdir()
    settings = {"name": data, "dir": folder if data == "folder" else None}
    (folder / "config.toml").write_text(to_toml(RunConfig.model_validate({"data": settings})))
    return folder


SINGLE = [
    (name, option)
    for name, found in COMMANDS.items()
    for option in found.params
    if isinstance(option, click.Option) and not option.multiple and not option.is_flag
]


@pytest.mark.parametrize(
    ("name", "option"), SINGLE, ids=[f"{name} {option.opts[0]}" for name, option in SINGLE]
)
def test_an_option_that_takes_one_value_is_refused_where_it_is_given_twice(
    name: str, option: click.Option
) -> None:
    flag = option.opts[-1]
    value = VALUES.get(flag, "1")
    assert f"{flag} is given 2 times" in refused(name, flag, value, flag, value)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("flag", ["--dataset", "--split", "--data-dir", "--limit", "--skip-broken"])
def test_pictures_of_ones_own_have_no_data_set(name: str, flag: str) -> None:
    value = () if flag == "--skip-broken" else (VALUES.get(flag, "."),)
    said = refused(name, "--ckpt", "a.keras", "--images", "a.png", "b.png", flag, *value)
    assert f"leave out {flag}" in said


@pytest.mark.parametrize("name", [*FIGURES, "correspondence"])
def test_a_run_has_its_size_and_its_data_come_at_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "parts.toml").write_text(
        "".join(f"[[image]]\nindex = {i}\nparts = {{a = [0, 0, 9, 9]}}\n" for i in range(2))
    )
    parts = ("--parts", tmp_path / "parts.toml") if name == "correspondence" else ()
    run = run_on("cifar10", tmp_path / "run")
    for flags in (("--size", 24), ("--fit", "resize"), ("--skip-broken",)):
        assert f"leave out {flags[0]}" in refused(name, "--ckpt", run, *parts, *flags)
    own = (name, "--ckpt", run, *parts, "--dataset", "photos")
    assert "leave out --data-dir" in refused(*own, "--data-dir", ".")
    assert "leave out --fit" in refused(*own, "--fit", "crop")


def test_a_run_on_photographs_has_no_directory(tmp_path: Path) -> None:
    run = run_on("photos", tmp_path / "run")
    for name in ("evolution", "occlusion"):
        assert "leave out --data-dir" in refused(name, "--ckpt", run, "--data-dir", ".")
    assert "leave out --data-dir" in refused("train", "--resume", run, "--data-dir", ".")


def test_parts_of_files_alone_need_no_data_set(tmp_path: Path) -> None:
    parts = tmp_path / "parts.toml"
    parts.write_text(
        "".join(f'[[image]]\nfile = "{i}.png"\nparts = {{a = [0, 0, 9, 9]}}\n' for i in range(2))
    )
    for flag, value in (("--dataset", "photos"), ("--split", "test"), ("--data-dir", ".")):
        said = refused("correspondence", "--ckpt", "a.keras", "--parts", parts, flag, value)
        assert f"names files and no index; leave out {flag}" in said


@pytest.mark.parametrize("flag", ["--split", "--data-dir", "--limit", "--fit", "--size"])
def test_inspect_looks_at_no_image_without_a_data_set(flag: str) -> None:
    said = refused("inspect", "--ckpt", "a.keras", flag, VALUES.get(flag, "."))
    assert f"Without --dataset no image is looked at; leave out {flag}" in said


@pytest.mark.parametrize("name", ["reconstruct", "features", "occlusion", "sanity"])
def test_the_gradient_needs_no_gradient_in_a_rules_place(name: str) -> None:
    both = ("--rules", "gradient", "--nonlinear", "refuse")
    assert "leave out --nonlinear" in refused(name, "--ckpt", "a.keras", *both)


def test_a_place_needs_its_feature_map() -> None:
    assert "--feature" in refused("reconstruct", "--ckpt", "a.keras", "--at", "max")


def test_a_resumed_run_has_its_own_settings_and_folder() -> None:
    for flags in (("--config", "a"), ("--name", "a"), ("--logdir", "logs")):
        assert f"leave out {flags[0]}" in refused("train", "--resume", "logs/x", *flags)


@pytest.mark.parametrize(
    "flags",
    [
        ("--set", "data.dir=a", "--data-dir", "b"),
        ("--set", "data.skip_broken=false", "--skip-broken"),
    ],
)
def test_a_value_comes_from_one_option(flags: tuple[str, ...]) -> None:
    assert f"--set gives {flags[1].split('=')[0]}; leave out {flags[2]}" in refused("train", *flags)


def test_training_on_built_in_photographs_takes_no_directory() -> None:
    chosen = ("--set", "data.name=photos")
    ended = CliRunner().invoke(cli, ["train", *chosen, "--data-dir", "."])
    assert "the photographs are built in" in str(ended.exception)


@pytest.mark.parametrize(
    "words",
    [
        "--images a b -c d",
        "--images a --images b -c d",
        "--images a b --fit crop --images=c d",
        "--verbose --images a b c d",
        "--images -- b",
        "--images a -- b",
    ],
)
def test_all_pictures_are_taken_in_their_order(words: str) -> None:
    taken: list[Any] = []

    @command()
    @ask
    @SOURCE
    @IMAGES
    @PREPARED
    @click.option("-c")
    def look(asked: Asked, c: str | None) -> None:
        taken.extend(map(str, asked.files))
        taken.extend([f"c={c}"] if c else [])

    ended = CliRunner().invoke(look, ["--ckpt", "x", *words.split()])
    wanted = {
        "--images a b -c d": ["a", "b", "c=d"],
        "--images a --images b -c d": ["a", "b", "c=d"],
        "--images a b --fit crop --images=c d": ["a", "b", "c", "d"],
        "--verbose --images a b c d": ["a", "b", "c", "d"],
        "--images -- b": ["--", "b"],
    }
    if words not in wanted:
        assert "Unexpected b; pictures go behind --images" in ended.output
    else:
        assert taken == wanted[words], ended.output


@pytest.mark.parametrize("name", [*FIGURES, "correspondence", "inspect", "evolution", "train"])
def test_every_command_that_reads_a_folder_can_leave_broken_pictures_out(name: str) -> None:
    flags = {flag for param in COMMANDS[name].params for flag in param.opts}
    assert {"--data-dir", "--skip-broken"} <= flags


def test_images_of_the_networks_size_are_not_fitted() -> None:
    from types import SimpleNamespace

    import numpy as np

    from deconvviz.cli.pictures import refuse_fit

    data: Any = SimpleNamespace(
        name="cifar10", test=SimpleNamespace(images=np.zeros((1, 32, 32, 3), np.uint8))
    )

    @command()
    @click.option("--fit")
    @click.option("--side", type=int)
    def look(fit: str, side: int) -> None:
        refuse_fit(data, (side, side, 3))

    for side, code in ((32, 2), (48, 0)):
        ended = CliRunner().invoke(look, ["--side", str(side), "--fit", "resize"])
        assert ended.exit_code == code, ended.output

"""`deconvviz train --help` lists every key that `--set` takes, with its default."""

from click.testing import CliRunner

from deconvviz.cli.commands import cli
from deconvviz.cli.settings import settings
from deconvviz.config import RunConfig, load_config

KEYS = {
    f"{section}.{key}"
    for section, values in RunConfig().model_dump().items()
    for key in values
}  # fmt: skip


def test_every_key_is_in_the_help() -> None:
    ended = CliRunner().invoke(cli, ["train", "--help"], terminal_width=80)
    assert ended.exit_code == 0
    for key in KEYS:
        assert f"  {key} = " in ended.output
    assert "cifar10 | photos | folder" in ended.output
    assert max(map(len, ended.output.splitlines())) <= 80


def test_every_default_that_is_listed_is_the_default() -> None:
    listed = dict(line.split(" = ", 1) for line, _ in settings())
    assert set(listed) == KEYS
    given = [f"{key}={value}" for key, value in listed.items() if value != "(none)"]
    assert load_config(None, given) == RunConfig()

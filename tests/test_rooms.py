"""The map of rooms in docs/architecture.md, enforced by reading the imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deconvviz"

# Lowest first. A room imports from the floors below it; those on one floor do not know each other.
FLOORS = (
    {"errors", "listing", "wording"},
    {"toml_text", "locks", "received"},
    {"atomic", "backend", "config"},
    {"data", "deconv", "render"},
    {"models"},
    {"experiments"},
    {"drawings"},
    {"training"},
    {"cli"},
    {"__main__"},
)
LEVEL = {room: level for level, floor in enumerate(FLOORS) for room in floor}

# What a room may not know although it stands on a higher floor, or comes from elsewhere.
STRANGERS = {
    "errors": {"tensorflow", "keras"},
    "listing": {"tensorflow", "keras"},
    "config": {"tensorflow", "keras"},
    "deconv": {"PIL", "tensorboard", "click", "rich"},
    "render": {"tensorflow", "keras", "click"},
    "data": {"keras", "tensorboard", "click"},
    "models": {"deconvviz.data", "tensorboard", "click"},
    "experiments": {"deconvviz.render", "PIL", "tensorboard", "click"},
    "training": {"click"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import, which this test cannot follow"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def knows(module: Path, name: str) -> bool:
    return any(f"{found}.".startswith(f"{name}.") for found in imports(module))


def named(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("module", [m for m in MODULES if m != PACKAGE / "__init__.py"], ids=named)
def test_a_room_imports_only_from_the_floors_below(module: Path) -> None:
    room = room_of(module)
    assert room in LEVEL, f"{room} has no floor in this test's map and in docs/architecture.md"
    above = {other for other in LEVEL if other != room and LEVEL[other] >= LEVEL[room]}
    assert not [other for other in sorted(above) if knows(module, f"deconvviz.{other}")]


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) in STRANGERS], ids=named)
def test_a_room_does_not_import_what_it_must_not_know(module: Path) -> None:
    assert not [name for name in sorted(STRANGERS[room_of(module)]) if knows(module, name)]


def test_composing_needs_nothing_but_numpy() -> None:
    allowed = {"numpy", "deconvviz", *sys.stdlib_module_names}
    for name in ("compose", "scaling"):
        found = set(imports(PACKAGE / "render" / f"{name}.py"))
        assert {one.partition(".")[0] for one in found} <= allowed


# One process asks for the help of every command there is, so that none is forgotten.
HELP = """
import sys, click, deconvviz
from click.testing import CliRunner
from deconvviz.cli.commands import cli

def ask(command, path=()):
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0 and "Usage" in result.output, (path, result.output)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            ask(command.get_command(context, name), (*path, name))
            asked.append(name)

asked = []
ask(cli)
assert "train" in asked and "unpool" in asked, asked
heavy = {"tensorflow", "keras", "tensorboard", "PIL", "skimage"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def test_asking_for_help_imports_no_tensorflow() -> None:
    result = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

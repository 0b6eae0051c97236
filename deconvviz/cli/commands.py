"""Every command's name, its file, and the line that the overview shows."""

from difflib import get_close_matches
from importlib import import_module
from shutil import get_terminal_size
from typing import Any

import click

from deconvviz import __version__

_WIDEST, _NARROWEST = 80, 30  # columns of help

# name: (module, object, the line that the overview shows)
_COMMANDS = {
    "train": ("deconvviz.cli.train", "train", "Train a network and watch its layers form."),
    "reconstruct": (
        "deconvviz.cli.reconstruct",
        "reconstruct",
        "Run a trained network's layers back to pixels.",
    ),
    "inspect": (
        "deconvviz.cli.inspect",
        "inspect",
        "See what a model file holds, and how it wants its images.",
    ),
    "features": (
        "deconvviz.cli.features",
        "features",
        "Show what each feature map responds to most.",
    ),
    "evolution": (
        "deconvviz.cli.evolution",
        "evolution",
        "Watch feature maps form over a run's kept steps.",
    ),
    "invariance": (
        "deconvviz.cli.invariance",
        "invariance",
        "See how far features move when images are moved, enlarged and turned.",
    ),
    "occlusion": (
        "deconvviz.cli.occlusion",
        "occlusion",
        "See what a network loses under a sliding square.",
    ),
    "correspondence": (
        "deconvviz.cli.correspondence",
        "correspondence",
        "See whether a network knows that parts correspond.",
    ),
    "sanity": ("deconvviz.cli.sanity", "sanity", "Check what a network's pictures prove."),
    "data": ("deconvviz.cli.data", "data", "Bring data in without a network connection."),
    "demo": ("deconvviz.cli.demo", "demo", "Small worked examples, with their numbers."),
}


class Suggesting(click.Group):
    """A group that names the command nearest to one that it does not know."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names; see `click.Group`."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            near = get_close_matches(args[0], names, 1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


class _Lazy(Suggesting):
    """A group that knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (*_, line) in _COMMANDS.items()])


class _Formatter(click.HelpFormatter):
    """Help that stays within a narrow terminal, where click's own is 50 columns wide at least."""

    def __init__(self, **_: Any) -> None:
        columns = get_terminal_size().columns
        super().__init__(width=max(min(columns, _WIDEST) - 2, _NARROWEST))

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of names and what they mean; see `click.HelpFormatter`."""
        super().write_dl(rows, min(col_max, self.width * 2 // 5), col_spacing)


click.Context.formatter_class = _Formatter


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deconvviz")
def cli() -> None:
    """See what the layers of a Keras CNN have learnt.

    deconvviz trains a network on CIFAR-10 or photographs, runs its activations back to pixels
    (Zeiler & Fergus 2013), and shows them in TensorBoard and in pictures.
    """

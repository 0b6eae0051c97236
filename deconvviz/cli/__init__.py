"""The command line: parse, load the configuration, call one library function, say where it lies.

A command's module is imported when the command runs, so that `--help` answers at once and
TensorFlow loads only where it is needed.
"""

import sys
from importlib import import_module

import click

from deconvviz import __version__
from deconvviz.errors import DeconvvizError

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


class _Lazy(click.Group):
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


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deconvviz")
def cli() -> None:
    """See what the layers of a Keras CNN have learnt.

    deconvviz trains a network on CIFAR-10 or photographs, runs its activations back to pixels
    (Zeiler & Fergus 2013), and shows them in TensorBoard and in pictures.
    """


def main() -> None:
    """Run the command line; a mendable failure is one plain message and exit status 1."""
    try:
        cli(prog_name="deconvviz")
    except DeconvvizError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)

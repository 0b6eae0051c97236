"""`deconvviz data`: bring data in without a network connection."""

from pathlib import Path

import click

from deconvviz.cli.commands import Suggesting
from deconvviz.cli.quiet import import_tensorflow


@click.group(cls=Suggesting)
def data() -> None:
    """Bring data in without a network connection."""


@data.command("import")
@click.argument("archive", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where tensorflow-datasets keeps its data.  [default: TFDS_DATA_DIR, or its own]",
)
def import_archive(archive: Path, data_dir: Path | None) -> None:
    """Build CIFAR-10 from a cifar-10-binary.tar.gz that you already have."""
    import_tensorflow()
    from deconvviz.data import import_cifar10

    click.echo(f"CIFAR-10 is ready: {import_cifar10(archive, data_dir)}")

"""What the options that name images mean together, known without TensorFlow.

A run brings a data set of its own, at its own size; a data set that is built in has no directory;
and a person's own pictures have no split. What would be ignored is refused.
"""

from pathlib import Path

from deconvviz.cli.checkpoint import run_of
from deconvviz.cli.command import refuse
from deconvviz.config import DataConfig
from deconvviz.errors import ConfigError

DATA_OPTIONS = ("dataset", "split", "data_dir", "skip_broken")
NO_IMAGES = "Say which images to show: --dataset cifar10, photos or folder, or --images PATH…."
NO_SCALING = (
    "Unless the network scales its images itself, say also how they were scaled, with --preprocess."
)
NO_FOLDER = "--dataset folder needs --data-dir, the directory of class directories."


def run_data(ckpt: Path) -> DataConfig | None:
    """Give the data that a run was trained on; None for a file that belongs to no run."""
    from deconvviz.training.rundir import RunDirectory

    folder = run_of(ckpt)
    return RunDirectory.open(folder).config().data if folder else None


def require_images(
    ckpt: Path, dataset: str | None, data_dir: Path | None, preprocess: str | None = None
) -> None:
    """Refuse a call that names no images of a data set, and tell what else it will lack.

    Raises:
        ConfigError: saying which options name them.
    """
    own = run_data(ckpt)
    if not (dataset or own):
        raise ConfigError(NO_IMAGES if preprocess else f"{NO_IMAGES} {NO_SCALING}")
    if dataset == "folder" and not (data_dir or (own and own.name == "folder")):
        raise ConfigError(NO_FOLDER)


def refuse_meaningless(ckpt: Path, dataset: str | None, *, pictures: bool = False) -> None:
    """Refuse options that the run or the data set leaves without a meaning.

    Args:
        ckpt: what `--ckpt` names.
        dataset: what `--dataset` names.
        pictures: whether a person gives pictures of their own.
    """
    own = run_data(ckpt)
    name = dataset or (own.name if own else None)
    if own:
        refuse("A run's network takes one size", "size")
    refuse_directory(name)
    if not pictures and name and (name != "cifar10" or (own and own.name == name)):
        refuse(f"The images of {name} come at the network's size", "fit")


def refuse_directory(name: str | None) -> None:
    """Refuse options on where a data set lies, and on broken files, where it has none."""
    if name == "photos":
        refuse("The photographs are built in", "data_dir", "skip_broken")
    if name == "cifar10":
        refuse("CIFAR-10 is no folder of pictures", "skip_broken")

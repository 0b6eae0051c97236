"""What the commands that draw a figure have in common: a network, images, and how they meet.

A person names both with the same options everywhere. A command gets them as one `Asked`; opening
it gives an `Opened`, with the network and what turns images into its input. What can be refused
without TensorFlow is refused before it is imported, which takes seconds.
"""

import hashlib
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deconvviz.cli.checkpoint import (
    Checkpoint,
    checkpoint,
    input_shape,
    look_at,
    preprocess,
    run_of,
)
from deconvviz.cli.pictures import NO_IMAGES, Fit, Shape, data_set, load, own_images, require_sound
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.tensorboard import EVERY_STEP
from deconvviz.data.scalings import parse_scaling
from deconvviz.errors import ConfigError

if TYPE_CHECKING:
    from deconvviz.data import Dataset, Preprocess
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.rows import Pictured

_LONGEST = 120  # characters of a folder's name that layers may take


@dataclass(frozen=True)
class Asked:
    """A network and images, as the options name them; `files` are a person's own pictures."""

    ckpt: Path
    dataset: str | None
    split: str
    data_dir: Path | None
    files: tuple[Path, ...]
    preprocess: str | None
    fit: Fit
    size: tuple[int, int] | None
    logdir: Path
    verbose: bool

    def open(self, rules: str = "deconvnet", nonlinear: str = "refuse") -> "Opened":
        """Open the network, once all that needs no TensorFlow was found right.

        Raises:
            ConfigError: where nobody says which images, or how they are scaled.
            CheckpointError, DataError: for a file that is no sound model or picture.
        """
        if self.preprocess is not None:
            parse_scaling(self.preprocess)
        file = look_at(self.ckpt)
        if not (self.files or self.dataset or run_of(self.ckpt)):
            raise ConfigError(NO_IMAGES)
        require_sound(self.files)
        import_tensorflow(self.verbose)
        from deconvviz.deconv.deconvnet import Deconvnet
        from deconvviz.models.files import load_model

        found = checkpoint(self.ckpt, file, self.logdir)
        net = Deconvnet(load_model(self.ckpt), rules=rules, nonlinear=nonlinear)
        return Opened(self, found, net, nonlinear)


@dataclass(frozen=True)
class Opened:
    """A network that was opened, and the images that it is asked about."""

    asked: Asked
    checkpoint: Checkpoint
    net: "Deconvnet"
    nonlinear: str

    @cached_property
    def scaling(self) -> "Preprocess":
        """What turns images into the network's input."""
        return preprocess(self.checkpoint, self.asked.preprocess, self.net)

    @cached_property
    def shape(self) -> Shape:
        """The height, width and channels that images have before that."""
        return input_shape(self.checkpoint, self.net, self.asked.size)

    def dataset(self) -> "Dataset | None":
        """Load the data set; None where a person gives pictures of their own."""
        asked = self.asked
        if asked.files:
            return None
        return load(self.checkpoint, asked.dataset, asked.data_dir, max(self.shape[:2]))

    def pictured(self, dataset: "Dataset | None", limit: int | None) -> "Pictured":
        """Give the images: a person's own, or the first of a data set, all for None."""
        asked = self.asked
        if dataset is None:
            return own_images(asked.files, self.shape, asked.fit)
        return data_set(dataset, asked.split, limit, self.shape, asked.fit)

    def record(self) -> dict[str, Any]:
        """Say what the network is and how it got its images, as plain JSON values."""
        asked = self.asked
        return {
            "checkpoint": str(asked.ckpt),
            "sha256": self.checkpoint.file.sha256,
            "preprocess": self.scaling.name,
            "fit": asked.fit,
            "size": asked.size,
            "nonlinear": self.nonlinear,
        }

    def folder(self, figure: str, *what: str) -> Path:
        """Name a folder by all that makes its pictures differ from another call's.

        Args:
            figure: the folder of all figures of this kind, in the run's.
            what: what this one shows; empty words are left out.
        """
        asked = self.asked
        own = self.checkpoint.data is not None and asked.preprocess is None
        settings = (
            "" if own else re.sub(r"[^\w.]+", "_", self.scaling.name),
            "{}x{}".format(*asked.size) if asked.size else "",
            "crop" if asked.fit == "crop" else "",
            "nonlinear" if self.nonlinear == "gradient" else "",
        )
        name = "-".join(part for part in (*what, *settings) if part)
        return self.checkpoint.folder / figure / name

    def say_where(self) -> None:
        """Tell a person how to see it in TensorBoard."""
        logs = shlex.quote(str(self.checkpoint.folder.parent))
        click.echo(f"In TensorBoard: tensorboard --logdir {logs} {EVERY_STEP}")


def folder_words(layers: Sequence[str]) -> str:
    """Name layers in a folder's name, which has 255 bytes at most."""
    words = "+".join(layer.replace("/", ".") for layer in layers)
    if len(words) <= _LONGEST:
        return words
    return f"{words[: _LONGEST - 9]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def ask(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what `options.SOURCE`, `IMAGES` and `PREPARED` say as one `Asked`."""

    @wraps(command)
    def asking(image: Path | None = None, more_images: tuple[Path, ...] = (), **named: Any) -> None:
        if more_images and not image:
            raise click.UsageError(f"Unexpected {more_images[0]}; pictures go behind --images.")
        if image and (named["dataset"] or named["data_dir"]):
            raise click.UsageError(
                "--images shows your own pictures; leave out --dataset, --data-dir."
            )
        files = (image, *more_images) if image else ()
        shared = {
            field.name: named.pop(field.name) for field in fields(Asked) if field.name != "files"
        }
        command(Asked(files=files, **shared), **named)

    return asking

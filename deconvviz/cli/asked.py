"""What the commands that draw a figure have in common: a network, images, and how they meet.

A person names both with the same options everywhere. A command gets them as one `Asked`; opening
it gives an `Opened`, with the network and what turns images into its input. What can be refused
without TensorFlow is refused before it is imported, which takes seconds.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deconvviz.atomic import remove_abandoned
from deconvviz.cli.checkpoint import (
    Checkpoint,
    answers,
    checkpoint,
    input_shape,
    look_at,
    preprocess,
)
from deconvviz.cli.command import refuse
from deconvviz.cli.data_options import DATA_OPTIONS, refuse_meaningless, require_images
from deconvviz.cli.pictures import Fit, Shape, data_set, load, own_images, refuse_fit, require_sound
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.tensorboard import tensorboard
from deconvviz.data.scalings import parse_scaling
from deconvviz.errors import ConfigError, DeconvvizError

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
    skip_broken: bool
    fit: Fit
    size: tuple[int, int] | None
    logdir: Path | None
    verbose: bool
    mixed: bool = False  # some images are files and some are the data set's

    def open(
        self,
        rules: str = "deconvnet",
        nonlinear: str = "refuse",
        layers: Sequence[str] = (),
        *,
        forward_only: bool = False,
    ) -> "Opened":
        """Open the network, and tell all that is missing or wrong at once.

        Args:
            rules: how each layer is reversed.
            nonlinear: what to do with a layer that the rules do not define.
            layers: which the command was told to look at.
            forward_only: it reconstructs nothing, so the rules need not define these layers.

        Raises:
            ConfigError: where nobody says which images, or how they are scaled.
            CheckpointError, DataError: for a file that is no sound model or picture.
        """
        self._refuse_meaningless(rules)
        if self.preprocess is not None:
            parse_scaling(self.preprocess)
        file = look_at(self.ckpt)
        if self.mixed or not self.files:
            require_images(self.ckpt, self.dataset, self.data_dir, self.preprocess)
        require_sound(self.files)
        folder = answers(self.ckpt, self.logdir)
        remove_abandoned(folder)
        import_tensorflow(self.verbose)
        from deconvviz.deconv.deconvnet import Deconvnet
        from deconvviz.models.files import open_model

        found = checkpoint(self.ckpt, file, folder)
        net = Deconvnet(open_model(file), rules=rules, nonlinear=nonlinear)
        opened = Opened(self, found, net, nonlinear)
        opened.require_all(layers, forward_only)
        return opened

    def _refuse_meaningless(self, rules: str) -> None:
        if rules == "gradient":
            refuse("--rules gradient takes every layer's gradient", "nonlinear")
        if self.files and not self.mixed:
            refuse("Your own pictures are taken", "limit", *DATA_OPTIONS)
        refuse_meaningless(self.ckpt, self.dataset, pictures=bool(self.files))


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

    def require_all(self, layers: Sequence[str], forward_only: bool) -> None:
        """Refuse, in one message, all that is missing or wrong; a person mends it in one go."""
        problems: dict[str, DeconvvizError] = {}
        checks: list[Callable[[], object]] = [
            lambda: self.scaling,
            lambda: self.shape,
            *(partial(self._require_layer, layer, forward_only) for layer in layers),
        ]
        for check in checks:
            try:
                check()
            except DeconvvizError as error:
                problems[str(error)] = error
        if len(problems) > 1:
            raise ConfigError("\n".join([f"{len(problems)} things to mend:", *problems]))
        for problem in problems.values():
            raise problem

    def _require_layer(self, layer: str, forward_only: bool) -> None:
        paths = [one.path for one in self.net.layers]
        if not forward_only or layer not in paths:
            self.net.require(layer)

    def dataset(self) -> "Dataset | None":
        """Load the data set; None where all pictures are a person's own."""
        asked = self.asked
        if asked.files and not asked.mixed:
            return None
        side = max(self.shape[:2])
        data = load(self.checkpoint, asked.dataset, asked.data_dir, side, asked.skip_broken)
        if not asked.files:
            refuse_fit(data, self.shape)
        return data

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
        click.echo(f"In TensorBoard: {tensorboard(self.checkpoint.folder.parent)}")


def folder_words(layers: Sequence[str]) -> str:
    """Name layers in a folder's name, which has 255 bytes at most."""
    words = "+".join(layer.replace("/", ".") for layer in layers)
    if len(words) <= _LONGEST:
        return words
    return f"{words[: _LONGEST - 9]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def ask(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what `options.SOURCE`, `IMAGES` and `PREPARED` say as one `Asked`."""

    @wraps(command)
    def asking(stray: tuple[Path, ...] = (), **named: Any) -> None:
        if stray:
            raise click.UsageError(f"Unexpected {stray[0]}; pictures go behind --images.")
        shared = {
            field.name: named.pop(field.name) for field in fields(Asked) if field.name in named
        }
        command(Asked(**{"files": (), **shared}), **named)

    return asking

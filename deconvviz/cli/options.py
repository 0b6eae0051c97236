"""Options that several commands share, and values that click does not know: sizes and places."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from deconvviz.wording import quoted

Decorator = Callable[[Any], Any]


def together(*options: Decorator) -> Decorator:
    """Put several options on a command; `--help` lists them in this order."""

    def put(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return put


CKPT = click.option(
    "--ckpt",
    type=click.Path(path_type=Path),
    required=True,
    metavar="RUN_OR_FILE",
    help="A run's folder, such as logs/classic-1, or a .keras or .h5 file.",
)
DATASET = click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Which data set's images to take.  [default: the run's own]",
)
SPLIT = click.option(
    "--split", type=click.Choice(["test", "train"]), default="test", show_default=True
)
DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the data set lies."
)
SKIP_BROKEN = click.option(
    "--skip-broken",
    is_flag=True,
    help="Leave out, and count, pictures of a folder that cannot be read.",
)
IMAGES = together(
    click.option(
        "--images",
        "files",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="PATH…",
        help="Pictures of your own instead: one path or several.",
    ),
    click.argument("stray", nargs=-1, type=click.Path(path_type=Path), metavar=""),
)
LAYERS = click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATH",
    help="A layer's name, or its path through nested models; may be repeated.  "
    "[default: every max pool]",
)
LAYER = click.option(
    "--layer",
    metavar="PATH",
    help="A layer's name, or its path through nested models.  [default: the last max pool]",
)
FEATURE = click.option(
    "--feature",
    type=click.IntRange(0),
    metavar="K",
    help="The same feature map in every image.  [default: in each the one with the largest "
    "activation]",
)
VERBOSE = click.option("--verbose", is_flag=True, help="Let TensorFlow's own messages through.")
RULES = click.option(
    "--rules",
    type=click.Choice(["deconvnet", "classic", "guided", "gradient"]),
    default="deconvnet",
    show_default=True,
    help="How each layer is reversed.",
)
NONLINEAR = click.option(
    "--nonlinear",
    type=click.Choice(["refuse", "gradient"]),
    default="refuse",
    show_default=True,
    help="What to do with a layer that the rules do not define: refuse it, or take its gradient, "
    "which the caption then says.",
)
PREPROCESS = click.option(
    "--preprocess",
    metavar="NAME",
    help="How images are scaled for the network: raw, unit, signed, standardize, caffe, torch, or "
    "mean=…,std=….  [default: the run's own]",
)
LOGDIR = click.option(
    "--logdir",
    type=click.Path(path_type=Path),
    help="Where the answer gets its folder.  [default: the run's own folder; logs for a file that "
    "belongs to no run]",
)
FIT = click.option(
    "--fit",
    type=click.Choice(["resize", "crop"]),
    default="resize",
    show_default=True,
    help="How images come to the network's size: scaled to cover it, or cut out as they are.",
)


class _Pair(click.ParamType):
    """Two whole numbers from one word, or one number for both."""

    def __init__(self, name: str, form: str, pattern: str, words: tuple[str, ...] = ()) -> None:
        self.name, self._form, self._pattern, self._words = name, form, pattern, words

    def get_metavar(self, *_: Any, **__: Any) -> str:
        return self.name

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str) or value in self._words:
            return value
        found = re.fullmatch(self._pattern, value.strip())
        if not found:
            self.fail(f"got {quoted(value)}; it takes {self._form}.", param, ctx)
        return int(found[1]), int(found[2] or found[1])


SIZE: Decorator = click.option(
    "--size",
    type=_Pair(
        "N|HxW", "a number of pixels, or HxW, above 0", r"([1-9]\d{0,8})(?:x([1-9]\d{0,8}))?"
    ),
    help="The images' size, for a network that takes any.",
)
AT: Decorator = click.option(
    "--at",
    type=_Pair("max|Y,X", "max or Y,X", r"(\d{1,9})\s*,\s*(\d{1,9})", ("max",)),
    help="One unit of the feature map, its strongest or the one at Y,X, cut to what it sees.",
)
SOURCE = together(CKPT, DATASET, SPLIT, DATA_DIR, SKIP_BROKEN)
PREPARED = together(PREPROCESS, FIT, SIZE, LOGDIR, VERBOSE)

"""Options that several commands share, and values that click does not know: sizes and places."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

CKPT = click.option(
    "--ckpt",
    type=click.Path(path_type=Path),
    required=True,
    metavar="RUN_OR_FILE",
    help="A run's folder, such as logs/classic-1, or a .keras or .h5 file.",
)
SPLIT = click.option(
    "--split", type=click.Choice(["test", "train"]), default="test", show_default=True
)
DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the data set lies."
)
VERBOSE = click.option("--verbose", is_flag=True, help="Let TensorFlow's own messages through.")
RULES = click.option(
    "--rules",
    type=click.Choice(["deconvnet", "classic", "guided", "gradient"]),
    default="deconvnet",
    show_default=True,
    help="How each layer is reversed.",
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
            self.fail(f"got {value!r}; it takes {self._form}.", param, ctx)
        return int(found[1]), int(found[2] or found[1])


SIZE: Callable[[Any], Any] = click.option(
    "--size",
    type=_Pair("N|HxW", "a number of pixels, or HxW, above 0", r"([1-9]\d*)(?:x([1-9]\d*))?"),
    help="The images' size, for a network that takes any.",
)
AT: Callable[[Any], Any] = click.option(
    "--at",
    type=_Pair("max|Y,X", "max or Y,X", r"(\d+)\s*,\s*(\d+)", ("max",)),
    help="One unit of the feature map, its strongest or the one at Y,X, cut to what it sees.",
)

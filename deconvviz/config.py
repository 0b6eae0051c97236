"""One experiment, one flat TOML file, checked before anything runs.

The defaults are the classic program's, so `RunConfig()` equals `configs/classic.toml`. A file and
the command line's `--set KEY=VALUE` are laid over them, and every mistake is told at once. The
resolved record is saved with the run, so that a run says by itself what it was.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deconvviz.errors import ConfigError
from deconvviz.listing import counted, listed
from deconvviz.toml_text import parse_toml, read_toml
from deconvviz.wording import one_line, quoted

Positive = Annotated[int, Field(ge=1, lt=2**31)]
Rules = Literal["deconvnet", "classic"]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DataConfig(_Section):
    """Which images, and how they become the network's input."""

    name: Literal["cifar10", "photos", "folder"] = "cifar10"
    dir: Path | None = None
    """cifar10: where TFDS keeps it; folder: the directory of class directories"""
    size: Annotated[int, Field(ge=1, le=4096)] = 32
    """photos and folder: every image becomes size x size pixels"""
    crop: Annotated[int, Field(ge=0)] = 24
    """the network sees the central crop x crop pixels; 0: all"""
    preprocess: Literal["standardize", "signed", "unit", "raw"] = "standardize"
    random_crop: bool = False
    """training crops fall anywhere, not only at the centre"""
    flip: bool = False
    """training images are mirrored left-right half the time"""
    skip_broken: bool = False
    """folder: leave out unreadable images, and count them"""

    @model_validator(mode="after")
    def _fits(self) -> "DataConfig":
        if "\0" in str(self.dir):
            raise ValueError("dir has a null byte in it, which no path has")
        size = 32 if self.name == "cifar10" else self.size
        if self.crop > size:
            raise ValueError(f"crop is {self.crop} but the images are only {size} pixels wide")
        if self.name == "folder" and self.dir is None:
            raise ValueError("name = 'folder' needs dir, the directory of class directories")
        return self

    @model_validator(mode="after")
    def _means_something(self) -> "DataConfig":
        """Refuse a value that another one leaves without an effect."""
        if self.name == "cifar10" and self.size != 32:
            raise ValueError(f"size is {self.size}, but the images of cifar10 are 32 pixels wide")
        if self.name == "photos" and self.dir is not None:
            raise ValueError("dir is given, but the photographs are built in; leave it out")
        if self.name != "folder" and self.skip_broken:
            raise ValueError(f"skip_broken is for name = 'folder', and name is {self.name!r}")
        if self.random_crop and self.crop in (0, self.size):
            raise ValueError(f"random_crop needs a crop below {self.size}, the images' size")
        return self


class ModelConfig(_Section):
    """Which network is built, and how its weights begin."""

    name: Literal["classic", "deep", "zf"] = "classic"
    init_std: Annotated[float, Field(gt=0)] = 0.1
    """of the truncated normal, every kernel"""
    init_bias: float = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """before the last layer; zf: the last two"""
    filter_rms: Annotated[float, Field(gt=0)] | None = None
    """filters of a larger root mean square are scaled back to it; Zeiler & Fergus take 0.1"""


class TrainConfig(_Section):
    """How long, how fast, and how often to report; steps count batches."""

    steps: Positive = 15_000
    batch_size: Positive = 128
    optimizer: Literal["adam", "momentum"] = "adam"
    """momentum: gradient descent with 0.9 of it"""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """of a loss that is summed over the batch"""
    schedule: Literal["constant", "one-cycle"] = "constant"
    """one-cycle: up over the first fifth of the steps, then down to 0 along a cosine"""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """this share goes to all classes"""
    l2: Annotated[float, Field(ge=0)] = 1.0
    """times the kernels' sum of squares over 2, added to the sum over the batch"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    report_every: Positive = 200
    evaluate_every: Positive = 1_000
    checkpoint_every: Positive = 200


class PicturesConfig(_Section):
    """The stitched rows that training writes: the same images at every picture step."""

    every: Positive = 500
    images: Annotated[int, Field(ge=1, le=64)] = 8
    layers: tuple[str, ...] = ("pool1", "pool2")
    rules: Rules = "deconvnet"
    scale: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """what is full black or white, one a layer for all steps; else each panel's largest value"""

    @model_validator(mode="after")
    def _one_scale_a_layer(self) -> "PicturesConfig":
        if self.scale is not None and self.rules == "classic":
            raise ValueError(
                "scale goes with rules = 'deconvnet': classic shows a row by its own range"
            )
        if self.scale is not None and len(self.scale) != len(self.layers):
            raise ValueError(
                f"scale has {counted(len(self.scale), 'value')} for "
                f"{counted(len(self.layers), 'layer')}"
            )
        return self


class EvolutionConfig(_Section):
    """The networks that a run keeps on its way, and what is drawn of each while it trains."""

    steps: tuple[Positive, ...] | None = None
    """else Zeiler & Fergus's epochs 1, 2, 5, 10, 20, 30, 40 and 64, as shares of train.steps"""
    layers: tuple[str, ...] = ()
    """drawn at each of these steps; without any, the networks are kept for later"""
    features: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = tuple(range(8))
    images: Positive = 10_000
    """of the training images, spread evenly over them"""


_EXAMPLE = "Give the path of a TOML file, such as configs/classic.toml."
_MOST_MISTAKES = 10  # that one message tells
_PAPERS_EPOCHS = (1, 2, 5, 10, 20, 30, 40, 64)


class RunConfig(_Section):
    """All that decides a training run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    pictures: PicturesConfig = PicturesConfig()
    evolution: EvolutionConfig = EvolutionConfig()

    @model_validator(mode="after")
    def _kept_within_the_run(self) -> "RunConfig":
        last = max(self.evolution.steps or (1,))
        if last > self.train.steps:
            raise ValueError(
                f"evolution.steps goes up to {last}, but train.steps ends at {self.train.steps}"
            )
        return self

    @property
    def kept_steps(self) -> tuple[int, ...]:
        """The steps whose network stays in the run's folder, in rising order.

        Source: Zeiler & Fergus 2013, Figure 4, for where they lie in a run that names none.
        """
        if self.evolution.steps is not None:
            return tuple(sorted(set(self.evolution.steps)))
        shares = (epoch / _PAPERS_EPOCHS[-1] for epoch in _PAPERS_EPOCHS)
        return tuple(sorted({max(1, round(share * self.train.steps)) for share in shares}))


def load_config(path: Path | None = None, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a configuration, lay overrides over it and check the whole.

    Args:
        path: a TOML file; None takes the defaults, the classic program.
        overrides: `section.key=value` strings, the value in TOML or a bare word.

    Returns:
        The resolved, frozen record.

    Raises:
        ConfigError: for a file that cannot be read and for every unknown key and impossible value,
            all of them in one message.
    """
    source = one_line(str(path), 200) if path else "the defaults"
    tree = read_toml(path, "configuration file", _EXAMPLE) if path else {}
    for override in overrides:
        _lay(tree, override)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, source)) from None


def to_toml(config: RunConfig) -> str:
    """Write a configuration as TOML that `load_config` reads back to an equal record."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def _lay(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise ConfigError(
            f"--set got {quoted(override)}; it takes SECTION.KEY=VALUE, such as train.steps=500."
        )
    try:
        value = parse_toml(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word, such as data.name=photos
    except ValueError as error:
        raise ConfigError(
            f"--set got {quoted(override)}: {error}. Give a value such as train.steps=500."
        ) from None
    if not isinstance(tree.setdefault(section, {}), dict):
        raise ConfigError(
            f"--set got {quoted(override)}, but {one_line(section, 80)} is a value, not a section."
        )
    tree[section][name] = value


def _explain(error: ValidationError, source: str) -> str:
    lines = []
    for problem in error.errors()[:_MOST_MISTAKES]:
        where = one_line(".".join(str(part) for part in problem["loc"]), 80)
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {where}: there is no such key; {_allowed(problem['loc'])}")
        else:
            what = problem["msg"].removeprefix("Value error, ")
            lines.append(
                f"  {where}: {what}, received {quoted(problem['input'])}"
                if problem["type"] != "value_error"
                else f"  {where + ': ' if where else ''}{what}"
            )
    if error.error_count() > _MOST_MISTAKES:
        lines.append(f"  and {error.error_count() - _MOST_MISTAKES} more")
    return f"The configuration ({source}) cannot be used:\n" + "\n".join(lines)


def _allowed(location: tuple[int | str, ...]) -> str:
    fields = RunConfig.model_fields
    for part in location[:-1]:
        annotation = fields[str(part)].annotation
        assert annotation is not None
        fields = annotation.model_fields
    return f"allowed are {listed(tuple(fields), str(location[-1]))}"

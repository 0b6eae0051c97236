"""The keys of a configuration, as `train --help` lists them: read off the record itself."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import click

from deconvviz.cli.command import Command
from deconvviz.config import RunConfig


class Settings(Command):
    """A command whose help ends with all keys that `--set` takes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the keys, their defaults and what they mean; see `click.Command`."""
        with formatter.section("Keys of --set and of a configuration's sections, and defaults"):
            formatter.write_dl(list(settings()))


def settings() -> Iterator[tuple[str, str]]:
    """Give every `section.key = default`, in TOML, with its meaning or its choices."""
    defaults = RunConfig().model_dump(mode="json")
    for section, values in defaults.items():
        kind: Any = RunConfig.model_fields[section].annotation
        for key, value in values.items():
            field = kind.model_fields[key]
            choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
            words = [" | ".join(choices), field.description or ""]
            default = "(none)" if value is None else _toml(value)
            yield f"{section}.{key} = {default}", "; ".join(filter(None, words))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("'", '"') if isinstance(value, list) else str(value)

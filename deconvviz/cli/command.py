"""A command that takes every option that a person gives, or refuses it; it never ignores one.

click keeps the last of an option that is given twice, and a command does not see whether a value
was given or is the default. Here the first is a usage error, and `refuse` finds out the second, so
that an option which another one makes meaningless is refused also where its value is the default.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import click
from click.core import ParameterSource

_SEVERAL = "--images"  # takes all the words behind it, up to the next option


class Command(click.Command):
    """A click command whose options are given once, unless they may be repeated."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, once no option is given twice; see `click.Command`."""
        if any(_SEVERAL in param.opts for param in self.params):
            args = list(_spread(args))
        if not ctx.resilient_parsing:
            self._refuse_twice(ctx, args)
        return super().parse_args(ctx, args)

    def _refuse_twice(self, ctx: click.Context, args: list[str]) -> None:
        *_, order = self.make_parser(ctx).parse_args(list(args))
        for param in order:
            single = isinstance(param, click.Option) and not (param.multiple or param.is_flag)
            if single and order.count(param) > 1:
                raise click.UsageError(
                    f"{_flag(param)} is given {order.count(param)} times; it takes one value, so "
                    "give it once.",
                    ctx,
                )


command: Callable[..., Any] = partial(click.command, cls=Command)


def refuse(why: str, *names: str) -> None:
    """Refuse options that mean nothing here, whatever their value.

    Args:
        why: why they mean nothing, as the beginning of a sentence.
        names: the parameters' names, as the command's function has them; others are passed over.
    """
    ctx = click.get_current_context(silent=True)
    if ctx is None:
        return
    told = [
        _flag(param)
        for param in ctx.command.params
        if param.name in names
        and ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
    ]
    if told:
        raise click.UsageError(f"{why}; leave out {', '.join(told)}.")


def _flag(param: click.Parameter) -> str:
    return max(param.opts, key=len)


def _spread(args: list[str]) -> Iterator[str]:
    """Write `--images a b` as `--images a --images b`, which click takes whole and in order."""
    rest, open_ended = iter(args), False
    for arg in rest:
        if arg == "--":
            yield arg
            yield from rest
        elif arg == _SEVERAL or arg.startswith(f"{_SEVERAL}="):
            yield arg
            if arg == _SEVERAL:  # a value, whatever it begins with
                yield from islice(rest, 1)
            open_ended = True
        elif open_ended and not arg.startswith("-"):
            yield from (_SEVERAL, arg)
        else:
            yield arg
            open_ended = False

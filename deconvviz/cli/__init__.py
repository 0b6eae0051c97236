"""The command line: how a command begins and ends. `commands` lists them; each has its file.

A command's module is imported when the command runs, so that `--help` answers at once and
TensorFlow loads only where it is needed. Exit status: 0 done, 1 an error in plain words, 2 a usage
error, 128 and the signal's number for a command that was stopped.
"""

import sys
from contextlib import suppress

from deconvviz.backend import own_process
from deconvviz.cli.stopping import Stopped, stopped_by_signals
from deconvviz.cli.streams import make_usable, only_our_warnings, stdout_fails
from deconvviz.errors import DeconvvizError
from deconvviz.wording import printable


def main() -> None:
    """Run the command line; whatever ends a command early is one message and an exit status."""
    make_usable()
    own_process()
    only_our_warnings("--verbose" in sys.argv)
    try:
        with stopped_by_signals():
            status = _run()
    except Stopped as stopped:
        _say(stopped.words or "Stopped. Nothing was kept: call it again to start over.")
        status = 128 + stopped.number
    sys.exit(status)


def _run() -> int:
    import click

    from deconvviz.cli.commands import cli

    try:
        status = cli.main(prog_name="deconvviz", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except DeconvvizError as error:
        _say(f"Error: {printable(str(error))}")
        return 1
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            stdout_fails()
            return 1  # `| head` has seen enough
        if not stdout_fails():
            raise
        _say(f"Error: The standard output could not be written: {error.strerror}.")
        return 1


def _say(words: str) -> None:
    with suppress(OSError):  # a terminal that is gone, a disk that is full: there is nobody to tell
        print(words, file=sys.stderr, flush=True)

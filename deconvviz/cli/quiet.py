"""Import TensorFlow without its start-up noise, and say so, since it takes seconds.

TensorFlow writes to file descriptor 2 from C++ while it is imported and when its first op runs, and
no setting of its own silences all of it. So the descriptor is turned to a file for that moment;
the text comes back if the import fails, or when it is asked for.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from deconvviz.backend import require_importable
from deconvviz.cli.progress import working
from deconvviz.cli.stopping import ends_at_once

_LOADING = "Loading TensorFlow"
_STOPPED = b"\r\x1b[?25h\x1b[KStopped while TensorFlow was loading; nothing was written.\n"


def import_tensorflow(verbose: bool = False) -> None:
    """Import TensorFlow and Keras, and run a first op, keeping their messages off the screen.

    Args:
        verbose: let the messages through.
    """
    require_importable()
    # Later chatter, such as that of TFRecord readers, heeds this; warnings still come through.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with ExitStack() as around:
        screen = around.enter_context(os.fdopen(os.dup(2), "w"))
        if not {"tensorflow", "keras"} <= sys.modules.keys():
            words = _STOPPED if os.isatty(2) else _STOPPED[_STOPPED.index(b"S") :]
            around.enter_context(ends_at_once(words))
            around.enter_context(working(_LOADING, screen))
        if not verbose:
            around.enter_context(_kept_off_the_screen(screen))
        _first_op()


@contextmanager
def _kept_off_the_screen(screen: IO[str]) -> Iterator[None]:
    sys.stderr.flush()
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except BaseException:
            noise.seek(0)
            os.write(screen.fileno(), noise.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen.fileno(), 2)


def _first_op() -> None:
    import keras  # noqa: F401  here, not in the middle of a command's own imports
    import tensorflow as tf

    tf.constant(0.0) + 1.0

"""Import TensorFlow without its start-up noise.

TensorFlow writes to file descriptor 2 from C++ while it is imported and when its first op runs, and
no setting of its own silences all of it. So the descriptor is turned to a file for that moment;
the text comes back if the import fails, or when it is asked for.
"""

import os
import sys
import tempfile


def import_tensorflow(verbose: bool = False) -> None:
    """Import TensorFlow and run a first op, keeping their messages off the screen.

    Args:
        verbose: let the messages through.
    """
    if verbose:
        _first_op()
        return
    # Later chatter, such as that of TFRecord readers, heeds this; warnings still come through.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        try:
            _first_op()
        except BaseException:
            noise.seek(0)
            os.write(screen, noise.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)


def _first_op() -> None:
    import tensorflow as tf

    tf.constant(0.0) + 1.0

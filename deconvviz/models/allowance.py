"""Let a model file have no more memory than its weights fill.

Keras builds the whole network, weights and all, before it compares them with the stored ones. A
file whose description asks for more than it stores is stopped here, before the first large weight.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

_ALWAYS_ALLOWED = 2**20  # values, 4 MiB: a layer may keep a few that are not saved
_SWAPPED = threading.Lock()  # two swaps at once would not be undone in their order


class TooManyWeights(BaseException):  # Keras turns every Exception into one of its own
    """A layer asked for more weights than are left."""


@contextmanager
def at_most(values: int) -> Iterator[None]:
    """Bound the weights that this thread's layers create while the block runs.

    Args:
        values: how many numbers they may hold in all.

    Raises:
        TooManyWeights: before the weight that would not fit is created.
    """
    layer, thread, left = keras.layers.Layer, threading.get_ident(), values + _ALWAYS_ALLOWED

    def counted(self: keras.Layer, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if threading.get_ident() == thread:
            sizes = (shape,) if isinstance(shape, int) else shape or ()
            left -= math.prod(size or 1 for size in sizes)
            if left < 0:
                raise TooManyWeights(f"{self.name} asks for a weight of shape {shape}")
        return add_weight(self, shape, *args, **kwargs)

    with _SWAPPED:
        add_weight, layer.add_weight = layer.add_weight, counted
        try:
            yield
        finally:
            layer.add_weight = add_weight

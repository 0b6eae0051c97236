"""Bound what a model's configuration claims by what its file stores.

Keras allocates as it is told before it looks at the stored weights: a line of text can ask for all
the memory there is. So sizes have limits, and the sizes of weights must be those of stored ones.
"""

from pathlib import Path
from typing import Any

from deconvviz.errors import CheckpointError

_LARGEST_SIZE = 2**24  # any whole number that is no seed and no identifier
_LARGEST_WINDOW = 2**13
_LARGEST_SHAPE = 2**26  # values in one tensor

_AXES_OF_WEIGHTS = (
    "units", "filters", "kernel_size", "depth_multiplier", "input_dim", "output_dim", "num_heads",
    "key_dim", "value_dim",
)  # fmt: skip
_WITHOUT_WEIGHTS = {"RandomGaussianBlur"}  # its kernel_size is no weight's
_WINDOWS = {"pool_size", "strides", "dilation_rate", "padding", "cropping", "size", "kernel_size"}
_FREE = {"seed", "shared_object_id", "value", "vocabulary"}


def require_stored(path: Path, entry: dict[str, Any], axes: frozenset[int]) -> None:
    """Refuse a layer whose sizes are not those of any stored weight.

    Args:
        path: the file, for the refusal.
        entry: what the configuration says of one object: class_name, config, ...
        axes: every axis of every stored weight.
    """
    config = entry.get("config")
    if not isinstance(config, dict) or str(entry["class_name"]) in _WITHOUT_WEIGHTS:
        return
    for key in _AXES_OF_WEIGHTS:
        claimed = config.get(key)
        for size in claimed if isinstance(claimed, list) else [claimed]:
            if isinstance(size, int | float) and size <= _LARGEST_SIZE and size not in axes:
                raise CheckpointError(
                    f"{path} claims {key} = {size}, but none of the weights that it stores has "
                    "that size: its description and its weights do not belong together. It was "
                    "not opened. Save the model again."
                )


def require_shape(path: Path, key: str, shape: list[Any]) -> None:
    """Refuse a list that, taken for a tensor's shape, is one too large."""
    values = 1
    for size in shape:
        if isinstance(size, int) and key not in _FREE:
            values *= max(abs(size), 1)
        if values > _LARGEST_SHAPE:
            raise CheckpointError(
                f"{path} claims {key} = {str(shape)[:80]}; at most {_LARGEST_SHAPE} values are "
                "allowed, since more would fill the memory. It was not opened."
            )


def require_size(path: Path, key: str, size: float) -> None:
    """Refuse a number too large for the key that it stands under."""
    sized = key in _AXES_OF_WEIGHTS or key in _WINDOWS
    limit = _LARGEST_WINDOW if key in _WINDOWS else _LARGEST_SIZE
    if (sized or (isinstance(size, int) and key not in _FREE)) and abs(size) > limit:
        raise CheckpointError(
            f"{path} claims {key} = {size}; at most {limit} is allowed, since more "
            "would fill the memory. It was not opened."
        )

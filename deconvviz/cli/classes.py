"""Whether a data set's labels are the classes that a network learnt.

A label is a number, the class's place among the directories' names: a directory that is renamed or
added after training gives other classes the numbers that the network knows. A run's record tells.
"""

from typing import TYPE_CHECKING

import click

from deconvviz.cli.checkpoint import Checkpoint
from deconvviz.errors import CheckpointError, ConfigError
from deconvviz.listing import listed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deconvviz.data import Dataset


def network_labels(
    checkpoint: Checkpoint, dataset: "Dataset", split: str
) -> "npt.NDArray[np.int64] | None":
    """Give a split's labels as the network numbers its classes.

    Returns:
        int64 `[n]`; None where the run learnt the classes of another data set.

    Raises:
        CheckpointError: where the run's own data has other classes than the run learnt.
    """
    record = checkpoint.record()
    if record is None:  # a stranger's file: a person says that the data set is its
        return dataset.split(split).labels
    learnt = record.data.classes
    if dataset.name == record.data.name:
        _require_same(checkpoint, learnt, dataset.classes)
        if dataset.fingerprint != record.data.fingerprint:
            click.echo(
                f"Note: the images of {dataset.name!r} are not those that the run began with; it "
                "may have been trained on some that are now its test images.",
                err=True,
            )
    return dataset.split(split).labels if dataset.classes == learnt else None


def require_own_classes(checkpoint: Checkpoint, dataset: "Dataset", split: str) -> None:
    """Refuse a data set on which the network's accuracy would mean nothing.

    Raises:
        CheckpointError, ConfigError: where the run learnt other classes.
    """
    if network_labels(checkpoint, dataset, split) is None:
        assert checkpoint.data is not None  # only a run's classes are known
        raise ConfigError(
            f"{checkpoint.run} learnt other classes than those of {dataset.name}, so its accuracy "
            f"on them means nothing. Take its own: --dataset {checkpoint.data.name}."
        )


def _require_same(checkpoint: Checkpoint, learnt: tuple[str, ...], now: tuple[str, ...]) -> None:
    if now == learnt:
        return
    gone = [name for name in learnt if name not in now]
    new = [name for name in now if name not in learnt]
    words = [
        f"{listed(names)} {what}" for names, what in ((gone, "lacking"), (new, "added")) if names
    ]
    raise CheckpointError(
        f"The data's classes are not those that {checkpoint.run} learnt: "
        f"{' and '.join(words) or 'they are in another order'}. Name the directories as they were, "
        "or give the run's data with --data-dir."
    )

"""A finished run, and how it is trained longer.

Where the learning rate is constant, a step depends on nothing but the steps before it: a run that
is given more of them goes on as one that was given as many from the start. A rate that falls to 0
at the last step leaves nothing to go on with.
"""

from deconvviz.config import RunConfig
from deconvviz.errors import ConfigError
from deconvviz.training.rundir import RunDirectory
from deconvviz.training.state import saved_progress

LONGER = "train.steps"


def is_finished(run: RunDirectory, config: RunConfig) -> bool:
    """Whether a run has done all steps of a configuration, and was measured after them."""
    if not run.state.exists() or saved_progress(run.state).step != config.train.steps:
        return False
    return run.record().finished is not None


def finished_words(run: RunDirectory) -> str:
    """Say that a run is finished, and how to train it longer."""
    train = run.config().train
    words = f"{run.path} is finished: {train.steps:,} of {train.steps:,} steps."
    if train.schedule != "constant":
        return f"{words} Its learning rate ends there; to train longer, start a new run."
    longer = f"deconvviz train --resume {run.path} --set {LONGER}={2 * train.steps}"
    return f"{words} To train it longer: {longer}"


def require_can_end_at(run: RunDirectory, steps: int) -> None:
    """Refuse an end that a run cannot have.

    Raises:
        ConfigError: for a run that did as many already, or whose learning rate depends on them.
    """
    config = run.config()
    if steps == config.train.steps:
        return
    if config.train.schedule != "constant":
        raise ConfigError(
            f"{run.path} trains by train.schedule = {config.train.schedule!r}, whose learning rate "
            f"depends on {LONGER} from the first step on. Start a new run with --set "
            f"{LONGER}={steps}."
        )
    done = saved_progress(run.state).step if run.state.exists() else 0
    if steps <= done:
        raise ConfigError(
            f"--set got {LONGER}={steps}, and {run.path} has done {done} steps. Give more."
        )

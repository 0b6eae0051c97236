"""`deconvviz train`: a configuration to a run's folder."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deconvviz.cli.command import command, refuse
from deconvviz.cli.data_options import refuse_directory
from deconvviz.cli.pictures import say_taken
from deconvviz.cli.progress import waiting
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.settings import Settings
from deconvviz.cli.stopping import if_stopped
from deconvviz.cli.tensorboard import tensorboard, word
from deconvviz.config import RunConfig, load_config
from deconvviz.training.longer import LONGER, finished_words, is_finished, require_can_end_at
from deconvviz.training.rundir import CONFIG, RunDirectory

if TYPE_CHECKING:
    from deconvviz.training.train import Outcome, Trainer


@command(cls=Settings)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="A TOML file, such as configs/quickstart.toml.  [default: the classic program]",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value, such as train.steps=500; may be repeated, the last of a key counts.",
)
@click.option("--name", metavar="RUN", help="The run's name.  [default: the config's, numbered]")
@click.option("--logdir", type=click.Path(path_type=Path), default=Path("logs"), show_default=True)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where the data lies: TFDS's folder for cifar10, the folder of classes for folder.",
)
@click.option(
    "--skip-broken",
    is_flag=True,
    help="Leave out, and count, pictures of a folder that cannot be read.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with a run that was stopped or killed, such as logs/classic-1.",
)
@click.option("--verbose", is_flag=True, help="Let TensorFlow's own messages through.")
def train(
    config_file: Path | None,
    overrides: tuple[str, ...],
    name: str | None,
    logdir: Path,
    data_dir: Path | None,
    skip_broken: bool,
    resume: Path | None,
    verbose: bool,
) -> None:
    """Train a network and watch its layers form in TensorBoard.

    Without --config, this is the classic program: CIFAR-10, two convolutions, 15,000 steps.
    Everything is written to LOGDIR/RUN. Ctrl-C saves and stops; --resume goes on.
    """
    keys = [override.partition("=")[0].strip() for override in overrides]
    if resume:
        why = "--resume goes on with the run's own configuration, name and folder"
        refuse(why, "config_file", "name", "logdir")
        if other := [key for key in keys if key != LONGER]:
            raise click.UsageError(f"{why}; of --set it takes {LONGER}=N alone, not {other[0]}.")
    if "data.dir" in keys:
        refuse("--set gives data.dir", "data_dir")
    if "data.skip_broken" in keys:
        refuse("--set gives data.skip_broken", "skip_broken")
    if data_dir:
        overrides = (*overrides, f"data.dir={json.dumps(str(data_dir))}")
    if skip_broken:
        overrides = (*overrides, "data.skip_broken=true")
    # What cannot be used is refused before TensorFlow's seconds are spent.
    run = RunDirectory.open(resume) if resume else None
    if run:
        refuse_directory(run.config().data.name)
    config = load_config(run.path / CONFIG if run else config_file, overrides)
    if run and is_finished(run, config):
        click.echo(finished_words(run))
        return
    with ExitStack() as held:
        if run:
            held.enter_context(run.writing())
            require_can_end_at(run, config.train.steps)
        import_tensorflow(verbose)
        from deconvviz.data import load_dataset
        from deconvviz.training.train import Trainer

        # Data and network come first: where they fail, no empty run is left behind.
        with waiting(f"loading {config.data.name}"):
            dataset = load_dataset(config.data, config.train.seed)
        say_taken(dataset, err=False)
        trainer = Trainer(config, dataset)
        if run is None:
            run = RunDirectory.create(logdir, name, config_file.stem if config_file else "classic")
            held.enter_context(run.writing())
            run.begin(config)
        click.echo(f"Watch it: {tensorboard(run.path.parent)}")
        with if_stopped(f"Stopped at once. It goes on from where it was saved: {_resume(run)}"):
            outcome = _fit(trainer, run)
        _tell(run, config, outcome)


def _fit(trainer: "Trainer", run: RunDirectory) -> "Outcome":
    from deconvviz.cli.progress import TrainingProgress

    with TrainingProgress() as progress:
        return trainer.fit(run, progress)


def _tell(run: RunDirectory, config: RunConfig, outcome: "Outcome") -> None:
    if outcome.stopped_by is not None:
        click.echo(
            f"Stopped at step {outcome.step} of {config.train.steps}, and saved. "
            f"Go on with: {_resume(run)}"
        )
        raise SystemExit(128 + outcome.stopped_by)
    click.echo(
        f"Test accuracy {outcome.accuracy:.3f} after {outcome.step} steps.\n"
        f"Pictures of its layers: deconvviz reconstruct --ckpt {word(run.path)}\n"
        f"Run: {run.path}"
    )


def _resume(run: "RunDirectory") -> str:
    return f"deconvviz train --resume {word(run.path)}"

"""`deconvviz evolution`: the networks that a run kept, and what their feature maps came to see."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deconvviz.atomic import remove_abandoned
from deconvviz.cli import options
from deconvviz.cli.checkpoint import answers, look_at, run_of
from deconvviz.cli.command import command
from deconvviz.cli.data_options import refuse_meaningless
from deconvviz.cli.pictures import own_config, say_taken
from deconvviz.cli.progress import each, kept_when_stopped, waiting
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.stopping import Stopped
from deconvviz.cli.tensorboard import tensorboard
from deconvviz.errors import CheckpointError
from deconvviz.listing import counted

if TYPE_CHECKING:
    from deconvviz.data import Dataset, Preprocess
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.experiments.evolution import Moment
    from deconvviz.training.rundir import RunDirectory


@command()
@click.option(
    "--ckpt",
    type=click.Path(path_type=Path),
    required=True,
    metavar="RUN",
    help="A run's folder, such as logs/classic-1.",
)
@options.DATA_DIR
@options.SKIP_BROKEN
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Search only so many training images, spread evenly.  [default: the run's "
    "evolution.images]",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATH",
    help="A layer's name, or its path through nested models; may be repeated.  "
    "[default: the run's evolution.layers, or every max pool]",
)
@click.option(
    "--feature",
    "features",
    type=click.IntRange(0),
    multiple=True,
    metavar="K",
    help="A feature map; may be repeated.  [default: the run's evolution.features]",
)
@options.RULES
@options.LOGDIR
@options.VERBOSE
def evolution(
    ckpt: Path,
    data_dir: Path | None,
    skip_broken: bool,
    limit: int | None,
    layers: tuple[str, ...],
    features: tuple[int, ...],
    rules: str,
    logdir: Path | None,
    verbose: bool,
) -> None:
    """Watch feature maps form: what each responded to most, at every step that a run kept.

    One row a map, one column a step: the training image's patch beside the unit's reconstruction,
    each with the weights of its step. In TensorBoard, a slider runs over the steps.
    """
    refuse_meaningless(ckpt, None)
    run, kept = _kept(ckpt)
    folder = answers(ckpt, logdir) / "evolution"
    remove_abandoned(folder)
    import_tensorflow(verbose)
    from deconvviz.data import Preprocess, load_dataset
    from deconvviz.drawings.evolution import write_evolution

    config = run.config()
    data = own_config(config.data, data_dir, skip_broken)
    with waiting(f"loading {data.name}"):
        dataset = load_dataset(data, config.train.seed)
    if data_dir:
        say_taken(dataset)
    search = _Search(
        dataset,
        Preprocess(data.preprocess, data.crop),
        tuple(dict.fromkeys(layers)) or config.evolution.layers,
        tuple(dict.fromkeys(features)) or config.evolution.features,
        limit or config.evolution.images,
        rules,
        folder / "found",
    )
    with kept_when_stopped():
        moments, stopped = _moments(kept, search)
        record = {"run": str(run.path), "preprocess": search.preprocess.name}
        own = f"-feature{'+'.join(map(str, features))[:40]}" if features else ""
        for layer, of_layer in moments.items():
            name = f"{search.dataset.name}-{rules}-{layer.replace('/', '.')}"
            path = write_evolution(
                folder / f"{name}-{of_layer[0].searched}images{own}",
                of_layer,
                search.dataset.train.images,
                search.preprocess,
                search.dataset.name,
                rules,
                record,
            )
            click.echo(f"{counted(len(of_layer), 'step')} of {layer}: {path}")
        click.echo(f"In TensorBoard: {tensorboard(folder)}")
    if stopped:
        stopped.words = (
            f"Stopped after {len(of_layer)} of {counted(len(kept), 'step')}; what was found is "
            "drawn. The same call goes on from there."
        )
        raise stopped


@dataclass(frozen=True)
class _Search:
    """What is sought in which images; no layers stand for every max pool.

    What was found stays in `found`, so that a search that was stopped goes on, and other features
    of the same layers need no new one.
    """

    dataset: "Dataset"
    preprocess: "Preprocess"
    layers: tuple[str, ...]
    features: tuple[int, ...]
    images: int
    rules: str
    found: Path

    def at(self, net: "Deconvnet", step: int) -> "dict[str, Moment]":
        from deconvviz.drawings.rows import max_pools
        from deconvviz.experiments.evolution import strongest_moment

        images, layers = self.dataset.train.images, self.layers or max_pools(net)
        asked = repr((self.dataset.fingerprint, self.preprocess, layers, self.images))
        digest = hashlib.sha256(asked.encode()).hexdigest()[:12]
        keep = self.found / f"step-{step:08d}-{digest}.npz"
        return strongest_moment(
            net, images, self.preprocess, layers, self.features, step, self.images, keep
        )


def _kept(ckpt: Path) -> "tuple[RunDirectory, dict[int, Path]]":
    from deconvviz.training.rundir import RunDirectory

    folder = run_of(ckpt)
    if folder is None:
        look_at(ckpt)  # says so where there is nothing at all
        raise CheckpointError(
            f"{ckpt} belongs to no run, and only a run keeps the networks that it had on its way. "
            "Give the folder of one, such as logs/classic-1."
        )
    run = RunDirectory.open(folder)
    kept = run.kept()
    if not kept:
        raise CheckpointError(
            f"{folder} kept no network on its way: its checkpoints/ holds no step-*.keras. "
            "Train again without evolution.steps, which keeps eight, or name the steps to keep."
        )
    return run, kept


def _moments(
    kept: dict[int, Path], search: _Search
) -> "tuple[dict[str, list[Moment]], Stopped | None]":
    """Search with one network after the other, until all are done or the command is stopped."""
    found: dict[str, list[Moment]] = {}
    try:
        for step, net in _networks(kept, search.rules):
            for layer, moment in search.at(net, step).items():
                found.setdefault(layer, []).append(moment)
    except Stopped as stopped:
        if not found:
            raise
        return found, stopped
    return found, None


def _networks(kept: dict[int, Path], rules: str) -> "Iterator[tuple[int, Deconvnet]]":
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.models.files import load_model

    for step, file in each(list(kept.items()), f"searching at {len(kept)} steps"):
        yield step, Deconvnet(load_model(file), rules=rules)

"""`deconvviz sanity`: what may, and what may not, be read off a network's pictures."""

import re
import shlex
from pathlib import Path

import click
from rich.console import Console

from deconvviz.cli import options
from deconvviz.cli.checkpoint import checkpoint as find_out
from deconvviz.cli.checkpoint import input_shape, look_at, run_of
from deconvviz.cli.checkpoint import preprocess as way_in
from deconvviz.cli.pictures import NO_IMAGES, Fit, data_set, load, own_images, require_sound
from deconvviz.cli.quiet import import_tensorflow
from deconvviz.cli.tensorboard import EVERY_STEP
from deconvviz.data.scalings import parse_scaling
from deconvviz.errors import ConfigError


@click.command()
@options.CKPT
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "photos", "folder"]),
    help="Which images to check on.  [default: the run's own]",
)
@options.SPLIT
@options.DATA_DIR
@click.option(
    "--images",
    "image",
    type=click.Path(path_type=Path),
    metavar="PATH…",
    help="Pictures of your own instead: two paths or more.",
)
@click.argument("more_images", nargs=-1, type=click.Path(path_type=Path), metavar="")
@click.option(
    "--limit",
    type=click.IntRange(2),
    default=24,
    show_default=True,
    help="How many images of a data set; below 20, the numbers are unsteady.",
)
@click.option(
    "--layer",
    metavar="PATH",
    help="The layer whose pictures to check.  [default: the last max pool]",
)
@click.option(
    "--feature",
    type=click.IntRange(0),
    metavar="K",
    help="The same feature map in every image.  [default: the strongest of each image]",
)
@options.RULES
@click.option(
    "--draws",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="How often each set of weights is drawn anew.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--preprocess",
    metavar="NAME",
    help="How images are scaled for the network: raw, unit, signed, standardize, caffe, torch, or "
    "mean=…,std=….  [default: the run's own]",
)
@options.FIT
@options.SIZE
@click.option(
    "--logdir",
    type=click.Path(path_type=Path),
    default=Path("logs"),
    show_default=True,
    help="Where a file that belongs to no run gets its folder.",
)
@options.VERBOSE
def sanity(
    ckpt: Path,
    dataset: str | None,
    split: str,
    data_dir: Path | None,
    image: Path | None,
    more_images: tuple[Path, ...],
    limit: int,
    layer: str | None,
    feature: int | None,
    rules: str,
    draws: int,
    seed: int,
    preprocess: str | None,
    fit: Fit,
    size: tuple[int, int] | None,
    logdir: Path,
    verbose: bool,
) -> None:
    """Check what a network's pictures prove: weights, unit, class and switches are changed in turn.

    One figure, one table and one paragraph in plain words, the gradient beside every number, as
    PNG, Markdown and JSON and in TensorBoard, in the run's folder under sanity/.
    """
    if more_images and not image:
        raise click.UsageError(f"Unexpected {more_images[0]}; pictures go behind --images.")
    if image and (dataset or data_dir):
        raise click.UsageError("--images shows your own pictures; leave out --dataset, --data-dir.")
    files = (image, *more_images) if image else ()
    if len(files) == 1:
        raise click.UsageError("--images takes two pictures or more: they are compared.")
    if preprocess is not None:
        parse_scaling(preprocess)
    file = look_at(ckpt)
    if not (files or dataset or run_of(ckpt)):
        raise ConfigError(NO_IMAGES)
    require_sound(files)
    import_tensorflow(verbose)
    from deconvviz.deconv.deconvnet import Deconvnet
    from deconvviz.drawings.rows import max_pools
    from deconvviz.drawings.sanity import write_sanity
    from deconvviz.experiments.findings import Settings
    from deconvviz.experiments.sanity import check
    from deconvviz.experiments.verdict import verdict
    from deconvviz.models.files import load_model

    checkpoint = find_out(ckpt, file, logdir)
    net = Deconvnet(load_model(ckpt), rules=rules)
    layer = layer or max_pools(net)[-1]
    net.require(layer)
    scaling = way_in(checkpoint, preprocess, net)
    shape = input_shape(checkpoint, net, size)
    if files:
        pictured = own_images(files, shape, fit)
    else:
        data = load(checkpoint, dataset, data_dir, max(shape[:2]))
        pictured = data_set(data, split, limit, shape, fit)
    settings = Settings(draws, seed)
    with Console(stderr=True).status(f"checking {layer}") as status:
        found = check(net, scaling(pictured.images), layer, rules, feature, settings, status.update)
    parts = (
        pictured.source,
        pictured.split,
        rules,
        layer.replace("/", ".")[:120],
        "" if feature is None else f"feature{feature}",
        "" if preprocess is None else re.sub(r"[^\w.]+", "_", preprocess),
        "{}x{}".format(*size) if size else "",
        "crop" if fit == "crop" else "",
    )
    folder = checkpoint.folder / "sanity" / "-".join(part for part in parts if part)
    about = {"checkpoint": str(ckpt), "sha256": file.sha256, "preprocess": scaling.name}
    path = write_sanity(folder, found, pictured, scaling, checkpoint.step, about)
    click.echo(f"{verdict(found)}\n\nFigure: {path}\nTable: {path.with_suffix('.md')}")
    logs = shlex.quote(str(checkpoint.folder.parent))
    click.echo(f"In TensorBoard: tensorboard --logdir {logs} {EVERY_STEP}")

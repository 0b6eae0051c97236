"""`deconvviz invariance`: how far features move when what an image shows is moved."""

import click

from deconvviz.cli import options
from deconvviz.cli.asked import Asked, ask, folder_words
from deconvviz.cli.classes import network_labels
from deconvviz.cli.command import command
from deconvviz.cli.pictures import mean_colour
from deconvviz.cli.progress import working
from deconvviz.listing import counted

_COLOURS = 6  # of the curves, told apart by everybody


@command()
@ask
@options.SOURCE
@options.IMAGES
@click.option(
    "--limit",
    type=click.IntRange(1, _COLOURS),
    default=5,
    show_default=True,
    help="How many images of a data set.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATH",
    help="A layer's name, or its path through nested models; may be repeated, the lowest first.  "
    "[default: the first layer of features and the last]",
)
@options.PREPARED
def invariance(asked: Asked, limit: int, layers: tuple[str, ...]) -> None:
    """Move, enlarge and turn images, and see how far a low and a high layer's features go.

    One figure: variants of the images, the distances in each layer, and the probability of each
    image's class, as a PNG and in TensorBoard, in the run's folder under invariance/. The class of
    pictures of your own is the one that the network finds in them.
    """
    if len(asked.files) > _COLOURS:
        raise click.UsageError(f"--images takes {_COLOURS} pictures at most, each a colour.")
    opened = asked.open(layers=layers, forward_only=True)
    from deconvviz.drawings.invariance import write_invariance
    from deconvviz.experiments.invariance import low_and_high, measure_invariance

    layers = tuple(dict.fromkeys(layers)) or low_and_high(opened.net)
    dataset, scaling = opened.dataset(), opened.scaling
    pictured = opened.pictured(dataset, limit)
    labels = network_labels(opened.checkpoint, dataset, asked.split) if dataset else None
    own = None if labels is None else labels[:limit]
    inputs = scaling(pictured.images)
    fill = mean_colour(inputs, scaling)
    with working(f"transforming {counted(len(inputs), 'image')}"):
        record = measure_invariance(opened.net, inputs, own, layers, fill=fill)
    folder = opened.folder("invariance", pictured.source, pictured.split, folder_words(layers))
    step, about = opened.checkpoint.step, opened.record()
    path = write_invariance(folder, record, pictured, scaling, step, about)
    click.echo(f"{counted(len(inputs), 'image')}, {' and '.join(layers)}: {path}")
    opened.say_where()

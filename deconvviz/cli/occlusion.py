"""`deconvviz occlusion`: what a network loses when a square hides a part of the image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from deconvviz.cli import options
from deconvviz.cli.asked import Asked, Opened, ask, folder_words
from deconvviz.cli.classes import network_labels
from deconvviz.cli.command import command
from deconvviz.cli.progress import each as in_turn
from deconvviz.listing import counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deconvviz.drawings.occlusion_figure import OccludedImage
    from deconvviz.drawings.rows import Pictured


@command()
@ask
@options.SOURCE
@options.IMAGES
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="How many images of a data set.",
)
@options.LAYER
@options.FEATURE
@click.option(
    "--square",
    type=click.IntRange(1),
    metavar="N",
    help="The square's side in pixels.  [default: a quarter of the image, at most 64]",
)
@click.option(
    "--stride",
    type=click.IntRange(1),
    metavar="N",
    help="How far it goes each time, in pixels.  [default: a quarter of its side]",
)
@options.RULES
@options.NONLINEAR
@options.PREPARED
def occlusion(
    asked: Asked,
    limit: int,
    layer: str | None,
    feature: int | None,
    square: int | None,
    stride: int | None,
    rules: str,
    nonlinear: str,
) -> None:
    """Slide a grey square over images, and see what the network loses at each place.

    One figure an image: the image, what its strongest feature map shows, how active that map still
    is, how probable the image's class still is, and which class is the most probable. As a PNG and
    in TensorBoard, in the run's folder under occlusion/. The class of pictures whose class the
    network did not learn, such as your own, is the one that it finds in them.
    """
    opened = asked.open(rules, nonlinear, [layer] if layer else [])
    from deconvviz.drawings.occlusion import write_occlusions
    from deconvviz.drawings.rows import max_pools

    layer = layer or max_pools(opened.net)[-1]
    opened.net.require(layer)
    source, what = _source(opened, limit), _Sweep(layer, feature, square, stride, rules)
    folder = opened.folder("occlusion", *what.folder_words(source.pictured))
    each = _occluded(opened, source, what)
    for path in write_occlusions(folder, each, opened.checkpoint.step, opened.record()):
        click.echo(path)
    opened.say_where()


@dataclass(frozen=True)
class _Sweep:
    """Which feature map is watched, and how the square goes over the image."""

    layer: str
    feature: int | None
    square: int | None
    stride: int | None
    rules: str

    def folder_words(self, pictured: "Pictured") -> tuple[str, ...]:
        chosen = {"feature": self.feature, "square": self.square, "stride": self.stride}
        return (
            pictured.source,
            pictured.split,
            self.rules,
            folder_words([self.layer]),
            *(f"{name}{value}" for name, value in chosen.items() if value is not None),
        )


@dataclass(frozen=True)
class _Source:
    """Images, their true classes where they are known, and the mean colour of their kind."""

    pictured: "Pictured"
    labels: tuple[int | None, ...]
    classes: tuple[str, ...]
    mean: "npt.NDArray[np.uint8]"  # [H, W, C], one colour


def _source(opened: Opened, limit: int) -> _Source:
    from deconvviz.data import fit_images

    data, shape, asked = opened.dataset(), opened.shape, opened.asked
    pictured = opened.pictured(data, limit)
    record = opened.checkpoint.record()
    learnt = record.data.classes if record else ()
    unknown = (None,) * len(pictured.images)
    if data is None:
        return _Source(pictured, unknown, learnt, _mean_colour(pictured.images))
    colour = _mean_colour(data.train.images)[None]
    mean = fit_images(colour, shape[:2], grey=shape[2] == 1, fit=asked.fit)[0]
    labels = network_labels(opened.checkpoint, data, asked.split)
    if labels is None:
        return _Source(pictured, unknown, learnt, mean)
    return _Source(pictured, tuple(labels[:limit].tolist()), data.classes, mean)


def _mean_colour(images: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.uint8]":
    """Make an image of nothing but the images' mean colour: what a square shows that hides."""
    import numpy as np

    colour = images.mean(axis=(0, 1, 2)).round().astype(np.uint8)
    return np.broadcast_to(colour, images.shape[1:]).copy()


def _occluded(opened: Opened, source: _Source, what: _Sweep) -> Iterator["OccludedImage"]:
    from deconvviz.drawings.emptiness import why_empty
    from deconvviz.drawings.occlusion import project_watched
    from deconvviz.drawings.occlusion_figure import OccludedImage
    from deconvviz.drawings.rows import rule_words
    from deconvviz.experiments.occlusion import occlude, square_for

    net, scaling, pictured = opened.net, opened.scaling, source.pictured
    inputs, windows = scaling(pictured.images), scaling.window(pictured.images)
    # A standardised image has its own mean at 0; else the data's mean colour, scaled like them.
    value = 0.0 if scaling.name == "standardize" else scaling(source.mean[None])[0, 0, 0]
    square = square_for(inputs.shape[1:], value, what.square, what.stride)
    known = source.classes if len(source.classes) == net.model.outputs[0].shape[-1] else ()
    for index in in_turn(range(len(inputs)), f"hiding parts of {counted(len(inputs), 'image')}"):
        record = occlude(net, inputs[index], source.labels[index], what.layer, square, what.feature)
        with why_empty(others=True) as reasons:
            projection = project_watched(net, pictured.images[index], scaling, record)
        for reason in reasons:
            click.echo(f"Note: {reason}", err=True)
        yield OccludedImage(
            record=record,
            window=windows[index],
            projection=projection,
            rules=rule_words(net, [what.layer], what.rules),
            preprocess=scaling.name,
            data=pictured.origin,
            name=pictured.labels[index],
            classes=known,
            empty=tuple(reasons),
        )

"""What a network loses when a square hides a part of the image (Zeiler & Fergus 2013, Sec. 4.2).

The square slides over the image, and at each place the network is asked three things: how active
the strongest feature map of a layer still is, how probable the true class still is, and which class
is the most probable. Where the square lies on what a map's reconstruction shows, the map falls
silent: the paper's own test of its pictures.

The paper gives neither the square's size nor its stride nor its grey. The choices made here are in
the record.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.arguments import Layer, as_numbers
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DeconvvizError
from deconvviz.experiments.class_scores import are_probabilities, require_classifier, softmax
from deconvviz.experiments.given import filling, one_input
from deconvviz.listing import counted
from deconvviz.received import require, shown, whole

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_LARGEST = 64  # pixels of the square by itself, so that a large image is still looked at closely
_BYTES = 2**28  # of covered images and their activations that are in memory together
_BATCH = 128


@dataclass(frozen=True)
class Square:
    """The square that hides a part of the image.

    Attributes:
        size: its side, pixels.
        stride: how far it goes from one place to the next, pixels.
        value: what it is filled with, one value a channel, in the network's input space.
    """

    size: int
    stride: int
    value: tuple[float, ...]

    def places(self, shape: Sequence[int]) -> tuple[Integers, Integers]:
        """Give every top `[r]` and left edge `[c]` at which it lies whole within `[H, W, …]`."""
        rows, columns = (np.arange(0, n - self.size + 1, self.stride) for n in shape[:2])
        return rows, columns


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What one image's network answered, the square at each of r x c places.

    Attributes:
        layer: the layer's path.
        feature: the feature map that was watched; of a layer without spatial axes, the unit.
        activation: its largest single activation in the image as it is.
        square: what hid the image.
        rows: int `[r]`, the square's top edge at each place, pixels.
        columns: int `[c]`, its left edge.
        label: the class that `probability` is of: the true one, or the network's own answer.
        labelled: whether it is the true one.
        activity: float `[r, c]`, the map's activations summed over space.
        activity_without: the same without a square.
        probability: float `[r, c]`, in [0, 1], of the class `label`.
        probability_without: the same without a square.
        guess: int `[r, c]`, the most probable class.
        guess_without: the same without a square.
        softmax: whether the network's outputs are no probabilities, so that a softmax was applied.
    """

    layer: str
    feature: int
    activation: float
    square: Square
    rows: Integers
    columns: Integers
    label: int
    labelled: bool
    activity: Floats
    activity_without: float
    probability: Floats
    probability_without: float
    guess: Integers
    guess_without: int
    softmax: bool


def square_for(
    shape: Sequence[int],
    value: npt.ArrayLike = 0.0,
    size: int | None = None,
    stride: int | None = None,
) -> Square:
    """Choose the square for images of one shape.

    Args:
        shape: the height, width and channels of the network's input.
        value: what fills it, one for all channels or one a channel, in the network's input space.
            0 is the mean colour of a standardised image.
        size: its side in pixels; None takes a quarter of the shorter side, at most 64.
        stride: how far it goes each time, so that it has a second place; None takes a quarter of
            its side.

    Raises:
        DeconvvizError: for a square that is larger than the image, or has no second place in it.
    """
    try:
        height, width, channels = (whole("shape", side, 1) for side in shape)
    except (TypeError, ValueError):
        raise DeconvvizError(
            f"shape takes the height, width and channels of an image; received {shown(shape)}."
        ) from None
    shorter = min(height, width)
    size = max(1, min(round(shorter / 4), _LARGEST)) if size is None else whole("size", size)
    if not 1 <= size <= shorter:
        raise DeconvvizError(
            f"The square is {counted(size, 'pixel')} wide, and the network sees {height}x{width} "
            f"pixels. Choose 1 to {shorter}."
        )
    most = max(1, shorter - size)
    stride = min(max(1, size // 4), most) if stride is None else whole("stride", stride)
    if not 1 <= stride <= most:
        raise DeconvvizError(
            f"The square's stride is {counted(stride, 'pixel')}. Choose 1 to {most}, so that a "
            f"square of {counted(size, 'pixel')} has more than one place in {height}x{width}."
        )
    return Square(size, stride, filling("value", value, channels))


def occlude(
    net: Deconvnet,
    image: Floats,
    label: int | None,
    layer: Layer,
    square: Square | None = None,
    feature: int | None = None,
) -> Occlusion:
    """Slide a square over one image, and watch a feature map and the network's answer.

    Args:
        net: a classifier of one image input and one output, a number for each class.
        image: float32 `[H, W, C]` in network-input space; there, after preprocessing, it is hidden.
        label: the image's true class; None takes the one that the network finds in it.
        layer: the layer's path.
        square: from `square_for`; None takes its defaults.
        feature: the map to watch; None takes the one with the largest single activation in the
            image as it is.

    Returns:
        The record. The square stands at every (i * stride, j * stride) at which it lies whole
        within the image.

    Raises:
        DataError: for an image that the network does not take, activations that are not finite, a
            network that gives no number for each class, and a class that it does not have.
        DeconvvizError: for a layer or a feature that does not exist.

    Example:
        >>> record = occlude(net, x[0], label=3, layer="pool2")
        >>> record.rows[record.activity.min(axis=1).argmin()]  # where hiding hurts the map most

    References:
        Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks", Section 4.2
        and Figure 7 (arXiv v3).
    """
    output = require_classifier(net, () if label is None else (label,))
    image, layer = one_input(net, as_numbers(image)[None])[0], net.path(layer)
    require("square", square, (Square, type(None)), "a Square, which square_for makes, or None")
    maps, answers = _forward(net, image[None], layer, output)
    feature, activation = _watched(maps[0], layer, feature)
    known = are_probabilities(answers)
    shown = int(answers[0].argmax()) if label is None else label
    square = square or square_for(image.shape)
    rows, columns = square.places(image.shape)
    activity, answered = [_activity(maps, feature)], [answers]
    for covered in _batches(image, square, maps.nbytes):
        maps, answers = _forward(net, covered, layer, output)
        activity.append(_activity(maps, feature))
        answered.append(answers)
    active = np.concatenate(activity)
    scores = np.concatenate(answered)
    probable = scores if known else softmax(scores)
    guess, places = probable.argmax(axis=1), (len(rows), len(columns))
    return Occlusion(
        layer=layer,
        feature=feature,
        activation=activation,
        square=square,
        rows=rows,
        columns=columns,
        label=shown,
        labelled=label is not None,
        activity=active[1:].reshape(places),
        activity_without=float(active[0]),
        probability=probable[1:, shown].reshape(places),
        probability_without=float(probable[0, shown]),
        guess=guess[1:].reshape(places),
        guess_without=int(guess[0]),
        softmax=not known,
    )


def covered_images(
    image: Floats, square: Square, places: Sequence[tuple[int, int]] | Integers
) -> Floats:
    """Hide a part of an image, once for each place of the square.

    Args:
        image: `[H, W, C]`, in the space in which the square has its value.
        square: what hides it.
        places: m pairs, the square's top and left edge.

    Returns:
        `[m, H, W, C]`.
    """
    covered = np.repeat(image[None], len(places), axis=0)
    for one, (top, left) in zip(covered, places, strict=True):
        one[top : top + square.size, left : left + square.size] = square.value
    return covered


def _forward(net: Deconvnet, images: Floats, layer: str, output: str) -> tuple[Floats, Floats]:
    found = net.activations(images, tuple(dict.fromkeys((layer, output))))
    return found[layer], found[output]


def _watched(maps: Floats, layer: str, feature: int | None) -> tuple[int, float]:
    """Choose the feature map to watch, of `[..., C]`, and give its largest activation."""
    strongest = maps.reshape(-1, maps.shape[-1]).max(axis=0)
    chosen = int(strongest.argmax()) if feature is None else whole("feature", feature)
    if not chosen < len(strongest):
        raise DeconvvizError(
            f"Layer {layer!r} has features 0 to {len(strongest) - 1}; received {chosen}."
        )
    return chosen, float(strongest[chosen])


def _batches(image: Floats, square: Square, bytes_an_image: int) -> Iterator[Floats]:
    places = np.stack(np.meshgrid(*square.places(image.shape), indexing="ij"), axis=-1)
    batch = max(1, min(_BYTES // (image.nbytes + bytes_an_image), _BATCH))
    each = places.reshape(-1, 2)
    for first in range(0, len(each), batch):
        yield covered_images(image, square, each[first : first + batch])


def _activity(maps: Floats, feature: int) -> Floats:
    one = maps[..., feature].astype(np.float64)
    return one.sum(axis=tuple(range(1, one.ndim))).astype(np.float32)

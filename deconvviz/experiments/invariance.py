"""How far a layer's features move when what the image shows is moved, enlarged or turned.

Small changes move the features of a first layer far and those of a top layer little, and what the
network finally says hardly (Zeiler & Fergus 2013, Section 4.1 "Feature Invariance", Figure 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.experiments.class_scores import are_probabilities, require_classifier, softmax
from deconvviz.experiments.given import filling, one_input, require_net
from deconvviz.experiments.transforming import Transformation, papers_transformations, transformed
from deconvviz.listing import listed
from deconvviz.received import require

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curves:
    """What one transformation does, by its amounts.

    Attributes:
        transformation: which, and its T amounts.
        distance: float64 `[layers, n, T]`, the Euclidean distance of an image's features from those
            of the image as it is; exactly 0 where it was left as it is.
        probability: float32 `[n, T]`, in [0, 1], of the image's class.
    """

    transformation: Transformation
    distance: Numbers
    probability: Floats


@dataclass(frozen=True, eq=False)
class Invariance:
    """How far features move, and the answer with them.

    Attributes:
        layers: the layers' paths, the lowest first.
        curves: one a transformation.
        norm: float64 `[layers, n]`, the Euclidean norm of each image's features as it is.
        classes: int64 `[n]`, the class whose probability is given.
        true_classes: whether it is the image's true one, or the one that the network finds most
            probable in the image as it is.
        softmax: whether the network's outputs are no probabilities, so that a softmax was applied.
        fill: `[C]`, what came in from outside the image, in the network's input space.
    """

    layers: tuple[str, ...]
    curves: tuple[Curves, ...]
    norm: Numbers
    classes: npt.NDArray[np.int64]
    true_classes: bool
    softmax: bool
    fill: tuple[float, ...]

    def relative(self, curves: Curves) -> Numbers:
        """Give distances in norms of the features, `[layers, n, T]`; NaN where the norm is 0."""
        norm = np.where(self.norm > 0, self.norm, np.nan)
        return curves.distance / norm[..., None]


def low_and_high(net: Deconvnet) -> tuple[str, str]:
    """Name a network's first layer of features, and its last one before the class scores.

    The paper takes layers 1 and 7 of its eight.

    Raises:
        DeconvvizError: where there are no two such layers.
    """
    require_net(net)
    classes = net.layers[-1].output_shape[-1]
    found = [
        layer.path
        for layer in net.layers
        if ("Conv" in layer.kind or "Pooling" in layer.kind or layer.kind == "Dense")
        and layer.output_shape[-1] != classes
    ]
    if len(found) < 2:
        raise DeconvvizError(
            "The network has no two layers of features below its class scores to compare. Name "
            f"some of its layers: {listed([layer.path for layer in net.layers])}."
        )
    return found[0], found[-1]


def measure_invariance(
    net: Deconvnet,
    images: Floats,
    labels: Sequence[int] | npt.NDArray[np.int64] | None,
    layers: Sequence[str],
    transformations: Sequence[Transformation] | None = None,
    fill: float | Sequence[float] = 0.0,
) -> Invariance:
    """Move, enlarge and turn images, and see how far the features of some layers go.

    Args:
        net: a classifier of one image input and one output, a number for each class.
        images: float32 `[n, H, W, C]` in network-input space; there they are transformed.
        labels: `[n]`, their true classes; None takes the class that the network finds most probable
            in each image as it is.
        layers: the layers' paths; one forward pass serves all of them.
        transformations: None takes the paper's.
        fill: what comes in from outside, one value or one a channel. 0 is the mean colour of a
            standardised image.

    Returns:
        The record. A variant that equals its image is not run again, so that its distance is 0
        exactly, on any machine.

    Raises:
        DataError: for a network that gives no number for each class, for a class that it lacks, and
            for activations that are not finite.
        DeconvvizError: for a layer that does not exist.

    Example:
        >>> record = measure_invariance(net, x, y, low_and_high(net))
        >>> record.relative(record.curves[0])[:, 0]  # of the first image, by the pixels moved

    References:
        Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks", Figure 5.
    """
    if labels is not None:
        require("labels", labels, (Sequence, np.ndarray), "a class an image, or None")
    if transformations is not None:
        require("transformations", transformations, (list, tuple), "Transformations, or None")
        for transformation in transformations:
            require("transformations", transformation, Transformation, "Transformations, or None")
    output = require_classifier(net, () if labels is None else labels)
    images, layers = one_input(net, images), net.paths(layers)
    if labels is not None and len(labels) != len(images):
        raise DataError(f"There are {len(images)} images and {len(labels)} labels; give one each.")
    colour = filling("fill", fill, images.shape[-1])
    chosen = papers_transformations(images.shape[1]) if transformations is None else transformations
    plain = net.activations(images, tuple(dict.fromkeys((*layers, output))))
    answers = plain[output]
    classes = answers.argmax(axis=1) if labels is None else np.asarray(labels, np.int64)
    logits = not are_probabilities(answers)
    curves = []
    for one in chosen:
        distance, moved = _measured(net, images, layers, plain, one, colour)
        probable = softmax(moved) if logits else moved
        curves.append(Curves(one, distance, probable[np.arange(len(images)), :, classes]))
    return Invariance(
        layers=tuple(layers),
        curves=tuple(curves),
        norm=np.stack([_norms(plain[layer]) for layer in layers]),
        classes=classes,
        true_classes=labels is not None,
        softmax=logits,
        fill=colour,
    )


def _measured(
    net: Deconvnet,
    images: Floats,
    layers: Sequence[str],
    plain: dict[str, Floats],
    transformation: Transformation,
    fill: Sequence[float],
) -> tuple[Numbers, Floats]:
    """Measure all images under one transformation.

    Returns:
        The distances `[layers, n, T]`, and the network's answers `[n, T, classes]`.
    """
    output = net.layers[-1].path
    kind, amounts = transformation.kind, transformation.amounts
    distance = np.zeros((len(layers), len(images), len(amounts)))
    answers = np.repeat(plain[output][:, None], len(amounts), axis=1)
    for index, image in enumerate(images):
        variants = np.stack([transformed(image[None], kind, by, fill)[0] for by in amounts])
        changed = np.flatnonzero((variants != image).any(axis=(1, 2, 3)))
        for batch in net.batches(variants[changed], tuple(plain)):
            where = changed[batch]
            features = net.activations(variants[where], tuple(plain))
            answers[index, where] = features[output]
            for number, layer in enumerate(layers):
                distance[number, index, where] = _norms(features[layer] - plain[layer][index])
    return distance, answers


def _norms(features: npt.NDArray[np.floating]) -> Numbers:
    return np.linalg.norm(features.reshape(len(features), -1).astype(np.float64), axis=1)

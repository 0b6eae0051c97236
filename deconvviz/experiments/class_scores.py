"""A network's answer: how probable it finds each class.

Some networks end in a softmax, others in the scores before it. What adds up to 1 is taken as it is,
anything else through a softmax, and the record says which.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError
from deconvviz.experiments.given import require_net
from deconvviz.listing import counted
from deconvviz.received import whole

Floats = npt.NDArray[np.float32]


def require_classifier(net: Deconvnet, labels: Iterable[int] = ()) -> str:
    """Make sure that a network can be asked how probable some classes are.

    Returns:
        The path of the layer that gives its answer.

    Raises:
        DataError: for a network that does not take one input and give one number for each of two
            classes or more, and for a label that is none of its classes.
    """
    require_net(net)
    shapes = [tuple(tensor.shape[1:]) for tensor in net.model.outputs]
    inputs = len(net.model.inputs)
    if inputs != 1 or len(shapes) != 1 or len(shapes[0]) != 1 or (shapes[0][0] or 0) < 2:
        raise DataError(
            f"The network takes {counted(inputs, 'input')} and gives "
            f"{' and '.join(map(str, shapes))}; this "
            "takes a network of one image that gives one number for each of at least two classes."
        )
    strange = [label for label in (whole("label", one) for one in labels) if label >= shapes[0][0]]
    if strange:
        raise DataError(
            f"The network has classes 0 to {shapes[0][0] - 1}, and an image's class is "
            f"{strange[0]}. Give images of the classes that it was trained on."
        )
    return net.layers[-1].path


def are_probabilities(scores: Floats) -> bool:
    """Tell answers that add up to 1 from scores, however the softmax was written."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=-1), 1, atol=1e-3))


def softmax(scores: Floats) -> Floats:
    """Turn scores `[..., classes]` into probabilities."""
    powers: Floats = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities

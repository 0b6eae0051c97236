"""A copy of a network whose weights can be drawn anew, layer by layer, and put back.

If a picture shows what a network learnt, it must change when the learnt weights are replaced
(Adebayo et al. 2018). Layers above the target are left alone: they do not touch the picture.
"""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from deconvviz.deconv.graph import flatten
from deconvviz.errors import DeconvvizError

_CUT_DEVIATION = 0.8796  # of a normal distribution of deviation 1 that is cut off at 2


class Redrawn:
    """A copy of a model; the model itself is never written to.

    Args:
        model: a built Sequential or Functional model.
        layer: the path of the target.

    Attributes:
        model: the copy; it begins with the model's own weights.
        layers: the paths of the layers that have weights, from the target down to the pixels. One
            that only scales channels (batch normalisation) is drawn with the next one below that
            filters, since alone it cannot change what a unit's picture looks like. Normalization
            has learnt nothing and is left out.

    Raises:
        DeconvvizError: for a model that Keras cannot copy, or a target with no weights below it.
    """

    def __init__(self, model: keras.Model, layer: str) -> None:
        self.model = _copy(model)
        self._learnt = model.get_weights()
        self._weights = _weights_below(self.model, layer)
        self.layers = tuple(self._weights)
        if not self.layers:
            raise DeconvvizError(
                f"Layer {layer!r} has no weights below it, so nothing can be drawn anew. Choose a "
                "layer above a convolution."
            )

    def redraw(self, layers: Sequence[str], generator: np.random.Generator) -> None:
        """Give some layers new weights, and all others the learnt ones.

        Kernels are drawn from a normal distribution about 0, cut off at two deviations, that has
        the root mean square of the learnt kernel, so that activations keep their size. What has
        one axis (biases, and what batch normalisation holds) is shuffled among its channels.
        """
        self.model.set_weights(self._learnt)
        for variable in (each for layer in layers for each in self._weights[layer]):
            variable.assign(drawn_like(np.asarray(variable), generator))


def drawn_like(weights: npt.NDArray[np.floating], generator: np.random.Generator) -> npt.ArrayLike:
    """Draw weights of the shape and the size of others, as `Redrawn.redraw` says."""
    if weights.ndim < 2:
        return generator.permutation(weights)
    size = float(np.sqrt(np.mean(np.square(weights, dtype=np.float64))))
    seed = int(generator.integers(2**31))
    normal = keras.initializers.TruncatedNormal(stddev=size / _CUT_DEVIATION, seed=seed)
    return np.asarray(normal(weights.shape, dtype="float32"))


def _copy(model: keras.Model) -> keras.Model:
    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DeconvvizError(
            f"Keras cannot copy the model {model.name!r}, so its weights cannot be drawn anew "
            f"without harm to it. Give its own layers a get_config. Keras says: {reason}"
        ) from error
    return copy


def _weights_below(model: keras.Model, layer: str) -> dict[str, list[keras.Variable]]:
    """The weights of each layer that filters, with those that scale what it gives."""
    graph = flatten(model)
    found: dict[str, list[keras.Variable]] = {}
    waiting: dict[str, list[keras.Variable]] = {}
    seen: set[int] = set()
    for step in reversed(graph.below(graph.targets[layer])):
        operation = step.operation
        if id(operation) in seen or isinstance(operation, keras.layers.Normalization):
            continue
        seen.add(id(operation))  # a layer that is used twice has its weights once
        weights = [one for one in getattr(operation, "weights", ()) if "float" in str(one.dtype)]
        if any(len(one.shape) > 1 for one in weights):
            above = [one for each in waiting.values() for one in each]
            found[step.path] = weights + above
            waiting = {}
        elif weights:
            waiting[step.path] = weights
    return found | waiting

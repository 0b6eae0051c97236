"""The compiled ways, with numpy arrays at both ends and failures told in words.

What does not come through the network, or comes out of it as NaN or infinity, is no picture: it is
refused here, by the layer where it began.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from deconvviz.deconv.compiled import Compiled
from deconvviz.deconv.peaks import Peaks
from deconvviz.deconv.trace import Trace
from deconvviz.errors import DataError

Images = npt.NDArray[np.float32]
Inputs = tuple[Images, ...]


class Guarded:
    """Ask the compiled functions about a batch, and tell in words what goes wrong.

    Args:
        compiled: a model's two ways.

    Raises:
        DataError: in every method, where images are too small for the network, or where a value
            is not finite; it names the first layer that made one.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled

    def activations(self, inputs: Inputs, layers: tuple[str, ...]) -> list[Images]:
        """Run a batch forward, and give each layer's output, float32."""
        tensors = tuple(map(tf.convert_to_tensor, inputs))
        with self._explained(tensors, layers):
            outputs, fine = self._compiled.activations(tensors, layers)
        if not fine:
            self._name_broken(tensors, layers)
        return [np.asarray(output, np.float32) for output in outputs]

    def peaks(self, inputs: Inputs, layers: tuple[str, ...]) -> dict[str, Peaks]:
        """Run a batch forward, and give each layer's peaks."""
        tensors = tuple(map(tf.convert_to_tensor, inputs))
        with self._explained(tensors, layers):
            peaks, outputs, fine = self._compiled.peaks(tensors, layers)
        if not fine:
            self._name_broken(tensors, layers)
        each = zip(peaks, outputs, strict=True)
        return dict(zip(layers, (Peaks(x.numpy(), output) for x, output in each), strict=True))

    def reconstruct(
        self, inputs: Inputs, layers: tuple[str, ...], features: Any, at: Any, start: str
    ) -> tuple[Inputs, ...]:
        """Run a batch forward and back, as `Compiled.reconstruct`; for each layer its maps."""
        tensors = tuple(map(tf.convert_to_tensor, inputs))
        with self._explained(tensors, layers):
            maps, fine = self._compiled.reconstruct(tensors, layers, features, at, start)
        if not fine:
            self._name_broken(tensors, layers)
        return tuple(_finite(layer, of) for layer, of in zip(layers, maps, strict=True))

    def strengths(
        self, inputs: Inputs, layer: str, features: Any, at: Any, start: str
    ) -> dict[int, Images]:
        """Give how strong the signal is at each slot that it reaches, `[n]`."""
        tensors = tuple(map(tf.convert_to_tensor, inputs))
        with self._explained(tensors, (layer,)):
            found = self._compiled.strengths(tensors, layer, features, at, start)
        return {slot: strength.numpy() for slot, strength in found.items()}

    def trace(self, inputs: tuple[Any, ...], layer: str) -> Trace:
        """Run a batch forward, and keep what the way back needs."""
        tensors = tuple(map(tf.convert_to_tensor, inputs))
        with self._explained(tensors, (layer,)):
            traced, broken = self._compiled.trace(tensors, layer)
        if broken is not None:
            raise DataError(
                f"Layer {broken.path!r} gives values that are not finite (NaN or infinite) "
                "for these images, so no picture would mean anything. Check that the images are "
                "finite, that their preprocessing is the model's, and the model's weights."
            )
        return traced

    def project(self, traced: Trace, signal: Any) -> Inputs:
        """Run a signal back, and give a map for each input."""
        return _finite(traced.layer, self._compiled.project(traced, signal))

    def _name_broken(self, tensors: tuple[tf.Tensor, ...], layers: Sequence[str]) -> None:
        for layer in layers:
            self.trace(tensors, layer)

    @contextmanager
    def _explained(self, tensors: Sequence[Any], layers: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            sizes = " and ".join("x".join(map(str, x.shape[1:])) for x in tensors)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(
                f"Images of {sizes} do not come through the network as far as layer "
                f"{' and '.join(map(repr, layers))}; they may be too small for it. TensorFlow "
                f"says: {reason.rstrip('.')}."
            ) from error


def _finite(layer: str, maps: Sequence[tf.Tensor]) -> Inputs:
    arrays = tuple(np.array(part, np.float32) for part in maps)
    if not all(np.isfinite(part).all() for part in arrays):
        raise DataError(
            f"The way back from layer {layer!r} ends in values that are not finite: the signal is "
            "not, or it outgrew the layers' precision. Start from one feature or one unit, use "
            "start='one', or load the model in float32."
        )
    return arrays

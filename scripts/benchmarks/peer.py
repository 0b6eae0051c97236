"""One peer in a process of its own: `peer.py NAME CASE.npz`, driven through its pipes by `peers`.

It gets the classic network's first two layers and images, and prints for how many of them its
picture equals each of our two (of two maxima that lie close together, rounding may choose the
other); then, for each line that it reads, it makes the pictures once and prints the seconds. They
are the gradient, by its own rule for ReLUs, of half the squared pool2 activations summed: so that
the start signal is the activations themselves.
"""

import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

Picture = Callable[[], Any]
BATCH = 128
SAME = 1e-5  # of a picture's largest value


def captum(case: Mapping[str, Any]) -> Picture:
    """Prepare captum's Deconvolution, of PyTorch."""
    torch, attributions = import_module("torch"), import_module("captum.attr")
    layers = []
    for number in (1, 2):
        kernel, bias = (torch.tensor(case[f"{part}{number}"]) for part in ("kernel", "bias"))
        convolution = torch.nn.Conv2d(*kernel.shape[2:], kernel.shape[0], padding="same")
        convolution.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
        convolution.bias.data = bias
        layers += [convolution, torch.nn.ReLU(), torch.nn.MaxPool2d(2)]

    class HalfSquares(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, x: Any) -> Any:
            return x.square().sum((1, 2, 3)) / 2

    method = attributions.Deconvolution(torch.nn.Sequential(*layers, HalfSquares()).eval())
    images = torch.tensor(case["images"]).permute(0, 3, 1, 2).contiguous()

    def picture() -> Any:
        parts = [method.attribute(x.requires_grad_()).detach() for x in images.split(BATCH)]
        return torch.cat(parts).permute(0, 2, 3, 1).numpy()

    return picture


def tf_keras_vis(case: Mapping[str, Any]) -> Picture:
    """Prepare tf-keras-vis's Saliency with guided backpropagation, the nearest that it has."""
    import tensorflow as tf

    saliency = import_module("tf_keras_vis.saliency").Saliency
    guided = import_module("tf_keras_vis.utils.model_modifiers").GuidedBackpropagation()
    method = saliency(_keras_network(case), model_modifier=guided, clone=True)

    def half_squares(top: Any) -> Any:
        return tf.reduce_sum(tf.square(top), axis=(1, 2, 3)) / 2

    settings = {"keepdims": True, "gradient_modifier": None, "normalize_map": False}
    return lambda: np.concatenate(
        [np.asarray(method(half_squares, x, **settings)) for x in _batches(case["images"])]
    )


def xplique(case: Mapping[str, Any]) -> Picture:
    """Prepare Xplique's DeconvNet."""
    import tensorflow as tf

    def half_squares(model: Any, x: Any, _: Any) -> Any:
        return tf.reduce_sum(tf.square(model(x)), axis=(1, 2, 3)) / 2

    method = import_module("xplique.attributions").DeconvNet(
        _keras_network(case), batch_size=BATCH, operator=half_squares, reducer=None
    )
    unused = np.zeros((len(case["images"]), 1), np.float32)
    return lambda: np.asarray(method.explain(case["images"], unused))


PEERS = {"captum": captum, "tf-keras-vis": tf_keras_vis, "xplique": xplique}


def _keras_network(case: Mapping[str, Any]) -> Any:
    import keras

    layers: list[Any] = [keras.Input(case["images"].shape[1:])]
    for number in (1, 2):
        layers += [
            keras.layers.Conv2D(len(case[f"bias{number}"]), 5, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2, padding="same"),
        ]
    chain = keras.Sequential(layers)
    chain.set_weights([case[f"{part}{number}"] for number in (1, 2) for part in ("kernel", "bias")])
    return keras.Model(chain.inputs, chain.outputs)


def _batches(images: Any) -> list[Any]:
    return [images[first : first + BATCH] for first in range(0, len(images), BATCH)]


def _equal(ours: Any, other: Any) -> int:
    far = np.abs(ours - other).max((1, 2, 3)) / np.abs(ours).max((1, 2, 3))
    return int((far <= SAME).sum())


def main() -> None:
    name, path = sys.argv[1:]
    case = dict(np.load(path))
    picture = PEERS[name](case)
    made = picture()
    print(*(_equal(case[rules], made) for rules in ("deconvnet", "guided")), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        picture()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()

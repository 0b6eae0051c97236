"""Well-known networks with random weights, from three depths each, against autodiff.

Their graphs are other people's: residual and dense branches, depthwise and separable convolutions,
relu6, overlapping pools, padding of their own. Random weights serve as well as trained ones here.
"""

from typing import Any

import keras
import numpy as np
import pytest

from deconvviz import Deconvnet

ROUNDING = 1e-5  # float32 sums in another order, through up to a hundred and twenty layers
RULES = ("deconvnet", "guided", "gradient")

# For each network the size of its images, and three of its layers, from low to high.
DEPTHS = {
    "VGG16": (32, ("block1_pool", "block3_conv3", "fc2")),
    "ResNet50V2": (32, ("conv2_block1_out", "conv3_block2_2_relu", "avg_pool")),
    "DenseNet121": (32, ("conv2_block2_concat", "pool2_pool", "conv4_block2_concat")),
    "MobileNetV2": (32, ("block_1_depthwise_relu", "block_6_expand_relu", "out_relu")),
    "Xception": (71, ("block2_pool", "block4_sepconv2_bn", "block14_sepconv2_act")),
}


def randomised(name: str, size: int) -> keras.Model:
    """Give the network random weights that keep its activations at a moderate size."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
    random = np.random.default_rng(1)
    for variable in model.weights:
        role = variable.path.rsplit("/", 1)[-1]
        if role in ("beta", "moving_mean", "bias"):
            variable.assign(0.1 * random.normal(size=variable.shape))
        elif role in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.8, 1.2, size=variable.shape))
    return model


@pytest.mark.parametrize("name", DEPTHS)
def test_a_well_known_network_goes_back_from_three_depths_as_autodiff_does(
    name: str, reference: Any
) -> None:
    """Deconvnet from all three; the other rules, since compiling costs most, from the middle.

    One forward pass serves all rules, as it does in `reconstruct`.
    """
    size, depths = DEPTHS[name]
    model = randomised(name, size)
    random = np.random.default_rng(2)
    images = random.normal(size=(1, size, size, 3)).astype(np.float32)
    rules = dict.fromkeys(depths, ("deconvnet",)) | {depths[1]: RULES}
    nets = {rule: Deconvnet(model, rules=rule) for rule in RULES}
    traces = {layer: nets["deconvnet"].trace(images, layer) for layer in depths}
    signals = {
        layer: random.normal(size=trace.activation.shape).astype(np.float32)
        for layer, trace in traces.items()
    }
    expected = reference.back_through(model, images, signals, rules)
    for layer, rule in expected:
        maps = nets[rule].project(traces[layer], signals[layer])
        assert reference.distance(maps, expected[layer, rule]) < ROUNDING, (layer, rule)
    keras.backend.clear_session()

"""What the compiled way back does in a rule's place gives the rule's map."""

import itertools
import math
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deconvviz import Deconvnet
from deconvviz.deconv import compiled, rules, shortcuts
from deconvviz.deconv.rules import DECONVNET, StepTrace, transposed_convolution, unpooling
from deconvviz.deconv.shortcuts import SHORTCUTS, convolve, convolve_back, unpool_in_place

layers = keras.layers


def noise(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def traced(layer: Any, x: tf.Tensor, switches: bool = False) -> StepTrace:
    step: Any = SimpleNamespace(operation=layer, path="it", call=lambda xs: (layer(xs[0]),))
    found = None
    if switches:
        found = tf.nn.max_pool_with_argmax(
            x, layer.pool_size, layer.strides, layer.padding.upper(), output_dtype=tf.int64
        )[1]
    return StepTrace(step, (x,), (layer(x),), found)


@pytest.mark.parametrize("dtype", [tf.float16, tf.float32, tf.float64])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("window", "strides"), [(2, 2), (3, 2), ((3, 2), (1, 2)), (2, 3), (4, 1)])
@pytest.mark.parametrize("many", [0, 2**30])
def test_without_switches_a_pool_is_undone_at_them_ties_and_overlaps_included(
    window: Any,
    strides: Any,
    padding: str,
    dtype: tf.DType,
    many: int,
    monkeypatch: pytest.MonkeyPatch,
    need_kernels_in: Any,
    assert_equal_up_to_rounding: Any,
) -> None:
    need_kernels_in(dtype.name)
    monkeypatch.setattr(shortcuts, "_MANY_VALUES", many)
    pool = layers.MaxPooling2D(window, strides, padding, dtype=dtype.name)
    for size, ties in itertools.product([(8, 8), (7, 11)], [True, False]):
        x = noise(3, *size, 5)
        x = tf.cast(tf.round(x) if ties else x, dtype)
        trace = traced(pool, x, switches=True)
        wide = tf.float32 if dtype == tf.float16 else dtype
        signal = tf.cast(noise(*trace.outputs[0].shape, seed=1), wide)
        (slow,) = unpooling(trace, signal)
        (fast,) = tf.function(lambda: unpool_in_place(trace, signal), autograph=False)()  # noqa: B023
        assert fast.dtype == wide
        assert_equal_up_to_rounding(fast, slow, terms=16)  # sums where windows overlap
        np.testing.assert_array_equal(fast.numpy() != 0, slow.numpy() != 0)


@pytest.mark.parametrize("channels", [1, 3, 8, 9, 16])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, (5, 2), (1, 6)])
def test_a_kernel_turned_around_transposes_the_convolution(
    kernel: Any,
    padding: str,
    channels: int,
    monkeypatch: pytest.MonkeyPatch,
    assert_equal_up_to_rounding: Any,
) -> None:
    conv = layers.Conv2D(7, kernel, padding=padding)
    trace = traced(conv, noise(2, 12, 13, channels))
    signal = noise(*trace.outputs[0].shape, seed=1)
    (there,) = transposed_convolution(trace, signal)
    monkeypatch.setattr(shortcuts, "_MANY_POSITIONS", 0)
    monkeypatch.setattr(shortcuts, "transposed_convolution", None)  # it is not called
    back = tf.function(lambda: convolve_back(trace, signal)[0], autograph=False)
    with pytest.raises(TypeError, match="NoneType"):
        convolve_back(traced(layers.Conv2D(7, kernel, 2), noise(2, 12, 13, channels)), signal)
    monkeypatch.setattr(shortcuts, "transposed_convolution", transposed_convolution)
    assert_equal_up_to_rounding(back(), there, terms=math.prod(conv.kernel_size) * 7)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "how", [{}, {"padding": "same", "strides": 2}, {"dilation_rate": 2}, {"groups": 2}], ids=str
)
def test_a_convolution_with_its_bias_fused_is_the_layers(
    how: Any, dtype: str, bias: bool, need_kernels_in: Any, assert_equal_up_to_rounding: Any
) -> None:
    need_kernels_in(dtype.removeprefix("mixed_"))
    normal = keras.initializers.RandomNormal(stddev=1.0, seed=5)
    conv = layers.Conv2D(6, (3, 2), use_bias=bias, bias_initializer=normal, dtype=dtype, **how)
    x = tf.cast(noise(2, 9, 8, 4), conv.compute_dtype)
    step: Any = SimpleNamespace(operation=conv, call=lambda xs: (conv(xs[0]),))
    there = conv(x)
    (here,) = tf.function(lambda: convolve(step, (x,)), autograph=False)()
    assert here.dtype == there.dtype
    # Half precision is summed in float32; a fused op rounds with the bias added, not before.
    terms = 1 if dtype.startswith("mixed") else 3 * 2 * 4
    assert_equal_up_to_rounding(here, there, terms)


def chain(positions: int = 32) -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            layers.Input((positions, positions, 3)),
            layers.Conv2D(16, 5, padding="same", activation="relu", bias_initializer="normal"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(12, 3, activation="relu", bias_initializer="normal", name="conv2"),
            layers.MaxPooling2D(3, 2, padding="same", name="pool2"),
        ]
    )


@pytest.mark.parametrize("name", rules.METHODS)
def test_where_every_shortcut_is_taken_the_map_is_the_rules(
    name: str, assert_equal_up_to_rounding: Any
) -> None:
    net, images = Deconvnet(chain(), rules=name), noise(48, 32, 32, 3).numpy()
    assert shortcuts._MANY_POSITIONS < 48 * 14 * 14
    trace = net.trace(images, "pool2")
    there = net.project(trace, trace.activation)
    maps = net.reconstruct(images, "pool2")
    assert_equal_up_to_rounding(maps, there, terms=2 * (5 * 5 * 3 + 3 * 3 * 16))


def test_a_pool_is_rectified_early_only_where_that_changes_nothing(
    assert_equal_up_to_rounding: Any,
) -> None:
    """Signals that join behind the pool, and windows that overlap, are rectified afterwards."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    alone = layers.MaxPooling2D(2)(x)
    y = layers.Conv2D(6, 3, padding="same", activation="relu")(alone)
    beside = layers.Conv2D(6, 3, strides=2, padding="same")(y)
    joined = layers.Add()([layers.MaxPooling2D(2)(y), beside])
    z = layers.Conv2D(6, 3, padding="same", activation="relu")(joined)
    overlapping = layers.MaxPooling2D(3, 2, padding="same")(z)
    model = keras.Model(inputs, layers.Conv2D(4, 3, padding="same", name="last")(overlapping))
    net, images = Deconvnet(model), noise(5, 16, 16, 3).numpy()
    trace = net.trace(images, "last")
    there = net.project(trace, trace.activation)
    assert_equal_up_to_rounding(net.reconstruct(images, "last"), there, terms=2 * 3 * 3 * (3 + 18))


def test_a_rule_of_ones_own_gets_the_switches_all_the_same(
    assert_equal_up_to_rounding: Any,
) -> None:
    def unpool_only_the_first(traced: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
        assert traced.switches is not None
        return unpooling(traced, tf.where(traced.switches % 4 == 0, signal, 0.0))

    own = {**DECONVNET, layers.MaxPooling2D: unpool_only_the_first}
    assert unpool_only_the_first not in SHORTCUTS
    net, images = Deconvnet(chain(), rules=own), noise(2, 32, 32, 3).numpy()
    trace = net.trace(images, "pool1")
    there = net.project(trace, trace.activation)
    assert not np.allclose(there, Deconvnet(chain()).reconstruct(images, "pool1"))
    assert_equal_up_to_rounding(net.reconstruct(images, "pool1"), there, terms=2 * 5 * 5 * 3)


def test_on_a_gpu_the_rules_themselves_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where a GPU's pool gradient puts ties, nobody has measured.
    taken: list[StepTrace] = []

    def noted(one: StepTrace, signal: tf.Tensor) -> tuple[tf.Tensor, ...]:
        taken.append(one)
        return unpool_in_place(one, signal)

    monkeypatch.setattr(compiled, "SHORTCUTS", {unpooling: noted})
    images = noise(1, 32, 32, 3).numpy()
    Deconvnet(chain()).reconstruct(images, "pool1")
    assert len(taken) == 1
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"a {kind}"])
    Deconvnet(chain()).reconstruct(images, "pool1")
    assert len(taken) == 1

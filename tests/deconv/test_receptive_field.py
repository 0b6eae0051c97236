"""Receptive fields, held against published figures and against what a gradient really reaches.

With positive weights and average pools nothing cancels: the pixels that a unit's gradient reaches
are all that it can depend on (METHOD of the oracle: Araujo, Norris & Sim 2019, and autodiff).
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from deconvviz.deconv.graph import Graph, flatten
from deconvviz.deconv.receptive_field import (
    Box,
    ReceptiveField,
    receptive_field,
    receptive_fields,
    seen,
)

Size = tuple[int, int]


def square(size: int, stride: int, offset: int) -> ReceptiveField:
    return ReceptiveField((size,) * 2, (stride,) * 2, (offset,) * 2)


def conv(filters: int = 2, kernel: Any = 3, **options: Any) -> layers.Layer:
    options = {"padding": "same", "activation": "relu"} | options
    return layers.Conv2D(filters, kernel, **options)


def average(window: Any = 2, stride: Any = None, padding: str = "same") -> layers.Layer:
    return layers.AveragePooling2D(window, stride, padding=padding)


def chain(*stack: Any) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for layer in stack:
            x = layer(x)
        return x

    return run


# Graphs to look through, as functions of the images, so that each can be had at any size.


def residual(x: Any) -> Any:
    x = conv(4, 3, strides=2)(x)
    x = layers.Add()([x, chain(layers.BatchNormalization(), layers.ReLU(), conv(4), conv(4))(x)])
    y = chain(conv(4, 3, strides=2), conv(4))(x)
    return layers.ReLU()(layers.Add()([y, conv(4, 1, strides=2)(x)]))


def preactivated(x: Any) -> Any:
    """As in ResNet50V2: explicit padding, and a shortcut that is pooled."""
    x = chain(layers.ZeroPadding2D(3), conv(4, 7, strides=2, padding="valid"))(x)
    y = chain(layers.ZeroPadding2D(((1, 2), (1, 1))), conv(4, 3, strides=2, padding="valid"))(x)
    return layers.Average()([y, average(1, 2, "valid")(layers.ZeroPadding2D(((0, 1), (0, 0)))(x))])


def concatenated(x: Any) -> Any:
    x = conv(3, 3)(x)
    branches = [
        conv(2, 1)(x),
        conv(2, (5, 1))(x),
        chain(conv(2, 3), conv(2, (1, 4)))(x),
        chain(average(3, 1), conv(2, 1))(x),
    ]
    return average(3, 2)(layers.Concatenate()(branches))


def dilated(x: Any) -> Any:
    x = conv(2, 3, dilation_rate=(2, 3))(x)
    return layers.Add()([conv(2, 2, dilation_rate=4)(x), conv(2, 1)(x)])


def strided(x: Any) -> Any:
    return chain(conv(2, 4, strides=3), average((3, 2), (2, 1)), conv(2, 2, strides=(1, 2)))(x)


def skipping(x: Any) -> Any:
    """Kernels smaller than their strides leave pixels out, also behind a border."""
    return chain(conv(2, 1, strides=2), average(2, 3, "valid"), conv(2, 3))(x)


def unpadded(x: Any) -> Any:
    return chain(conv(2, (3, 2), padding="valid"), average(2, 2, "valid"), conv(2, 3))(x)


def cropped(x: Any) -> Any:
    x = chain(layers.Cropping2D(((2, 1), (0, 3))), conv(2, 5))(x)
    return layers.ZeroPadding2D(((0, 2), (1, 0)))(x)


def separable(x: Any) -> Any:
    return chain(
        layers.SeparableConv2D(3, 3, strides=2, padding="same"),
        layers.DepthwiseConv2D(4, depth_multiplier=2, padding="same", activation="relu6"),
        layers.DepthwiseConv2D(3, dilation_rate=2, padding="valid"),
        layers.Dense(2, activation="relu"),
    )(x)


def up_sampled(x: Any) -> Any:
    """A small U-Net; what is cut off goes back on by padding."""
    y = chain(average(2, 2, "valid"), conv(), layers.UpSampling2D((2, 2)))(x)
    high, wide = (have - got for have, got in zip(x.shape[1:3], y.shape[1:3], strict=True))
    y = layers.ZeroPadding2D(((0, high), (0, wide)))(y)
    return conv()(layers.Concatenate()([x, y]))


def bilinear(x: Any) -> Any:
    return chain(average(), layers.UpSampling2D((2, 4), interpolation="bilinear"), conv())(x)


def transposed(x: Any) -> Any:
    return chain(
        conv(2, 3, strides=2),
        layers.Conv2DTranspose(2, (3, 4), strides=(2, 3), padding="same"),
        average(3),
        layers.Conv2DTranspose(2, (2, 5), strides=2, padding="valid"),
        layers.Conv2DTranspose(2, 4, padding="same"),
    )(x)


def transposed_with_holes(x: Any) -> Any:
    x = average(3)(x)
    x = layers.Conv2DTranspose(2, (1, 2), strides=3, padding="valid", output_padding=(2, 1))(x)
    return layers.Conv2DTranspose(2, (1, 5), strides=2, padding="same", output_padding=(0, 1))(x)


def broadcast(x: Any) -> Any:
    """A row for all rows: each unit reads the one that it is added to."""
    row = conv(2, (x.shape[1], 3), padding="valid")(x)
    row = layers.ZeroPadding2D(((0, 0), (1, 1)))(row)
    return conv()(layers.Add()([conv()(x), row]))


def arithmetic(x: Any) -> Any:
    y = keras.ops.relu(conv(2)(x) * 2.0 + 1.0)
    y = keras.ops.concatenate([y, keras.ops.square(conv(2, 1)(y))], axis=-1)
    y, z = keras.ops.split(y, 2, axis=-1)
    z = average(3, 1)(z) / (1.0 + keras.ops.mean(y, axis=-1, keepdims=True))
    return layers.Multiply()([keras.ops.sqrt(y + 1.0), z])


def pointwise(x: Any) -> Any:
    """Everything that leaves a unit where it is."""
    x = chain(
        layers.Rescaling(1 / 2, 0.5),
        layers.RandomFlip(),
        layers.RandomRotation(0.5),
        conv(3, 3, activation="softmax"),
        layers.Dropout(0.5),
        layers.SpatialDropout2D(0.5),
        layers.GaussianNoise(1.0),
        layers.LayerNormalization(),
        layers.PReLU(shared_axes=(1, 2)),
        layers.LeakyReLU(),
        layers.Permute((1, 2, 3)),
        layers.Identity(),
        layers.Activation("gelu"),
        layers.Softmax(),
        layers.UnitNormalization(),
    )(x)
    return conv(2, 3, activation=tf.nn.relu)(x)


GRAPHS = (
    residual,
    preactivated,
    concatenated,
    dilated,
    strided,
    skipping,
    unpadded,
    cropped,
    separable,
    up_sampled,
    bilinear,
    transposed,
    transposed_with_holes,
    broadcast,
    arithmetic,
)
SIZES = ((12, 12), (9, 14), (13, 11))


def model_of(graph: Callable[[Any], Any], size: Sequence[int | None], channels: int = 2) -> Any:
    images = keras.Input((*size, channels))
    return keras.Model(images, graph(images))


def fill(model: keras.Model, draw: Callable[[tuple[int, ...]], Any]) -> None:
    for variable in model.trainable_variables:
        variable.assign(draw(tuple(variable.shape)))


def support(model: keras.Model, image: int = 0) -> np.ndarray:
    """What the gradient of each unit of the output reaches: bool `[h, w, H, W]`."""
    fill(model, lambda shape: np.full(shape, 1 / np.prod(shape[:-1])))
    height, width = model.outputs[0].shape[1:3]
    units = height * width
    pixels = [
        tf.random.stateless_uniform((units, *x.shape[1:]), (1, 2)) + 0.5 for x in model.inputs
    ]
    signal = tf.reshape(tf.eye(units), (units, height, width, 1))

    @tf.function
    def back() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            output = model(pixels if len(pixels) > 1 else pixels[0])
        return tape.gradient(output, pixels[image], output_gradients=output * 0 + signal)

    gradient = back().numpy().reshape(height, width, *model.inputs[image].shape[1:])
    return np.abs(gradient).max(axis=-1) > 0


def hull(reached: np.ndarray) -> Box:
    """The smallest box around what is true in `[H, W]`."""
    rows, columns = (np.flatnonzero(reached.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return Box(0, 0, 0, 0)
    return Box(*map(int, (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)))


def clipped(box: Box, size: Size) -> Box:
    return Box(max(box.top, 0), max(box.left, 0), min(box.bottom, size[0]), min(box.right, size[1]))


def last(model: keras.Model) -> tuple[Graph, str]:
    graph = flatten(model)
    return graph, list(graph.targets)[-1]


def regular(field: ReceptiveField, unit: Size) -> Box:
    """The box that the published formula gives: begin = offset + stride * unit."""
    top, left = (int(o + s * u) for o, s, u in zip(field.offset, field.stride, unit, strict=True))
    return Box(top, left, top + field.size[0], left + field.size[1])


def units_of(model: keras.Model) -> Any:
    return itertools.product(*map(range, model.outputs[0].shape[1:3]))


# Published figures.


def slim_vgg_16() -> list[Any]:
    """tf-slim's vgg_16 up to pool5: 3x3 "same" convolutions, 2x2 pools."""
    stages = ((2, 1), (2, 2), (3, 3), (3, 4), (3, 5))
    return [
        layer
        for convolutions, stage in stages
        for layer in (
            *(conv(1) for _ in range(convolutions)),
            layers.MaxPooling2D(2, name=f"pool{stage}"),
        )
    ]


def slim_alexnet_v2() -> list[Any]:
    """tf-slim's alexnet_v2 up to pool5."""
    return [
        conv(1, 11, strides=4, padding="valid"),
        layers.MaxPooling2D(3, 2),
        conv(1, 5),
        layers.MaxPooling2D(3, 2),
        conv(1, 3),
        conv(1, 3),
        conv(1, 3),
        layers.MaxPooling2D(3, 2, name="pool5"),
    ]


@pytest.mark.parametrize(
    ("network", "published"),
    [(slim_vgg_16, square(212, 32, -90)), (slim_alexnet_v2, square(195, 32, -64))],
    ids=["vgg_16", "alexnet_v2"],
)
def test_fields_are_those_that_the_receptive_field_library_publishes(
    network: Callable[[], list[Any]], published: ReceptiveField
) -> None:
    """github.com/google-research/receptive_field, README; its padding is minus our offset."""
    graph = flatten(model_of(chain(*network()), (224, 224), 1))
    assert receptive_field(graph, "pool5") == published


def test_fields_of_the_classic_program_are_those_worked_out_by_hand() -> None:
    from deconvviz.config import ModelConfig
    from deconvviz.models.classic import classic_network

    fields = receptive_fields(flatten(classic_network(ModelConfig(), (24, 24, 3), 10)))
    by_hand = {"conv1": (5, 1, 2), "pool1": (6, 2, 2), "conv2": (14, 2, 6), "pool2": (16, 4, 6)}
    for layer, (size, stride, padding) in {**by_hand, "conv3": (32, 4, 14)}.items():
        assert fields[layer] == square(size, stride, -padding)
    assert fields["flatten"] is fields["softmax"] is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(0, 1)), min_size=1, max_size=5
    )
)
def test_chains_without_padding_follow_the_closed_formulas(
    windows: list[tuple[int, int, int]],
) -> None:
    """r0 = 1 + sum (k - 1) prod s, S0 = prod s, P0 = sum p prod s (Araujo et al. 2019)."""
    size, stride, padding, stack = 1, 1, 0, []
    for kernel, step, padded in windows:
        size, padding = size + (kernel - 1) * stride, padding + padded * stride
        stride *= step
        stack.append(layers.ZeroPadding2D(padded))
        stack.append(layers.MaxPooling2D(kernel, step))
    graph, target = last(model_of(chain(*stack), (2000, 2000), 1))
    assert receptive_field(graph, target) == square(size, stride, -padding)


# What a gradient reaches.


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.__name__)
def test_the_box_is_exactly_what_a_units_gradient_reaches(
    graph: Callable[[Any], Any], size: Size
) -> None:
    """Oracle 22, at every unit of every graph."""
    model = model_of(graph, size)
    flat, target = last(model)
    reached, field = support(model), receptive_field(flat, target)
    assert field is not None
    assert reached.any()
    for y, x in units_of(model):
        box = seen(flat, target, (y, x))
        assert clipped(box, size) == hull(reached[y, x])
        assert box.bottom - box.top <= field.size[0]
        assert box.right - box.left <= field.size[1]

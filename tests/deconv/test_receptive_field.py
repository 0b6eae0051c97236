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
from deconvviz.errors import DeconvvizError

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


def padded_and_forked(x: Any) -> Any:
    """In the padding's corners one branch reads no row where another reads no column."""
    x = layers.ZeroPadding2D(1)(x)
    return layers.Concatenate()([conv(1, (1, 5))(x), x, average(2, 1)(x), conv(1, (5, 1))(x)])


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
    padded_and_forked,
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


def test_a_dilated_transposed_convolution_sees_what_the_convolution_is_seen_by() -> None:
    """TensorFlow cannot run it on a CPU, but it is the convolution's mirror image."""
    options: dict[str, Any] = {"dilation_rate": (2, 3), "padding": "same"}
    reached = support(model_of(conv(1, (3, 4), **options), (9, 11), 1))
    graph, target = last(model_of(layers.Conv2DTranspose(1, (3, 4), **options), (9, 11), 1))
    for y, x in itertools.product(range(9), range(11)):
        assert clipped(seen(graph, target, (y, x)), (9, 11)) == hull(reached[:, :, y, x])


def drawn(kind: str, kernel: Size, stride: int, padding: str) -> layers.Layer:
    if kind == "dilated":
        return conv(1, kernel, padding=padding, dilation_rate=stride)
    if kind == "pool":
        return average(kernel, stride, padding)
    if kind == "transposed":
        return layers.Conv2DTranspose(1, kernel, strides=min(stride, 2), padding=padding)
    if kind == "up":
        return layers.UpSampling2D((1, 2) if stride > 1 else 2)
    if kind == "pad":
        return layers.ZeroPadding2D(kernel)
    if kind == "crop":
        return layers.Cropping2D(((stride - 1, 1), (0, stride)))
    return conv(1, kernel, padding=padding, strides=stride)


LAYERS = st.tuples(
    st.sampled_from(("conv", "conv", "dilated", "pool", "transposed", "up", "pad", "crop")),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.integers(1, 3),
    st.sampled_from(("same", "valid")),
)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.lists(LAYERS, min_size=1, max_size=4),
    st.tuples(st.integers(8, 13), st.integers(8, 13)),
    st.booleans(),
)
def test_random_graphs_have_the_boxes_that_their_gradients_reach(
    stack: list[Any], size: Size, forked: bool
) -> None:
    def graph(x: Any) -> Any:
        y = chain(*(drawn(*layer) for layer in stack))(x)
        return layers.Concatenate()([conv(1, (1, 5))(y), y, average(2, 1)(y)]) if forked else y

    try:
        model = model_of(graph, size, 1)
    except ValueError:
        return  # nothing was left of the image, or TensorFlow refuses the window
    if not 0 < np.prod(model.outputs[0].shape[1:3]) < 2000:
        return
    flat, target = last(model)
    reached = support(model)
    for y, x in units_of(model):
        assert clipped(seen(flat, target, (y, x)), size) == hull(reached[y, x])


def pooled(x: Any) -> Any:
    """What networks are made of: signed weights, max pools, batch normalisation."""
    x = chain(conv(4, 5), layers.MaxPooling2D(3, 2, padding="same"))(x)
    y = chain(conv(4), layers.BatchNormalization(), layers.ReLU(6.0), conv(4))(x)
    x = layers.MaxPooling2D(2)(layers.Maximum()([x, y]))
    return layers.Conv2D(3, 2, padding="same", groups=1, activation="elu")(x)


@pytest.mark.parametrize(
    "graph", [*GRAPHS, pooled, pointwise], ids=lambda graph: str(graph.__name__)
)
def test_what_lies_outside_the_box_leaves_the_activation_as_it_is(
    graph: Callable[[Any], Any],
) -> None:
    """Oracle 27, with weights of either sign."""
    model, size, random = model_of(graph, (15, 14)), (15, 14), np.random.default_rng(0)
    fill(model, lambda shape: random.normal(size=shape) / np.sqrt(np.prod(shape[:-1])))
    flat, target = last(model)
    every = list(units_of(model))
    units = [every[i] for i in random.permutation(len(every))[:40]]
    image = random.random((*size, 2)).astype(np.float32)
    occluded = random.normal(scale=9, size=(len(units), *size, 2)).astype(np.float32) ** 2
    for picture, unit in zip(occluded, units, strict=True):
        box = clipped(seen(flat, target, unit), size)
        here = slice(box.top, box.bottom), slice(box.left, box.right)
        picture[here] = image[here]
    before, after = (
        model(images, training=False)
        for images in (np.broadcast_to(image, occluded.shape), occluded)
    )
    for number, (y, x) in enumerate(units):
        np.testing.assert_array_equal(after[number, y, x], before[number, y, x])


# The regular field.


@pytest.mark.parametrize("graph", [residual, preactivated, concatenated, dilated, strided, pooled])
def test_a_unit_far_from_the_border_has_the_box_of_the_formula(graph: Callable[[Any], Any]) -> None:
    model = model_of(graph, (60, 61))
    flat, target = last(model)
    field = receptive_field(flat, target)
    assert field is not None
    for unit in ([n // 2 for n in model.outputs[0].shape[1:3]], [4, 7]):
        y, x = unit
        assert seen(flat, target, (y, x)) == regular(field, (y, x))


@pytest.mark.parametrize("graph", [residual, concatenated, dilated])
def test_a_box_goes_on_into_the_padding_as_far_as_the_formula_says(
    graph: Callable[[Any], Any],
) -> None:
    model = model_of(graph, (12, 12))
    flat, target = last(model)
    field = receptive_field(flat, target)
    assert field is not None
    box = seen(flat, target, (0, 0))
    assert (box.top, box.left) == field.offset
    assert min(field.offset) < 0


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (11, 4), (5, 1), (4, 2)])
def test_pixels_are_seen_by_as_many_units_as_kernel_over_stride(kernel: int, stride: int) -> None:
    """Oracle 34 (Odena et al. 2016): floor(k / s) or one more, in turns."""
    model = model_of(conv(1, kernel, strides=stride, padding="valid"), (40, kernel), 1)
    flat, target = last(model)
    count = np.zeros(40, int)
    for y, x in units_of(model):
        box = seen(flat, target, (y, x))
        count[box.top : box.bottom] += 1
    inside = count[kernel : 40 - 2 * kernel + 1]
    turns = [len(range(phase, kernel, stride)) for phase in range(stride)]
    assert set(inside) == set(turns) == {kernel // stride, -(-kernel // stride)}


def test_uneven_fields_give_their_largest_size_and_mean_stride() -> None:
    """By hand: 3x nearest, then 3 wide: unit i reads the pixels from i-1 over 3 to i+1 over 3."""
    flat, target = last(model_of(chain(layers.UpSampling2D(3), conv(1, 3)), (8, 8), 1))
    field = receptive_field(flat, target)
    assert field == ReceptiveField((2, 2), (1 / 3, 1 / 3), (-1, -1))
    boxes = [seen(flat, target, (y, 4)) for y in (2, 3, 4, 5, 6)]
    assert [(box.top, box.bottom) for box in boxes] == [(0, 2), (0, 2), (1, 2), (1, 3), (1, 3)]


def test_fields_that_even_out_again_are_told_in_whole_pixels() -> None:
    stack = chain(conv(1), layers.UpSampling2D(2), layers.MaxPooling2D(2), average(2))
    flat, target = last(model_of(stack, (8, 8), 1))
    field = receptive_field(flat, target)
    assert field == square(4, 2, -1)
    assert all(isinstance(stride, int) for stride in field.stride)


# Where the whole image is seen.


@keras.saving.register_keras_serializable("receptive_field_test")
class Blurred(layers.Conv2D):
    def call(self, inputs: Any) -> Any:
        return super().call(keras.ops.flip(inputs, axis=1))


@keras.saving.register_keras_serializable("receptive_field_test")
class ByConvolution(layers.Conv2D):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(keras.ops.flip(inputs, axis=1), kernel)


@keras.saving.register_keras_serializable("receptive_field_test")
class Described(layers.Conv2D):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config()}


def squeeze_and_excite(x: Any) -> Any:
    return layers.Multiply()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])


def centred(x: Any) -> Any:
    return x - keras.ops.mean(x, axis=(1, 2), keepdims=True)


WHOLE: dict[str, Callable[[Any], Any]] = {
    "flatten": layers.Flatten(),
    "dense": chain(layers.Flatten(), layers.Dense(3)),
    "and back": chain(layers.Flatten(), layers.Dense(32), layers.Reshape((4, 4, 2))),
    "global": layers.GlobalMaxPooling2D(),
    "global, axes kept": layers.GlobalAveragePooling2D(keepdims=True),
    "squeeze and excite": squeeze_and_excite,
    "spatial mean": centred,
    "reshape": layers.Reshape((4, 16, 2)),
    "permute": layers.Permute((2, 1, 3)),
    "attention": lambda x: layers.MultiHeadAttention(1, 2, attention_axes=(1, 2))(x, x),
    "groups": layers.GroupNormalization(1),
    "layer normalization over space": layers.LayerNormalization(axis=(1, 2, 3)),
    "softmax over space": layers.Softmax(axis=1),
    "unit normalization over space": layers.UnitNormalization(axis=(1, 2)),
    "concatenated rows": lambda x: layers.Concatenate(axis=1)([x, x]),
    "columns concatenated by an op": lambda x: keras.ops.concatenate([x, x], axis=2),
    "a softmax over rows by an op": lambda x: keras.ops.softmax(x, axis=1),
    "half of the rows": lambda x: keras.ops.split(x, 2, axis=1)[0],
    "resized": layers.Resizing(5, 5),
    "bicubic": layers.UpSampling2D(2, interpolation="bicubic"),
    "flipped": lambda x: keras.ops.flip(x, axis=1),
    "rolled": lambda x: keras.ops.roll(x, 1, axis=2),
    "an activation of one's own": layers.Activation(centred),
    "a fused one": conv(2, 3, activation=centred),
    "a child's call": Blurred(2, 3),
    "a child's operation": ByConvolution(2, 3),
    "channels first": layers.ZeroPadding2D(1, data_format="channels_first"),
    "wrapped": layers.TimeDistributed(layers.Dense(2)),
    "recurrent": layers.ConvLSTM1D(2, 3, padding="same", return_sequences=True),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_unit_above_it_sees_the_whole_image(name: str) -> None:
    model = model_of(chain(conv(2, 3), WHOLE[name]), (8, 8))
    flat, target = last(model)
    assert receptive_field(flat, target) is None
    assert seen(flat, target, (0, 0)) == Box(0, 0, 8, 8)


@pytest.mark.parametrize("name", ["global, axes kept", "flipped", "permute"])
def test_so_do_the_units_of_all_layers_further_up(name: str) -> None:
    model = model_of(chain(WHOLE[name], conv(2, 3), layers.BatchNormalization()), (8, 8))
    assert set(receptive_fields(flatten(model)).values()) == {None}


def test_a_child_that_computes_what_its_parent_does_is_known_by_it() -> None:
    flat, target = last(model_of(Described(2, 3, strides=2), (9, 9)))
    assert receptive_field(flat, target) == square(3, 2, 0)


# Nested and shared layers, several inputs, open sizes.


def test_a_nested_layer_has_the_field_that_it_has_unnested() -> None:
    inside = keras.Sequential(
        [keras.Input((12, 12, 2)), conv(2, 3, name="conv"), average(2)], name="block"
    )
    graph = flatten(model_of(chain(conv(2, 5, name="conv"), inside, conv(2, 3)), (12, 12)))
    fields = receptive_fields(graph)
    assert fields["conv"] == square(5, 1, -2)
    assert fields["block/conv"] == square(7, 1, -3)
    assert fields["block"] == square(8, 2, -3)


def test_a_shared_layer_has_a_field_for_each_place() -> None:
    shared = conv(2, 3, name="conv")
    fields = receptive_fields(flatten(model_of(chain(shared, shared, average(2), shared), (8, 8))))
    assert fields["conv"] == square(3, 1, -1)
    assert fields["conv#2"] == square(5, 1, -2)
    assert fields["conv#3"] == square(10, 2, -4)


def test_each_input_is_seen_through_its_own_path() -> None:
    left, right = keras.Input((12, 12, 2), name="left"), keras.Input((24, 24, 2), name="right")
    x, y = conv(2, 3, name="near")(left), conv(2, 5, strides=2, name="far")(right)
    both = keras.Model([left, right], conv(2, 3, name="both")(layers.Add()([x, y])))
    graph = flatten(both)
    assert receptive_field(graph, "both", image=0) == square(5, 1, -2)
    assert receptive_field(graph, "both", image=1) == square(9, 2, -3)
    for image, size in ((0, (12, 12)), (1, (24, 24))):
        reached = support(both, image)
        for unit in units_of(both):
            box = seen(graph, "both", unit, image=image)
            assert clipped(box, size) == hull(reached[unit])


def test_a_layer_sees_nothing_of_an_input_that_it_does_not_depend_on() -> None:
    left, right = keras.Input((8, 8, 2)), keras.Input((8, 8, 2))
    x = conv(2, 3, name="near")(left)
    graph = flatten(keras.Model([left, right], layers.Add()([x, right])))
    assert receptive_field(graph, "near", image=1) == square(0, 0, 0)
    assert seen(graph, "near", (3, 3), image=1) == Box(0, 0, 0, 0)


def test_a_vector_beside_the_image_hides_nothing_of_the_image() -> None:
    image, vector = keras.Input((8, 8, 2)), keras.Input((5,))
    scale = layers.Reshape((1, 1, 2))(layers.Dense(2)(vector))
    x = conv(2, 3, name="after")(layers.Multiply()([conv(2, 3)(image), scale]))
    graph = flatten(keras.Model([image, vector], x))
    assert receptive_field(graph, "after") == square(5, 1, -2)
    assert receptive_field(graph, "after", image=1) is None
    with pytest.raises(DeconvvizError, match=r"shape \(5,\).*Choose an input"):
        seen(graph, "after", (0, 0), image=1)


OPEN = [
    graph
    for graph in (*GRAPHS, pooled)
    if graph not in (up_sampled, broadcast)  # they ask for the images' size themselves
]


@pytest.mark.parametrize("graph", OPEN, ids=lambda graph: str(graph.__name__))
def test_a_model_of_open_size_is_seen_through_as_one_of_that_size(
    graph: Callable[[Any], Any],
) -> None:
    size = (13, 14)
    closed, target = last(model_of(graph, size))
    opened = flatten(model_of(graph, (None, None)))
    fields = receptive_fields(opened, size)
    assert list(fields.values()) == list(receptive_fields(closed).values())
    top = list(opened.targets)[-1]
    for unit in ((0, 0), (1, 1)):
        assert seen(opened, top, unit, size) == seen(closed, target, unit)


def test_without_a_size_an_open_model_is_seen_at_a_multiple_of_its_strides() -> None:
    opened, target = last(model_of(residual, (None, None)))
    closed, same = last(model_of(residual, (64, 64)))
    assert receptive_field(opened, target) == receptive_field(closed, same)


# What a person can mend.


def test_what_the_model_does_not_have_is_refused_in_words() -> None:
    graph = flatten(model_of(conv(2, 3, strides=2, name="conv"), (8, None)))
    with pytest.raises(DeconvvizError, match=r"no layer 'cnov'\. Did you mean conv\? It has conv"):
        receptive_field(graph, "cnov")
    with pytest.raises(DeconvvizError, match="1 inputs, counted from 0; received image=1"):
        receptive_field(graph, "conv", image=1)
    with pytest.raises(DeconvvizError, match=r"8 x any pixels; received image_size=\(9, 8\)"):
        receptive_field(graph, "conv", (9, 8))
    with pytest.raises(DeconvvizError, match=r"4 units high and 6 wide.*received \(4, 0\)"):
        seen(graph, "conv", (4, 0), (8, 11))


@pytest.mark.parametrize(
    "augmentation",
    [
        layers.RandomFlip(),
        layers.RandomRotation(0.2),
        layers.RandomTranslation(0.5, 0.5),
        layers.RandomZoom(0.2),
        layers.RandomContrast(0.2),
        layers.RandAugment((0, 1)),
        layers.Dropout(0.5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_an_augmentation_leaves_what_a_unit_sees_alone(augmentation: Any) -> None:
    """At inference it is the identity, also where the model calls it with training=True."""
    images = keras.Input((32, 32, 3))
    x = augmentation(images, training=True)
    model = keras.Model(images, layers.Conv2D(2, 3, padding="same", name="conv")(x))
    field = receptive_field(flatten(model), "conv")
    assert field is not None
    assert (field.size, field.stride, field.offset) == ((3, 3), (1, 1), (-1, -1))

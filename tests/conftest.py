"""A zoo of small seeded networks that every claim about reconstructions runs through.

The chains bend one thing each away from the classic network: strides, VALID padding, odd sizes,
overlapping pools, ReLU as a layer of its own. The graphs branch, nest, share layers, take several
inputs, and hold what else a Keras model may be made of. All biases are non-zero unless the member
says otherwise, since a bias that is lost or subtracted twice must show. TensorFlow is imported when
a member is built, so that the rooms that do without it stay quick to test.
"""

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

Model = Any  # keras.Model, which must not be imported at the top
Sample = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Member:
    """One network of the zoo, and what is fed to it."""

    name: str
    model: Model
    images: Any  # float32 [n, H, W, C], or a tuple of such arrays for several inputs
    targets: tuple[str, ...]  # the layers that claims are checked at


@dataclass(frozen=True)
class Case:
    """One layer of one network."""

    member: Member
    target: str

    @property
    def model(self) -> Model:
        return self.member.model

    @property
    def images(self) -> Any:
        return self.member.images


@dataclass(frozen=True)
class Plan:
    """How a member is made: its layers, its input, its weights."""

    layers: Callable[[], list[Any]]
    size: tuple[int, int]
    targets: tuple[str, ...]
    bias: float = 0.3
    positive: bool = False
    images: int = 3


def conv(name: str, filters: int, kernel: Any, relu: bool = True, **settings: Any) -> Any:
    import keras

    settings.setdefault("padding", "same")
    activation = "relu" if relu else None
    return keras.layers.Conv2D(filters, kernel, activation=activation, name=name, **settings)


def pool(name: str, window: int = 2, stride: int = 2, padding: str = "same") -> Any:
    import keras

    return keras.layers.MaxPooling2D(window, stride, padding=padding, name=name)


def pool_with_switches(name: str) -> Any:
    from deconvviz.models.pooling import MaxPoolingWithSwitches

    return MaxPoolingWithSwitches(2, 2, padding="same", name=name)


def classic_layers(
    filters: tuple[int, int, int] = (6, 5, 4),
    last: int = 3,
    make_pool: Callable[[str], Any] = pool,
) -> list[Any]:
    import keras

    return [
        conv("conv1", filters[0], 5),
        make_pool("pool1"),
        conv("conv2", filters[1], 5),
        make_pool("pool2"),
        conv("conv3", filters[2], 5),
        keras.layers.AveragePooling2D(last, padding="same", name="pool3"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Softmax(name="softmax"),
    ]


def strided_layers() -> list[Any]:
    return [
        conv("conv1", 6, 5, strides=2),
        pool("pool1"),
        conv("conv2", 5, 3, strides=(2, 1)),
        pool("pool2"),
        conv("conv3", 4, 2),
    ]


def valid_layers() -> list[Any]:
    return [
        conv("conv1", 6, 4, padding="valid"),
        pool("pool1", padding="valid"),
        conv("conv2", 5, 3, padding="valid"),
        pool("pool2", padding="valid"),
    ]


def overlap_layers(stride: int) -> list[Any]:
    return [
        conv("conv1", 6, 3),
        pool("pool1", 3, stride),
        conv("conv2", 5, 3),
        pool("pool2", 3, stride, "valid"),
    ]


def separate_relu_layers() -> list[Any]:
    import keras

    return [
        conv("conv1", 6, 3, relu=False),
        keras.layers.ReLU(name="relu1"),
        pool("pool1"),
        conv("conv2", 5, 3, relu=False),
        keras.layers.Activation("relu", name="relu2"),
        pool("pool2"),
    ]


def linear_layers() -> list[Any]:
    return [
        conv("conv1", 6, 5, relu=False),
        pool("pool1"),
        conv("conv2", 5, 3, relu=False, strides=2),
        pool("pool2"),
        conv("conv3", 4, 3, relu=False),
    ]


def dilated_layers() -> list[Any]:
    return [
        conv("conv1", 6, 3, dilation_rate=2),
        pool("pool1"),
        conv("conv2", 5, 2, dilation_rate=(1, 2), padding="valid"),
    ]


def no_pool_layers() -> list[Any]:
    return [conv("conv1", 6, 3), conv("conv2", 5, 3, strides=2), conv("conv3", 4, 3)]


def batch_norm_layers() -> list[Any]:
    import keras

    return [
        conv("conv1", 6, 3, relu=False, use_bias=False),
        keras.layers.BatchNormalization(name="norm1"),
        keras.layers.ReLU(name="relu1"),
        pool("pool1"),
        conv("conv2", 5, 3, relu=False),
        keras.layers.BatchNormalization(name="norm2", epsilon=0.01),
        keras.layers.ReLU(name="relu2"),
    ]


def dense_layers() -> list[Any]:
    import keras

    return [
        conv("conv1", 6, 3),
        pool("pool1"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(8, activation="relu", name="hidden"),
        keras.layers.Dense(5, name="logits"),
        keras.layers.Softmax(name="softmax"),
    ]


# --- graphs -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Graph:
    """How a member that is no chain is made."""

    network: Callable[[], Model]
    targets: tuple[str, ...]
    size: tuple[int, int] = (12, 10)  # of the images, where the network leaves it open
    bias: float = 0.3
    positive: bool = False
    images: int = 2


def residual() -> Model:
    import keras

    images = keras.Input((13, 12, 3))
    x = conv("conv1", 6, 3)(images)
    y = conv("conv2", 6, 3, strides=2)(x)
    y = keras.layers.BatchNormalization(name="norm")(conv("conv3", 6, 3, relu=False)(y))
    short = conv("short", 6, 1, relu=False, strides=2)(x)
    x = keras.layers.Activation("relu", name="relu1")(keras.layers.Add(name="add1")([short, y]))
    y = conv("conv4", 6, 3)(x)
    x = keras.layers.Add(name="add2")([x, y, x])  # one branch counts twice
    return keras.Model(images, keras.layers.Dense(4, name="head")(pool("pool1")(x)))


def concatenating() -> Model:
    import keras

    images = keras.Input((12, 11, 3))
    x = pool("pool1", 3, 2)(conv("stem", 5, 3)(images))
    one = conv("one", 3, 1)(x)
    three = conv("three", 4, 3)(conv("reduce", 2, 1)(x))
    pooled = conv("pooled", 3, 1)(pool("pool2", 3, 1)(x))
    mean = keras.layers.AveragePooling2D(3, 1, padding="same", name="mean")(x)
    x = keras.layers.Concatenate(name="concat")([one, three, pooled, mean])
    return keras.Model(images, conv("conv2", 5, 3)(x))


def nested() -> Model:
    import keras

    inner = keras.Sequential(
        [keras.Input((6, 6, 4)), conv("conv", 5, 3), pool("pool", 3, 2)], name="inner"
    )
    middle_in = keras.Input((12, 12, 4))
    y = pool("pool")(conv("conv", 4, 3)(middle_in))
    middle = keras.Model(middle_in, inner(y), name="middle")
    outer_in = keras.Input((12, 12, 3))
    x = conv("conv", 4, 3)(outer_in)
    outer = keras.Model(outer_in, [middle(x), x], name="outer")
    images = keras.Input((12, 12, 3))
    deep, early = outer(images)
    x = keras.layers.Concatenate(name="join")([deep, pool("pool", 4, 4)(early)])
    return keras.Model(images, conv("last", 4, 3)(x))


def shared() -> Model:
    import keras

    images = keras.Input((12, 10, 3))
    again = conv("conv", 4, 3)
    block_in = keras.Input((None, None, 4))
    block = keras.Model(block_in, pool("pool", 2, 1)(conv("conv", 4, 3)(block_in)), name="block")
    x = again(conv("first", 4, 3)(images))
    x = block(again(x))
    x = keras.layers.Add(name="add")([x, block(x)])
    return keras.Model(images, conv("last", 4, 3)(x))


def two_inputs() -> Model:
    import keras

    colour, grey = keras.Input((12, 10, 3), name="colour"), keras.Input((12, 10, 1), name="grey")
    x = keras.layers.Concatenate(name="join")([conv("conv1", 4, 3)(colour), conv("g1", 3, 3)(grey)])
    x = conv("conv2", 4, 3)(pool("pool1")(x))
    return keras.Model([colour, grey], [x, keras.layers.Flatten(name="flat")(x)])


def greyscale() -> Model:
    import keras

    layers = keras.layers
    images = keras.Input((15, 9, 1))
    x = layers.Normalization(mean=0.3, variance=2.0, name="standard")(images)
    x = conv("conv1", 4, 3, padding="valid")(x)
    x = layers.SeparableConv2D(5, 3, padding="same", activation="relu", name="separable")(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = pool("pool1", 3, 2)(layers.ReLU(name="relu1")(layers.BatchNormalization(name="norm")(x)))
    return keras.Model(images, conv("conv2", 4, (3, 1), groups=2)(x))


def transposed() -> Model:
    import keras

    layers = keras.layers
    images = keras.Input((11, 12, 3))
    x = conv("conv1", 4, 3, strides=2)(images)
    x = layers.Conv2DTranspose(5, 4, 2, padding="same", activation="relu", name="up1")(x)
    x = layers.UpSampling2D((2, 1), name="up2")(x)
    x = conv("conv2", 4, 3, strides=(2, 1))(pool("pool1", 2, 1)(x))
    x = layers.UpSampling2D(2, interpolation="bilinear", name="up3")(x)
    return keras.Model(images, conv("conv3", 4, 3)(x))


def global_pooled() -> Model:
    import keras

    layers = keras.layers
    images = keras.Input((10, 9, 3))
    x = conv("conv2", 8, 3)(pool("pool1")(conv("conv1", 5, 3)(images)))
    largest = layers.GlobalMaxPooling2D(name="largest")(x)
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Concatenate(name="join")([largest, mean])
    hidden = layers.Dense(7, activation="relu", name="hidden")(x)
    return keras.Model(images, layers.Dense(5, name="logits")(hidden))


def capped() -> Model:
    """Rectifications of every kind that Zeiler and Fergus's rule can stand for."""
    import keras

    layers = keras.layers
    images = keras.Input((13, 12, 3))
    x = layers.ZeroPadding2D(((0, 1), (1, 0)), name="pad")(images)
    x = conv("conv1", 5, 3, relu=False, padding="valid", strides=2)(x)
    x = layers.ReLU(max_value=0.7, threshold=0.1, name="capped")(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu6", name="conv2")(x)
    x = layers.ReLU(max_value=6.0, name="six")(conv("conv3", 5, 3, relu=False)(x))
    x = layers.Activation("relu6", name="activation")(conv("conv4", 5, 3, relu=False)(x))
    x = keras.activations.relu6(conv("conv5", 5, 3, relu=False)(x))
    return keras.Model(images, conv("conv6", 4, 3)(x))


def keras_ops() -> Model:
    import keras

    ops = keras.ops
    images = keras.Input((10, 10, 4))
    x = ops.relu(conv("conv1", 4, 3, relu=False)(images * 2 + 0.1))
    x = ops.maximum(conv("conv2", 4, 3, relu=False)(0.2 - x), 0.0)
    y = ops.pad(ops.transpose(x, (0, 2, 1, 3)), ((0, 0), (1, 1), (0, 2), (0, 0)))
    y = ops.relu6(conv("conv3", 4, 3, relu=False, padding="valid")(y[:, :, 1:-1, ::-1]))
    left, right = ops.split(y / 3.0, 2, axis=-1)
    x = conv("conv4", 4, 3)(ops.concatenate([right, -left, ops.maximum(left, right)], axis=-1))
    x = ops.mean(ops.reshape(x, (-1, 5, 2, 8, 4)), axis=2)
    return keras.Model(images, conv("conv5", 3, 2)(x - 0.1 + x))


def maximum() -> Model:
    import keras

    layers = keras.layers
    images = keras.Input((12, 10, 3))
    a, b, c = (conv(name, 5, 3)(images) for name in ("a", "b", "c"))
    x = layers.Maximum(name="largest")([a, b, c])
    y = layers.Subtract(name="minus")(
        [conv("d", 4, 3)(pool("pool1")(x)), conv("e", 4, 5, strides=2)(x)]
    )
    z = layers.Average(name="mean")([y, conv("f", 4, 3)(y), y])
    x = layers.Maximum(name="larger")([keras.ops.maximum(y, z), z])
    return keras.Model(images, conv("last", 4, 3)(x))


def reshaped() -> Model:
    import keras

    layers = keras.layers
    images = keras.Input((12, 10, 3))
    x = layers.Rescaling(0.5, offset=-0.2, name="rescale")(images)
    x = layers.Cropping2D(((1, 0), (2, 1)), name="crop")(x)
    x = layers.ZeroPadding2D((0, 2), name="pad")(conv("conv1", 4, 3)(x))
    x = layers.Permute((2, 1, 3), name="turn")(x)
    x = pool("pool1")(layers.Reshape((11, 11, 4), name="reshape")(x))
    x = layers.SpatialDropout2D(0.5, name="drop")(layers.GaussianNoise(1.0, name="noise")(x))
    x = layers.Identity(name="same")(conv("conv2", 4, 3)(x))
    x = layers.Dense(6, activation="relu", name="hidden")(layers.Flatten(name="flat")(x))
    return keras.Model(images, layers.Dense(4, name="logits")(layers.Dropout(0.5, name="out")(x)))


def open_size() -> Model:
    import keras

    images = keras.Input((None, None, 3))
    x = keras.layers.RandomFlip(name="flip")(images)
    x = pool("pool1", 3, 2)(conv("conv1", 5, 3)(x))
    x = keras.layers.Add(name="add")([x, conv("conv2", 5, 3)(x)])
    x = conv("conv3", 4, 3, strides=2)(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D(name="mean")(x))


def straight() -> Model:
    """Branches, and neither a ReLU nor a bias nor a choice anywhere."""
    import keras

    layers = keras.layers
    images = keras.Input((12, 12, 3))
    x = layers.SeparableConv2D(5, 3, padding="same", name="separable")(images)
    y = layers.Conv2DTranspose(5, 3, 2, padding="same", name="up")(
        conv("a", 4, 3, False, strides=2)(x)
    )
    x = layers.Subtract(name="minus")([x, layers.AveragePooling2D(3, 1, padding="same")(y)])
    x = layers.Concatenate(name="join")([x, conv("b", 3, 3, False, dilation_rate=2)(x)])
    return keras.Model(images, layers.Average(name="mean")([conv("c", 4, 3, False)(x), x[..., :4]]))


GRAPHS = {
    "residual": Graph(residual, ("conv4", "head")),
    "concatenating": Graph(concatenating, ("conv2",)),
    "nested": Graph(nested, ("outer/middle/inner/conv", "last")),
    "shared": Graph(shared, ("block#2/conv", "last")),
    "two_inputs": Graph(two_inputs, ("g1", "flat")),
    "greyscale": Graph(greyscale, ("conv2",)),
    "transposed": Graph(transposed, ("conv2", "conv3")),
    "global_pooled": Graph(global_pooled, ("largest", "logits")),
    "capped": Graph(capped, ("conv6",)),
    "keras_ops": Graph(keras_ops, ("conv5",)),
    "maximum": Graph(maximum, ("last",)),
    "reshaped": Graph(reshaped, ("same", "logits")),
    "open_size": Graph(open_size, ("add", "mean")),
    "straight": Graph(straight, ("mean",), bias=0.0),
}

GRAPH_CASES = [(name, target) for name, graph in GRAPHS.items() for target in graph.targets]

CLASSIC_TARGETS = ("conv1", "pool1", "conv2", "pool2", "conv3", "pool3")

ZOO = {
    "classic": Plan(classic_layers, (12, 12), CLASSIC_TARGETS),
    "classic_odd": Plan(classic_layers, (13, 11), ("pool1", "pool2")),
    "classic_with_switches": Plan(
        functools.partial(classic_layers, make_pool=pool_with_switches),
        (12, 12),
        ("conv2", "pool2"),
    ),
    "strided": Plan(strided_layers, (17, 14), ("conv1", "pool2", "conv3")),
    "valid": Plan(valid_layers, (14, 15), ("pool1", "pool2")),
    "overlap": Plan(functools.partial(overlap_layers, 2), (13, 12), ("pool1", "pool2")),
    "dense_overlap": Plan(functools.partial(overlap_layers, 1), (9, 10), ("pool1", "pool2")),
    "separate_relu": Plan(separate_relu_layers, (12, 10), ("conv1", "relu1", "conv2", "pool2")),
    "linear": Plan(linear_layers, (13, 12), ("conv2", "pool2", "conv3"), bias=0.0),
    "positive": Plan(classic_layers, (12, 12), ("conv2", "pool2"), bias=0.0, positive=True),
    "dilated": Plan(dilated_layers, (11, 12), ("conv1", "conv2")),
    "no_pool": Plan(no_pool_layers, (12, 12), ("conv2", "conv3")),
    "batch_norm": Plan(batch_norm_layers, (12, 11), ("norm1", "conv2", "relu2")),
    "dense": Plan(dense_layers, (9, 8), ("hidden", "logits")),
    # The networks below serve single claims and run through none of the general ones.
    "classic_at_size": Plan(
        functools.partial(classic_layers, filters=(64, 64, 10), last=6), (24, 24), (), images=8
    ),
    "classic_wide": Plan(classic_layers, (28, 28), ()),
}

CASES = [(name, target) for name, plan in ZOO.items() for target in plan.targets]


@functools.cache
def build(name: str, **changes: Any) -> Member:
    """Make a member of the zoo, with `changes` to its plan, always with the same numbers."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    plan = replace(GRAPHS[name] if name in GRAPHS else ZOO[name], **changes)
    model = plan.network() if isinstance(plan, Graph) else _chain(name, plan)
    for variable in model.variables:
        if "seed" not in variable.path:
            variable.assign(_weights(random, variable, plan))
    images = tuple(_images(random, tensor.shape, plan) for tensor in model.inputs)
    return Member(name, model, images if len(images) > 1 else images[0], plan.targets)


def _chain(name: str, plan: Plan) -> Model:
    import keras

    model = keras.Sequential(
        [keras.Input((*plan.size, 3), name="images"), *plan.layers()], name=f"zoo_{name}"
    )
    return keras.Model(model.inputs, model.outputs, name=f"zoo_{name}")


def _images(random: np.random.Generator, shape: Any, plan: Plan | Graph) -> np.ndarray:
    height, width = (n or m for n, m in zip(shape[1:3], plan.size, strict=True))
    images = random.normal(size=(plan.images, height, width, shape[-1])).astype(np.float32)
    return np.abs(images) if plan.positive else images


def _weights(random: np.random.Generator, variable: Any, plan: Plan | Graph) -> np.ndarray:
    shape = tuple(variable.shape)
    role = variable.path.rsplit("/", 1)[-1]
    if role.endswith("kernel"):
        values = random.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
        return np.abs(values) if plan.positive else values
    if role in ("gamma", "moving_variance"):
        return random.uniform(0.5, 2.0, size=shape)
    if role == "bias":
        return plan.bias * random.normal(size=shape)
    offset = random.normal(size=shape)  # beta and moving_mean
    return offset if plan.bias else 0 * offset


def assert_equal_up_to_rounding(here: Any, there: Any, terms: int = 1, dtype: Any = None) -> None:
    """Assert that two ways to the same numbers differ by the arithmetic's rounding alone.

    Only one kernel on the same data owes the same bits on every processor. Another batch size, a
    fused or a compiled op, another order of the sums, or another library beneath rounds otherwise:
    each addition by up to half a unit in the last place, to either side. Over a sum of n terms
    that scatters by the square root of n units, and it counts by the largest value, since small
    ones are often the difference of large ones.

    Args:
        here: An array or tensor.
        there: What it ought to be; not all zeros, which anything dead would agree with.
        terms: How many numbers are added on the longest way to a value, in all layers together; 1
            where longer sums are kept in a wider type and rounded at the end.
        dtype: The type that was summed in, where it is neither of the two arrays'.
    """
    import ml_dtypes

    here, there = np.asarray(here), np.asarray(there)
    assert here.shape == there.shape
    types = [dtype] if dtype is not None else [here.dtype, there.dtype]
    unit = max(float(ml_dtypes.finfo(each).eps) for each in types)
    wide = there.astype(np.float64)
    assert np.abs(wide).max(initial=0) > 0, "an all-zero map would agree with anything dead"
    apart = np.abs(here.astype(np.float64) - wide).max() / np.abs(wide).max() / unit
    allowed = 1 + terms**0.5
    assert apart <= allowed, f"{apart:.3g} units in the last place apart, {allowed:.3g} by rounding"


@pytest.fixture(scope="session", name="assert_equal_up_to_rounding")
def give_assert_equal_up_to_rounding() -> Callable[..., None]:
    """Give the function, since test modules cannot import it."""
    return assert_equal_up_to_rounding


@pytest.fixture(scope="session")
def zoo() -> Callable[..., Member]:
    """Give a member of the zoo by its name."""
    return build


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> Member:
    """Run a test on every network that is no chain."""
    return build(request.param)


@pytest.fixture(params=CASES, ids=lambda pair: "-".join(pair))
def case(request: pytest.FixtureRequest) -> Case:
    """Run a test at every target layer of every member."""
    name, target = request.param
    return Case(build(name), target)


@pytest.fixture(
    params=[c for c in CASES if c[0] not in ("batch_norm", "dense") and c[1] != "pool3"],
    ids=lambda pair: "-".join(pair),
)
def convolutional_case(request: pytest.FixtureRequest) -> Case:
    """Run a test wherever only the layers that the classic program reverses lie below."""
    name, target = request.param
    return Case(build(name), target)

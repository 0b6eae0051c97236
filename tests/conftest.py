"""A zoo of small seeded networks that every claim about reconstructions runs through.

Each member bends one thing away from the classic network: strides, VALID padding, odd sizes,
overlapping pools, ReLU as a layer of its own. All biases are non-zero unless the member says
otherwise, since a bias that is lost or subtracted twice must show. TensorFlow is imported when a
member is built, so that the rooms that do without it stay quick to test.
"""

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
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
    images: np.ndarray  # float32 [n, H, W, C]
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
    def images(self) -> np.ndarray:
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


def conv(name: str, filters: int, kernel: int, relu: bool = True, **settings: Any) -> Any:
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
def build(name: str) -> Member:
    """Make a member of the zoo, always with the same weights and images."""
    import keras

    plan = ZOO[name]
    random = np.random.default_rng(zlib.crc32(name.encode()))
    model = keras.Sequential(
        [keras.Input((*plan.size, 3), name="images"), *plan.layers()], name=f"zoo_{name}"
    )
    model = keras.Model(model.inputs, model.outputs, name=f"zoo_{name}")
    for variable in model.variables:
        variable.assign(_weights(random, variable, plan))
    images = random.normal(size=(plan.images, *plan.size, 3)).astype(np.float32)
    if plan.positive:
        images = np.abs(images)
    return Member(name, model, images, plan.targets)


def _weights(random: np.random.Generator, variable: Any, plan: Plan) -> np.ndarray:
    shape = tuple(variable.shape)
    role = variable.path.rsplit("/", 1)[-1]
    if role == "kernel":
        values = random.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
        return np.abs(values) if plan.positive else values
    if role in ("gamma", "moving_variance"):
        return random.uniform(0.5, 2.0, size=shape)
    if role == "bias":
        return plan.bias * random.normal(size=shape)
    return random.normal(size=shape)  # beta and moving_mean


@pytest.fixture(scope="session")
def zoo() -> Callable[[str], Member]:
    """Give a member of the zoo by its name."""
    return build


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

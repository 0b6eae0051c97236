"""Random networks, drawn by hypothesis, against an autodiff tape of their own.

A drawn network is a list of steps, and each step is read twice: as Keras layers, for the package,
and as `tf.nn` ops with custom gradients, for the tape. A step takes any tensors made before it, so
that branches, shared layers, nested models and dead ends all come about. After the stem all tensors
have one size and as many channels, so that any of them may merge.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from deconvviz import Deconvnet

Array = np.ndarray
ROUNDING = 5e-6  # float32 sums in another order, through ten steps and more
RULES = ("deconvnet", "guided", "gradient", "classic")
CHANNELS = 3
layers, ops = keras.layers, keras.ops


@dataclass(frozen=True)
class Step:
    """One step: what it does, to which of the earlier tensors, and how."""

    kind: str
    inputs: tuple[int, ...]
    name: str
    how: Any = None  # as drawn from DRAWN[kind]; the steps of the model that is nested


SIZES = st.tuples(st.integers(1, 4), st.integers(1, 4))
DRAWN: dict[str, st.SearchStrategy[Any]] = {
    "conv": st.fixed_dictionaries(
        {
            "kernel_size": SIZES,
            "dilation_rate": st.sampled_from([(1, 1), (1, 2), (2, 2)]),
            "activation": st.sampled_from([None, "relu", "relu6"]),
            "padding": st.just("same"),
        }
    ),
    "depthwise": st.fixed_dictionaries(
        {
            "kernel_size": st.integers(1, 4),
            "activation": st.sampled_from([None, "relu"]),
            "padding": st.just("same"),
        }
    ),
    "max": st.fixed_dictionaries(
        {"pool_size": SIZES, "strides": st.just(1), "padding": st.just("same")}
    ),
    "average": st.fixed_dictionaries(
        {"pool_size": SIZES, "strides": st.just(1), "padding": st.just("same")}
    ),
    "norm": st.fixed_dictionaries({"epsilon": st.sampled_from([1e-3, 0.1])}),
    "relu": st.fixed_dictionaries(
        {"max_value": st.sampled_from([None, 6.0, 0.9]), "threshold": st.sampled_from([0.0, 0.1])}
    ),
    "shift": st.tuples(st.integers(0, 2), st.integers(0, 2)),
    "operation": st.sampled_from(["relu(x)", "x * 2 - 0.3", "maximum(x, 0)", "flip(x)"]),
    "merge": st.sampled_from(["add", "subtract", "average", "maximum", "concatenate"]),
}


@st.composite
def chains(draw: st.DrawFn, length: int, nest: bool, tag: str) -> tuple[Step, ...]:
    """Draw the steps of one model; its tensor 0 is the input, tensor i what step i makes."""
    drawn: list[Step] = []
    for number in range(1, length + 1):
        kind = draw(st.sampled_from([*DRAWN, "merge", "nested"] if nest else list(DRAWN)))
        name = f"{tag}{number}"
        before = st.integers(0, number - 1)
        inputs: tuple[int, ...] = (draw(st.just(number - 1) | before),)
        if kind == "merge":
            inputs += (draw(before),)
        inner = chains(2, False, f"{name}_")
        how = draw(inner) if kind == "nested" else draw(DRAWN[kind])
        earlier = [step for step in drawn if step.kind == kind and kind in ("conv", "nested")]
        again = draw(st.booleans())
        if earlier and again:  # a layer, or a model, called once more
            name, how = earlier[0].name, earlier[0].how
        drawn.append(Step(kind, inputs, name, how))
    return tuple(drawn)


@st.composite
def networks(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[Step, ...]]:
    """Draw the size of the images, a stem that may shrink them, and steps that keep that size."""
    kernel, stride = draw(SIZES), draw(st.sampled_from([(1, 1), (2, 2), (2, 1), (3, 3)]))
    edge = draw(st.sampled_from(["same", "valid"]))
    if draw(st.booleans()):
        stem = Step("max", (1,), "stem", {"pool_size": kernel, "strides": stride, "padding": edge})
    else:
        how = {"kernel_size": kernel, "strides": stride, "padding": edge, "activation": "relu"}
        stem = Step("conv", (1,), "stem", how)
    first = Step("conv", (0,), "first", {"kernel_size": 3, "activation": "relu"})
    body = draw(chains(draw(st.integers(3, 7)), True, "step"))
    later = (replace(step, inputs=tuple(i + 2 for i in step.inputs)) for step in body)
    return (draw(st.integers(9, 12)), draw(st.integers(9, 12))), (first, stem, *later)


# --- the steps as Keras layers ----------------------------------------------------------------

LAYERS: dict[str, Callable[..., Any]] = {
    "conv": lambda **how: layers.Conv2D(CHANNELS, **how),
    "depthwise": layers.DepthwiseConv2D,
    "max": layers.MaxPooling2D,
    "average": layers.AveragePooling2D,
    "norm": layers.BatchNormalization,
    "relu": layers.ReLU,
}
MERGES = {
    "add": layers.Add,
    "subtract": layers.Subtract,
    "average": layers.Average,
    "maximum": layers.Maximum,
}
OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "relu(x)": ops.relu,
    "x * 2 - 0.3": lambda x: x * 2 - 0.3,
    "maximum(x, 0)": lambda x: ops.maximum(x, 0.0),
    "flip(x)": lambda x: ops.flip(x, axis=1),
}


def keras_model(steps: Sequence[Step], size: tuple[int | None, int | None], name: str) -> Any:
    """Build the steps as a Functional model that ends in an identity named top."""
    tensors, made = [keras.Input((*size, CHANNELS))], dict[str, Any]()
    for step in steps:
        tensors.append(_keras_step(step, [tensors[i] for i in step.inputs], made))
    return keras.Model(tensors[0], layers.Identity(name="top")(tensors[-1]), name=name)


def _keras_step(step: Step, given: list[Any], made: dict[str, Any]) -> Any:
    if step.kind == "operation":
        return OPERATIONS[step.how](given[0])
    if step.kind == "merge" and step.how == "concatenate":
        return layers.Concatenate(name=step.name)([given[0][..., :1], given[1][..., 1:]])
    if step.kind == "merge":
        return MERGES[step.how](name=step.name)(given)
    if step.kind == "shift":
        down, across = step.how
        padded = layers.ZeroPadding2D(((down, 0), (0, across)), name=step.name)(given[0])
        return layers.Cropping2D(((0, down), (across, 0)), name=f"{step.name}_crop")(padded)
    if step.name not in made:
        made[step.name] = (
            keras_model(step.how, (None, None), step.name)
            if step.kind == "nested"
            else LAYERS[step.kind](**step.how, name=step.name)
        )
    return made[step.name](given[0])


def fill(model: keras.Model, seed: int) -> None:
    random = np.random.default_rng(seed)
    for variable in model.weights:
        scale = 1 / np.sqrt(max(1, np.prod(variable.shape[:-1])))
        values = scale * random.normal(size=variable.shape)
        positive = variable.path.endswith(("gamma", "moving_variance"))
        variable.assign(random.uniform(0.5, 2, variable.shape) if positive else values)


# --- the steps as ops, with the rules in their gradients ----------------------------------------


def rectify(x: Any, rule: str, low: float = 0.0, high: float | None = None) -> Any:
    """Give x between low and high, 0 below, high above; METHOD 3.1 says what goes back."""

    @tf.custom_gradient
    def step(x: Any) -> Any:
        live = x > low if high is None else (x > low) & (x < high)
        y = tf.where(x > low, x, 0)

        def back(signal: Any) -> Any:
            positive = tf.maximum(signal, 0)
            masked = tf.where(live, positive, 0), tf.where(live, signal, 0)
            choice = {"deconvnet": positive, "guided": masked[0], "gradient": masked[1]}
            return choice.get(rule, signal)

        return (y if high is None else tf.minimum(y, high)), back

    return step(x)


def offset(y: Any, bias: Any, rule: str) -> Any:
    """Give y + bias; the classic rule takes the bias off on its way back, everywhere."""

    @tf.custom_gradient
    def step(y: Any) -> Any:
        return y + bias, lambda signal: signal - bias if rule == "classic" else signal

    return step(y)


def activated(x: Any, layer: Any, rule: str) -> Any:
    name = layer.activation.__name__
    return x if name == "linear" else rectify(x, rule, high=6.0 if name == "relu6" else None)


def weights(layer: Any) -> list[Array]:
    """Read a layer's weights while a graph is being built."""
    with tf.init_scope():
        return [np.array(weight) for weight in layer.get_weights()]


def spread(kernel: Array, dilation: tuple[int, int]) -> Array:
    """Write the zeros of a dilation into the kernel."""
    height, width = ((k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False))
    out = np.zeros((height, width, *kernel.shape[2:]), kernel.dtype)
    out[:: dilation[0], :: dilation[1]] = kernel
    return out


def tape_conv(x: Any, layer: Any, rule: str) -> Any:
    kernel, bias = weights(layer)
    kernel = spread(kernel, layer.dilation_rate)
    y = tf.nn.conv2d(x, kernel, layer.strides, layer.padding.upper())
    return activated(offset(y, bias, rule), layer, rule)


def tape_depthwise(x: Any, layer: Any, rule: str) -> Any:
    kernel, bias = weights(layer)
    y = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "SAME")
    return activated(offset(y, bias, rule), layer, rule)


def tape_norm(x: Any, layer: Any, rule: str) -> Any:
    gamma, beta, mean, variance = weights(layer)
    scale = gamma / np.sqrt(variance + np.float32(layer.epsilon))
    return offset(x * scale, beta - mean * scale, rule)


def tape_pool(pool: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, layer, rule: pool(x, layer.pool_size, layer.strides, layer.padding.upper())


TAPES: dict[str, Callable[..., Any]] = {
    "conv": tape_conv,
    "depthwise": tape_depthwise,
    "max": tape_pool(tf.nn.max_pool2d),
    "average": tape_pool(tf.nn.avg_pool2d),
    "norm": tape_norm,
    "relu": lambda x, layer, rule: rectify(x, rule, layer.threshold, layer.max_value),
}


def run_tape(steps: Sequence[Step], model: keras.Model, x: Any, rule: str) -> Any:
    """Run the steps in ops; the model is asked for its weights only."""
    tensors = [x]
    for step in steps:
        tensors.append(_tape_step(step, [tensors[i] for i in step.inputs], model, rule))
    return tensors[-1]


def _tape_step(step: Step, given: list[Any], model: keras.Model, rule: str) -> Any:
    x = given[0]
    if step.kind == "operation":
        if step.how == "flip(x)":
            return x[:, ::-1]
        return offset(x * 2, -0.3, rule) if step.how == "x * 2 - 0.3" else rectify(x, rule)
    if step.kind == "merge":
        one, other = given
        return {
            "add": one + other,
            "subtract": one - other,
            "average": (one + other) / 2,
            "maximum": tf.maximum(one, other),  # whose gradient gives ties to the first
            "concatenate": tf.concat([one[..., :1], other[..., 1:]], -1),
        }[step.how]
    if step.kind == "shift":
        down, across = step.how
        padded = tf.pad(x, ((0, 0), (down, 0), (0, across), (0, 0)))
        return padded[:, : x.shape[1], across:]
    if not any(layer.name == step.name for layer in model.layers):
        return x  # a dead end, which Keras left out
    if step.kind == "nested":
        return run_tape(step.how, model.get_layer(step.name), x, rule)
    return TAPES[step.kind](x, model.get_layer(step.name), rule)


# A network is drawn small enough to read, and shrinking it would compile hundreds of others.
@settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.generate])
@given(networks(), st.integers(0, 2**31))
def test_every_rule_goes_back_through_a_random_graph_as_a_custom_gradient_tape(
    reference: Any, network: Any, seed: int
) -> None:
    size, steps = network
    model = keras_model(steps, size, "drawn")
    fill(model, seed)
    random = np.random.default_rng(seed)
    images = random.normal(size=(2, *size, CHANNELS)).astype(np.float32)
    answer = model(images, training=False).numpy()
    signal = random.normal(size=answer.shape).astype(np.float32)

    @tf.function
    def by_tape(pixels: Any) -> Any:
        maps = {}
        for rule in RULES:
            with tf.GradientTape() as tape:
                tape.watch(pixels)
                top = run_tape(steps, model, pixels, rule)
            maps[rule] = tape.gradient(top, pixels, signal, unconnected_gradients="zero")
        return top, maps

    top, expected = by_tape(tf.constant(images))
    np.testing.assert_allclose(top, answer, atol=1e-5 * np.abs(answer).max())
    for rules in RULES:
        net = Deconvnet(model, rules=rules)
        maps = net.project(net.trace(images, "top"), signal)
        there = expected[rules].numpy()
        if there.any():
            assert reference.distance(maps, there) < ROUNDING, (rules, steps)
        else:
            assert not maps.any(), (rules, steps)
    keras.backend.clear_session()

"""Three ways to a reconstruction that share nothing with the package, for tests to compare with.

`by_tape` lets autodiff go back through a forward pass written in `tf.nn` ops, with a custom
gradient in each ReLU. `by_hand` writes the way back out, operation for operation: scatter by 4-D
indices in numpy, `conv2d_transpose`, and what a rule does at a ReLU or a bias. Both know chains of
layers only. `back_through` takes any Keras model as it stands and replaces the gradients that
TensorFlow has registered for the ops in which the rules differ; it knows nothing of the graph.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

Array = np.ndarray
_LINEAR = keras.activations.linear
WAYS = ("deconvnet", "guided", "gradient", "classic")
Switches = tuple[Array, Array]  # row and column in the pool's input, each [n, h, w, C]


def pool_by_hand(
    x: Array, window: tuple[int, int], strides: tuple[int, int], padding: str
) -> tuple[Array, Switches]:
    """Max pooling in numpy: the first largest in row-major order wins, padding never does."""
    starts = [
        window_starts(n, k, s, padding)
        for n, k, s in zip(x.shape[1:3], window, strides, strict=True)
    ]
    shape = (x.shape[0], len(starts[0]), len(starts[1]), x.shape[3])
    pooled = np.empty(shape, x.dtype)
    rows, columns = np.empty(shape, np.int64), np.empty(shape, np.int64)
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            y0, x0 = max(top, 0), max(left, 0)
            patch = x[:, y0 : top + window[0], x0 : left + window[1], :]
            width = patch.shape[2]
            flat = patch.reshape(patch.shape[0], -1, patch.shape[3])
            winner = flat.argmax(axis=1)
            pooled[:, i, j] = flat.max(axis=1)
            rows[:, i, j], columns[:, i, j] = y0 + winner // width, x0 + winner % width
    return pooled, (rows, columns)


def window_starts(n: int, k: int, s: int, padding: str) -> list[int]:
    """Where each window of one axis begins; negative where it begins in the padding."""
    if padding == "valid":
        return [i * s for i in range((n - k) // s + 1)]
    count = -(-n // s)
    before = max((count - 1) * s + k - n, 0) // 2
    return [i * s - before for i in range(count)]


def unpool_by_hand(signal: Array, switches: Switches, height_width: tuple[int, int]) -> Array:
    """Put every value where its window's largest stood; values that meet are added."""
    rows, columns = switches
    n, c = signal.shape[0], signal.shape[3]
    out = np.zeros((n, *height_width, c), signal.dtype)
    image = np.arange(n).reshape(n, 1, 1, 1)
    np.add.at(out, (image, rows, columns, np.arange(c)), signal)
    return out


def flat_switches(switches: Switches, width: int) -> Array:
    """The same switches as one index, (y * W + x) * C + c, without the batch."""
    rows, columns = switches
    channels = rows.shape[3]
    return (rows * width + columns) * channels + np.arange(channels)


def gather(x: Array, switches: Array) -> Array:
    """Read each image at its switches, which are flat."""
    flat = np.take_along_axis(x.reshape(len(x), -1), switches.reshape(len(x), -1), axis=1)
    return flat.reshape(switches.shape)


def steps(model: keras.Model, target: str) -> Iterator[tuple[str, Any]]:
    """The chain up to `target`, a fused activation as a step of its own."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(layer, keras.layers.ReLU):
            yield "relu", layer
        elif isinstance(layer, keras.layers.Activation):
            yield _activation(layer), layer
        else:
            yield _kind(layer), layer
            if getattr(layer, "activation", _LINEAR) is not _LINEAR:
                yield _activation(layer), layer
        if layer.name == target:
            return
    raise KeyError(target)


def _activation(layer: Any) -> str:
    assert layer.activation is keras.activations.relu, f"the reference has no {layer.activation}"
    return "relu"


def _kind(layer: Any) -> str:
    kinds = {
        keras.layers.Conv2D: "conv",
        keras.layers.Dense: "dense",
        keras.layers.MaxPooling2D: "pool",
        keras.layers.AveragePooling2D: "average",
        keras.layers.BatchNormalization: "norm",
        keras.layers.Flatten: "flatten",
        keras.layers.Softmax: "softmax",
    }
    return next(kind for base, kind in kinds.items() if isinstance(layer, base))


def relu_with(rule: str) -> Callable[[Any], Any]:
    """A ReLU whose gradient is the rule's: Simonyan 2013, Zeiler 2013, Springenberg 2014."""

    @tf.custom_gradient
    def relu(x: Any) -> Any:
        def back(signal: Any) -> Any:
            forward = tf.cast(x > 0, signal.dtype)
            positive = tf.cast(signal > 0, signal.dtype)
            return {
                "gradient": signal * forward,
                "deconvnet": signal * positive,
                "guided": signal * forward * positive,
            }[rule]

        return tf.maximum(x, 0), back

    return relu


def step_forward(kind: str, layer: Any, x: Any, relu: Callable[[Any], Any]) -> Any:
    """One step in `tf.nn` ops, in the precision of `x`, from the layer's weights."""

    def weight(variable: Any) -> Any:
        return tf.constant(variable.numpy(), x.dtype)

    if kind == "conv":
        kernel = tf.constant(spread_kernel(layer), x.dtype)
        x = tf.nn.conv2d(x, kernel, layer.strides, layer.padding.upper())
        return x + weight(layer.bias) if layer.use_bias else x
    if kind == "dense":
        return x @ weight(layer.kernel) + weight(layer.bias)
    if kind == "pool":
        return tf.nn.max_pool2d(x, layer.pool_size, layer.strides, layer.padding.upper())
    if kind == "average":
        return tf.nn.avg_pool2d(x, layer.pool_size, layer.strides, layer.padding.upper())
    if kind == "norm":
        scale = weight(layer.gamma) / tf.sqrt(weight(layer.moving_variance) + layer.epsilon)
        return (x - weight(layer.moving_mean)) * scale + weight(layer.beta)
    if kind == "flatten":
        return tf.reshape(x, (tf.shape(x)[0], -1))
    if kind == "softmax":
        return tf.nn.softmax(x)
    return relu(x)


def spread_kernel(layer: Any) -> Array:
    """The kernel with a dilation's zeros written into it, so that no op has to know dilations."""
    kernel, (down, across) = layer.kernel.numpy(), layer.dilation_rate
    height, width = ((k - 1) * d + 1 for k, d in zip(kernel.shape, (down, across), strict=False))
    spread = np.zeros((height, width, *kernel.shape[2:]), kernel.dtype)
    spread[::down, ::across] = kernel
    return spread


def activation_of(model: keras.Model, images: Array, target: str) -> Array:
    """What `target` answers, in the images' precision."""
    x = tf.constant(images)
    for kind, layer in steps(model, target):
        x = step_forward(kind, layer, x, tf.nn.relu)
    return x.numpy()


def by_tape(model: keras.Model, images: Array, target: str, signal: Array, rule: str) -> Array:
    """Bring `signal` back from `target` with autodiff, each ReLU by `rule`."""
    pixels = tf.constant(images)
    relu = relu_with(rule)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        x = pixels
        for kind, layer in steps(model, target):
            x = step_forward(kind, layer, x, relu)
    return tape.gradient(x, pixels, output_gradients=tf.constant(signal, x.dtype)).numpy()


def by_hand(model: keras.Model, images: Array, target: str, signal: Array, rule: str) -> Array:
    """Bring `signal` back from `target` by the formulas of `deconvnet` or `classic`."""
    assert rule in ("deconvnet", "classic")
    x, passed = tf.constant(images), []
    for kind, layer in steps(model, target):
        passed.append((kind, layer, x))
        x = step_forward(kind, layer, x, tf.nn.relu)
    back = np.asarray(signal, x.numpy().dtype)
    for kind, layer, before in reversed(passed):
        back = _step_back(kind, layer, before.numpy(), back, rule)
    return back


def _step_back(kind: str, layer: Any, before: Array, signal: Array, rule: str) -> Array:
    if kind == "relu":
        return np.maximum(signal, 0) if rule == "deconvnet" else signal
    if kind == "pool":
        _, switches = pool_by_hand(before, layer.pool_size, layer.strides, layer.padding)
        return unpool_by_hand(signal, switches, before.shape[1:3])
    if kind == "conv":
        if rule == "classic" and layer.use_bias:
            signal = signal - layer.bias.numpy()
        kernel = tf.constant(spread_kernel(layer), before.dtype)
        return tf.nn.conv2d_transpose(
            signal, kernel, before.shape, layer.strides, layer.padding.upper()
        ).numpy()
    if kind == "average":
        return _spread(signal, layer, before.shape)
    if kind == "flatten":
        return signal.reshape(before.shape)
    if kind == "norm":
        return signal * (
            layer.gamma.numpy() / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
        )
    if kind == "dense":
        if rule == "classic":
            signal = signal - layer.bias.numpy()
        return signal @ layer.kernel.numpy().T
    raise AssertionError(f"no formula for {kind}")


def _spread(signal: Array, layer: Any, shape: tuple[int, ...]) -> Array:
    """The transpose of average pooling: each window's value, shared by the pixels it averaged."""
    out = np.zeros(shape, signal.dtype)
    axes = zip(shape[1:3], layer.pool_size, layer.strides, strict=True)
    tops, lefts = (window_starts(n, k, s, layer.padding) for n, k, s in axes)
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            patch = out[:, max(top, 0) : top + layer.pool_size[0]]
            patch = patch[:, :, max(left, 0) : left + layer.pool_size[1]]
            patch += signal[:, i : i + 1, j : j + 1] / (patch.shape[1] * patch.shape[2])
    return out


# --- any Keras model: the gradients of single ops, replaced ------------------------------------

_ways = {"rule": "gradient"}  # the rule whose gradient is being built, for the functions below


def _rectified(signal: Any, live: Any) -> Any:
    """What a rectification sends down: `live` is where its derivative is not 0."""
    through = tf.cast(live, signal.dtype)
    positive = tf.cast(signal > 0, signal.dtype)
    return {
        "gradient": signal * through,
        "guided": signal * through * positive,
        "deconvnet": signal * positive,
        "classic": signal,
    }[_ways["rule"]]


@tf.RegisterGradient("RuleRelu")
def _relu_back(op: Any, signal: Any) -> Any:
    return _rectified(signal, op.inputs[0] > 0)


@tf.RegisterGradient("RuleRelu6")
def _relu6_back(op: Any, signal: Any) -> Any:
    return _rectified(signal, (op.inputs[0] > 0) & (op.inputs[0] < 6))


@tf.RegisterGradient("RuleMaximum")
def _maximum_back(op: Any, signal: Any) -> Any:
    """The first of two wins a tie; the greater of a value and the number 0 is a rectification."""
    one, other = op.inputs
    if other.shape.rank == 0:
        return _rectified(signal, one > other), tf.zeros_like(other)
    if one.shape.rank == 0:
        return tf.zeros_like(one), _rectified(signal, other > one)
    won = one >= other
    return tf.where(won, signal, 0), tf.where(won, tf.zeros_like(signal), signal)


@tf.RegisterGradient("RuleMax")
def _global_max_back(op: Any, signal: Any) -> Any:
    """The first largest of the plane takes all; autodiff shares among equals."""
    x = op.inputs[0]
    assert x.shape.rank == 4, "the reference knows the maximum over two spatial axes only"
    n, height, width, channels = (tf.shape(x)[axis] for axis in range(4))
    flat = tf.reshape(x, (n, height * width, channels))
    share = tf.one_hot(tf.argmax(flat, axis=1), height * width, axis=1, dtype=x.dtype)
    if _ways["rule"] == "gradient":
        largest = tf.cast(flat == tf.reduce_max(flat, axis=1, keepdims=True), x.dtype)
        share = largest / tf.reduce_sum(largest, axis=1, keepdims=True)
    spread = share * tf.reshape(signal, (n, 1, channels))
    return tf.reshape(spread, tf.shape(x)), None


_RULES_FOR_OPS = {
    "Relu": "RuleRelu",
    "Relu6": "RuleRelu6",
    "Maximum": "RuleMaximum",
    "Max": "RuleMax",
}


@tf.custom_gradient
def _offset(y: Any, bias: Any) -> Any:
    """`y` itself; going back, the classic rule takes off what the step adds to zero."""

    def back(signal: Any) -> Any:
        return signal - bias if _ways["rule"] == "classic" else signal, tf.zeros_like(bias)

    return tf.identity(y), back


_OFFSET_LAYERS = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
    keras.layers.BatchNormalization,
    keras.layers.Rescaling,
    keras.layers.Normalization,
)
_OFFSET_OPS = ("Add", "Subtract")  # of a tensor and a constant, as keras.ops leaves them in a graph


def _operations(model: keras.Model) -> Sequence[Any]:
    inner = model.layers if isinstance(model, keras.Sequential) else model.operations
    return [each for each in inner if not isinstance(each, keras.layers.InputLayer)]


def _leaves(model: keras.Model) -> Iterator[Any]:
    for each in _operations(model):
        if isinstance(each, keras.Model):
            yield from _leaves(each)
        else:
            yield each


def _find(model: keras.Model, path: str) -> tuple[Any, int]:
    """The operation at a path, and the number of the call that is meant."""
    call, found = 1, model
    for part in path.split("/"):
        name, _, number = part.partition("#")
        call = int(number) if number else call
        found = next(each for each in _operations(found) if each.name == name)
    return found, call


def _with_rules(operation: Any) -> Callable[..., Any]:
    """The operation's call, where the rules need more than another gradient of an op."""
    call = operation.call
    if isinstance(operation, keras.layers.ReLU) and operation.negative_slope == 0:
        ceiling = np.inf if operation.max_value is None else operation.max_value

        @tf.custom_gradient
        def rectifier(x: Any) -> Any:
            live = (x > operation.threshold) & (x < ceiling)
            return call(x), lambda signal: _rectified(signal, live)

        return rectifier
    if isinstance(operation, keras.layers.PReLU):  # made of ReLUs that are none

        def as_it_is(x: Any) -> Any:
            graph = tf.compat.v1.get_default_graph()
            with graph.gradient_override_map({"Relu": "Relu"}):
                return call(x)

        return as_it_is
    if isinstance(operation, _OFFSET_LAYERS):
        activation = getattr(operation, "activation", None) or _LINEAR

        def affine(x: Any, *args: Any, **settings: Any) -> Any:
            bare = call(tf.zeros_like(x), *args, **settings)
            return activation(_offset(call(x, *args, **settings), bare))

        return affine
    if not isinstance(operation, keras.Layer) and type(operation).__name__ in _OFFSET_OPS:

        def with_constant(*terms: Any) -> Any:
            zeros = [tf.zeros_like(t) if tf.is_tensor(t) else t for t in terms]
            constant = not all(tf.is_tensor(t) for t in terms)
            return _offset(call(*terms), call(*zeros)) if constant else call(*terms)

        return with_constant
    return call


@contextmanager
def _recorded(model: keras.Model, targets: Sequence[str], rules: bool) -> Iterator[dict[str, Any]]:
    """Let a model's next call leave the targets' outputs behind; with `rules`, obey them."""
    outputs: dict[tuple[int, int], Any] = {}
    calls: dict[int, int] = {}
    found: dict[str, Any] = {}

    def recording(operation: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **settings: Any) -> Any:
            out = call(*args, **settings)
            calls[id(operation)] = calls.get(id(operation), 0) + 1
            outputs[id(operation), calls[id(operation)]] = out
            for target in targets:
                at, number = _find(model, target)
                if (id(at), number) in outputs:
                    found[target] = outputs[id(at), number]
            return out

        return run

    leaves = list(dict.fromkeys(_leaves(model)))
    activations = [
        (each, each.activation)
        for each in leaves
        if isinstance(each, _OFFSET_LAYERS) and getattr(each, "activation", None) is not None
    ]
    replaced = [
        (each, recording(each, _with_rules(each) if rules else each.call)) for each in leaves
    ]
    try:
        for each, call in replaced:
            each.call = call
        for each, _ in activations if rules else ():
            each.activation = _LINEAR
        yield found
    finally:
        for each in leaves:
            vars(each).pop("call", None)
        for each, activation in activations:
            each.activation = activation


def answers(model: keras.Model, images: Any, targets: Sequence[str]) -> dict[str, Array]:
    """What the targets answer, by one call of the model itself."""
    with _recorded(model, targets, rules=False) as found:
        model(images, training=False)
    return {target: found[target].numpy() for target in targets}


def back_through(
    model: keras.Model,
    images: Any,
    signals: dict[str, Array],
    rules: Sequence[str] | Mapping[str, Sequence[str]] = WAYS,
) -> dict[tuple[str, str], Any]:
    """Bring a start signal back from each target of any Keras model, by each rule.

    One forward pass in one `tf.function` serves them all, so that no filter gradient is computed.

    Args:
        model: Any Sequential or Functional model.
        images: An array, or a tuple of arrays for a model of several inputs.
        signals: Each target's start signal, by its path; "conv#2" is the second call of "conv".
        rules: The rules to go back by, for all targets or for each.

    Returns:
        Maps in the images' shape, by target and rule; a tuple of them for several inputs.
    """

    def run(pixels: Any, starts: dict[str, Any]) -> Any:
        overridden = tf.compat.v1.get_default_graph().gradient_override_map(_RULES_FOR_OPS)
        with overridden, _recorded(model, list(signals), rules=True) as found:
            model(pixels, training=False)
        maps = {}
        for target, rule in wanted:
            _ways["rule"] = rule
            back = tf.gradients(
                found[target],
                tf.nest.flatten(pixels),
                tf.cast(starts[target], found[target].dtype),
                unconnected_gradients="zero",
            )
            maps[f"{rule} {target}"] = back if isinstance(pixels, (tuple, dict)) else back[0]
        return maps

    of = rules if isinstance(rules, Mapping) else dict.fromkeys(signals, rules)
    wanted = [(target, rule) for target in signals for rule in of[target]]

    pixels = tf.nest.map_structure(tf.constant, images)
    maps = tf.function(run)(pixels, {t: tf.constant(s) for t, s in signals.items()})
    return {
        (target, rule): tf.nest.map_structure(lambda m: m.numpy(), maps[f"{rule} {target}"])
        for target, rule in wanted
    }


def start_signal(
    activation: Array, feature: Any = None, at: Any = None, start: str = "activation"
) -> Array:
    """The start signal, unit by unit: chosen values stay (or become 1), all else is 0."""
    value = np.ones_like(activation) if start == "one" else activation
    if feature is None:
        return value
    out = np.zeros_like(activation)
    features = np.broadcast_to(feature, len(activation))
    for image, f in enumerate(features):
        plane = activation[image, ..., f]
        if at is None:
            out[image, ..., f] = value[image, ..., f]
            continue
        if isinstance(at, str):
            y, x = np.unravel_index(plane.argmax(), plane.shape)
        else:
            y, x = np.broadcast_to(at, (len(activation), 2))[image]
        out[image, y, x, f] = value[image, y, x, f]
    return out


def distance(a: Array, b: Array) -> float:
    """The largest difference, in units of the largest value of `b`."""
    assert a.shape == b.shape
    largest = np.abs(b).max()
    assert largest > 0, "an all-zero map would agree with anything dead"
    return float(np.abs(a - b).max() / largest)


class Reference:
    """The reference functions under one name, since test modules cannot import each other."""

    pool = staticmethod(pool_by_hand)
    unpool = staticmethod(unpool_by_hand)
    flat_switches = staticmethod(flat_switches)
    gather = staticmethod(gather)
    window_starts = staticmethod(window_starts)
    steps = staticmethod(steps)
    activation = staticmethod(activation_of)
    by_tape = staticmethod(by_tape)
    by_hand = staticmethod(by_hand)
    answers = staticmethod(answers)
    back_through = staticmethod(back_through)
    start_signal = staticmethod(start_signal)
    distance = staticmethod(distance)


@pytest.fixture(scope="session")
def reference() -> type[Reference]:
    """Give the independent ways to a reconstruction."""
    return Reference


@pytest.fixture(scope="session")
def need_kernels_in() -> Callable[[str], None]:
    """Give what skips a test where TensorFlow can neither convolve nor pool in a precision.

    It asks oneDNN to wherever the processor could, and oneDNN refuses where ONEDNN_MAX_CPU_ISA
    leaves out what that takes: of the two together, nothing in half precision runs at all.
    """

    @functools.cache
    def convolves(dtype: str) -> bool:
        one = tf.ones((1, 1, 1, 1), dtype)
        try:
            tf.nn.conv2d(one, one, 1, "SAME")
        except tf.errors.AbortedError:
            return False
        return True

    def need(dtype: str) -> None:
        if not convolves(dtype):
            pytest.skip(f"oneDNN, limited by ONEDNN_MAX_CPU_ISA, has no kernels in {dtype}")

    return need


@pytest.fixture(scope="session")
def net_for() -> Callable[[Any, str], Any]:
    """Give the Deconvnet of a network and a rule, made once, since compiling it costs most."""
    from deconvviz import Deconvnet

    @functools.cache
    def make(model: keras.Model, rules: str) -> Any:
        return Deconvnet(model, rules=rules)

    return make

"""Each kind of layer alone, by each rule, against algebra, numpy or the formula of its paper.

What is affine at inference, x -> Ax + b, goes back by A transposed, whatever the rule; only the
classic rule takes b off first. What chooses a largest value goes back to where that value stood.
What rectifies is where the rules part (METHOD 3.1): Zeiler & Fergus look at the signal's sign,
Simonyan at the image, Springenberg at both.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import deconvviz
from deconvviz import Deconvnet, UnsupportedLayerError

Array = np.ndarray
ROUNDING = 2e-6  # float32 sums in another order
RULES = ("deconvnet", "guided", "gradient", "classic")
SHAPE = (7, 6, 4)
layers, ops = keras.layers, keras.ops


def noise(seed: int, shape: Any) -> Array:
    return np.random.default_rng(seed).normal(size=tuple(shape)).astype(np.float32)


def network(
    step: Callable[[Any], Any], shape: tuple[int | None, ...] = SHAPE
) -> tuple[keras.Model, str]:
    """Give a model of one step with random weights, and the step's path."""
    images = keras.Input(shape)
    out = step(images)
    model = keras.Model(images, out)
    random = np.random.default_rng(7)
    for variable in model.weights:
        if "seed" not in variable.path:
            positive = "variance" in variable.path or "gamma" in variable.path
            values = (
                random.uniform(0.5, 2, variable.shape)
                if positive
                else random.normal(size=variable.shape)
            )
            variable.assign(values)
    return model, out._keras_history.operation.name


# --- affine -----------------------------------------------------------------------------------

AFFINE: dict[str, Callable[[], Any]] = {
    "Conv2D": lambda: layers.Conv2D(5, 3),
    "Conv2D same": lambda: layers.Conv2D(5, (4, 3), padding="same"),
    "Conv2D strided": lambda: layers.Conv2D(5, 3, strides=(2, 3), padding="same"),
    "Conv2D strided valid": lambda: layers.Conv2D(5, 2, strides=3),
    "Conv2D dilated": lambda: layers.Conv2D(5, 3, dilation_rate=(2, 1), padding="same"),
    "Conv2D dilated valid": lambda: layers.Conv2D(5, 2, dilation_rate=2),
    "Conv2D grouped": lambda: layers.Conv2D(6, 3, groups=2, padding="same"),
    "Conv2D grouped and strided": lambda: layers.Conv2D(4, 3, strides=2, groups=4),
    "Conv2D without bias": lambda: layers.Conv2D(5, 3, use_bias=False),
    "Conv2DTranspose": lambda: layers.Conv2DTranspose(5, 3, strides=2, padding="same"),
    "Conv2DTranspose valid": lambda: layers.Conv2DTranspose(5, 4, strides=3),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
    "DepthwiseConv2D strided": lambda: layers.DepthwiseConv2D(3, strides=2),
    "DepthwiseConv2D dilated": lambda: layers.DepthwiseConv2D(2, dilation_rate=2),
    "SeparableConv2D": lambda: layers.SeparableConv2D(5, 3, padding="same"),
    "SeparableConv2D strided": lambda: layers.SeparableConv2D(5, 3, strides=2),
    "Dense": lambda: layers.Dense(5),
    "AveragePooling2D": lambda: layers.AveragePooling2D(3, 2, padding="same"),
    "AveragePooling2D overlapping": lambda: layers.AveragePooling2D((2, 3), 1),
    "GlobalAveragePooling2D": lambda: layers.GlobalAveragePooling2D(),
    "GlobalAveragePooling2D, axes kept": lambda: layers.GlobalAveragePooling2D(keepdims=True),
    "BatchNormalization": lambda: layers.BatchNormalization(),
    "BatchNormalization unscaled": lambda: layers.BatchNormalization(scale=False, epsilon=0.1),
    "BatchNormalization uncentred": lambda: layers.BatchNormalization(center=False),
    "Flatten": lambda: layers.Flatten(),
    "Reshape": lambda: layers.Reshape((6, 7, 4)),
    "Reshape open": lambda: layers.Reshape((-1, 2)),
    "Permute": lambda: layers.Permute((3, 1, 2)),
    "ZeroPadding2D": lambda: layers.ZeroPadding2D(((1, 0), (2, 3))),
    "Cropping2D": lambda: layers.Cropping2D(((1, 0), (2, 1))),
    "UpSampling2D": lambda: layers.UpSampling2D((2, 3)),
    "UpSampling2D bilinear": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    "Rescaling": lambda: layers.Rescaling(0.3, offset=-0.7),
    "Rescaling by channel": lambda: layers.Rescaling([1.0, 2.0, 3.0, -4.0], offset=0.5),
    "Normalization": lambda: layers.Normalization(mean=[1, 2, 3, 4], variance=[1, 4, 9, 2]),
    "Resizing": lambda: layers.Resizing(9, 5),
    "CenterCrop": lambda: layers.CenterCrop(4, 4),
    "Dropout": lambda: layers.Dropout(0.5),
    "SpatialDropout2D": lambda: layers.SpatialDropout2D(0.5),
    "AlphaDropout": lambda: layers.AlphaDropout(0.5),
    "GaussianDropout": lambda: layers.GaussianDropout(0.5),
    "GaussianNoise": lambda: layers.GaussianNoise(1.0),
    "ActivityRegularization": lambda: layers.ActivityRegularization(l2=0.1),
    "Identity": lambda: layers.Identity(),
    "RandomFlip": lambda: layers.RandomFlip(),
    "RandomRotation": lambda: layers.RandomRotation(0.5),
    "RandomTranslation": lambda: layers.RandomTranslation(0.5, 0.5),
    "RandomZoom": lambda: layers.RandomZoom(0.5),
    "RandomCrop": lambda: layers.RandomCrop(5, 4),
    "Activation linear": lambda: layers.Activation("linear"),
}

AFFINE_OPS: dict[str, Callable[[Any], Any]] = {
    "x * c": lambda x: x * 3.0,
    "c * x": lambda x: ops.multiply(np.arange(4, dtype=np.float32), x),
    "x / c": lambda x: x / 4.0,
    "x + c": lambda x: x + 0.5,
    "c - x": lambda x: 0.5 - x,
    "x - c": lambda x: x - np.arange(4, dtype=np.float32),
    "-x": lambda x: -x,
    "mean": lambda x: ops.mean(x, axis=(1, 2)),
    "sum": lambda x: ops.sum(x, axis=-1, keepdims=True),
    "reshape": lambda x: ops.reshape(x, (-1, 21, 8)),
    "transpose": lambda x: ops.transpose(x, (0, 2, 3, 1)),
    "concatenate": lambda x: ops.concatenate([x, x], axis=1),
    "stack": lambda x: ops.stack([x, x], axis=1),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
    "pad reflect": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), mode="reflect"),
    "slice": lambda x: x[:, 1:5, ::2, -2:],
    "slice one": lambda x: x[:, 3],
    "flip": lambda x: ops.flip(x, axis=2),
    "expand_dims": lambda x: ops.expand_dims(x, 1),
    "squeeze": lambda x: ops.squeeze(x[:, 2:3], 1),
    "matmul": lambda x: ops.matmul(x, noise(3, (4, 5))),
    "x + x": lambda x: x + x,
    "x - x/2": lambda x: x - 0.5 * x,
    "repeat": lambda x: ops.repeat(x, 2, axis=1),
    "tile": lambda x: ops.tile(x, (1, 2, 1, 1)),
    "moveaxis": lambda x: ops.moveaxis(x, 1, 2),
    "swapaxes": lambda x: ops.swapaxes(x, 1, 3),
    "roll": lambda x: ops.roll(x, 2, axis=1),
    "broadcast_to": lambda x: ops.broadcast_to(x[:, :1], (2, *SHAPE)),
    "split": lambda x: ops.add(*ops.split(x, 2, axis=3)),
    "divide": lambda x: ops.divide(x, np.arange(1, 5, dtype=np.float32)),
    "cast": lambda x: ops.cast(ops.cast(x, "float64"), "float32"),
    "average_pool": lambda x: ops.average_pool(x, 3, 2, padding="same"),
}


def check_affine(model: keras.Model, path: str, reference: Any) -> None:
    x = noise(0, (2, *SHAPE))
    zero = model(np.zeros_like(x), training=False).numpy()
    linear = model(x, training=False).numpy() - zero
    y = noise(1, linear.shape)
    nets = {rules: Deconvnet(model, rules=rules) for rules in RULES}
    back = {r: net.project(net.trace(x, path), y) for r, net in nets.items()}
    there, here = np.vdot(linear.astype(np.float64), y), np.vdot(back["deconvnet"], x)
    assert abs(there - here) < 2e-6 * np.linalg.norm(linear) * np.linalg.norm(y)
    for rules in ("guided", "gradient"):
        assert reference.distance(back[rules], back["deconvnet"]) < ROUNDING
    net = nets["deconvnet"]
    without_bias = net.project(net.trace(x, path), y - zero)
    assert reference.distance(back["classic"], without_bias) < ROUNDING


@pytest.mark.parametrize("kind", AFFINE)
def test_an_affine_layer_goes_back_by_its_adjoint_whatever_the_rule(
    kind: str, reference: Any
) -> None:
    check_affine(*network(AFFINE[kind]()), reference)


@pytest.mark.parametrize("kind", AFFINE_OPS)
def test_an_affine_operation_goes_back_by_its_adjoint_whatever_the_rule(
    kind: str, reference: Any
) -> None:
    """An identity closes the graph, so that the target is a layer and all of it lies below."""
    check_affine(*network(lambda x: layers.Identity()(AFFINE_OPS[kind](x))), reference)


MERGES: dict[str, tuple[Callable[[], Any], Callable[..., list[Array]]]] = {
    "Add": (lambda: layers.Add(), lambda r: [r, r, r]),
    "Subtract": (lambda: layers.Subtract(), lambda r: [r, -r]),
    "Average": (lambda: layers.Average(), lambda r: [r / 3, r / 3, r / 3]),
    "Concatenate": (lambda: layers.Concatenate(), lambda r: np.split(r, 3, axis=-1)),
    "Concatenate, rows": (lambda: layers.Concatenate(axis=1), lambda r: np.split(r, 3, axis=1)),
}


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("kind", MERGES)
def test_a_merging_layer_sends_each_input_its_share(kind: str, rules: str, reference: Any) -> None:
    layer, shares = MERGES[kind][0](), MERGES[kind][1]
    count = len(shares(np.zeros((1, 3, 3, 3), np.float32)))
    inputs = [keras.Input(SHAPE) for _ in range(count)]
    net = Deconvnet(keras.Model(inputs, layer(inputs)), rules=rules)
    trace = net.trace(tuple(noise(i, (2, *SHAPE)) for i in range(count)), layer.name)
    signal = noise(9, trace.activation.shape)
    maps = net.project(trace, signal)
    assert isinstance(maps, tuple)
    for ours, expected in zip(maps, shares(signal), strict=True):
        assert reference.distance(ours, expected) < ROUNDING


# --- the largest ------------------------------------------------------------------------------


def ties(seed: int, shape: tuple[int, ...]) -> Array:
    """Give a few small whole numbers, so that equals are everywhere."""
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.float32)


@pytest.mark.parametrize("kept", [False, True], ids=["flat", "axes kept"])
@pytest.mark.parametrize("rules", ["deconvnet", "guided", "classic"])
def test_a_global_maximum_goes_back_to_its_first_place_in_reading_order(
    rules: str, kept: bool
) -> None:
    x = ties(0, (3, *SHAPE))
    net = Deconvnet(network(layers.GlobalMaxPooling2D(keepdims=kept, name="top"))[0], rules=rules)
    trace = net.trace(x, "top")
    signal = noise(1, trace.activation.shape)
    first = x.reshape(3, -1, 4).argmax(axis=1)
    expected = np.zeros((3, 42, 4), np.float32)
    np.put_along_axis(expected, first[:, None], signal.reshape(3, 1, 4), axis=1)
    np.testing.assert_array_equal(net.project(trace, signal), expected.reshape(x.shape))
    np.testing.assert_array_equal(
        trace.switches["top"].numpy().ravel(), (first * 4 + range(4)).ravel()
    )


def test_the_gradient_of_a_global_maximum_is_shared_among_equals() -> None:
    x = ties(0, (3, *SHAPE))
    net = Deconvnet(network(layers.GlobalMaxPooling2D(name="top"))[0], rules="gradient")
    largest = x == x.max((1, 2), keepdims=True)
    assert largest.sum() > 12
    signal = noise(1, (3, 4))
    expected = largest / largest.sum((1, 2), keepdims=True) * signal[:, None, None]
    np.testing.assert_allclose(net.project(net.trace(x, "top"), signal), expected, rtol=1e-6)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    "merge",
    [lambda x: layers.Maximum(name="top")(x), lambda x: ops.maximum(x[0], x[1])],
    ids=["Maximum", "keras.ops.maximum"],
)
def test_of_several_equal_inputs_the_first_gets_the_signal(merge: Any, rules: str) -> None:
    one, other = ties(0, (2, *SHAPE)), ties(1, (2, *SHAPE))
    inputs = [keras.Input(SHAPE), keras.Input(SHAPE)]
    out = merge(inputs)
    net = Deconvnet(keras.Model(inputs, out), rules=rules)
    path = out._keras_history.operation.name
    trace = net.trace((one, other), path)
    signal = noise(2, one.shape)
    maps = net.project(trace, signal)
    won = one >= other
    assert (one == other).any()
    np.testing.assert_array_equal(maps[0], np.where(won, signal, 0))
    np.testing.assert_array_equal(maps[1], np.where(won, 0, signal))
    np.testing.assert_array_equal(trace.switches[path], np.where(won, 0, 1))


def test_of_three_inputs_the_switch_is_the_number_of_the_one_that_won() -> None:
    given = tuple(ties(i, (2, *SHAPE)) for i in range(3))
    inputs = [keras.Input(SHAPE) for _ in range(3)]
    net = Deconvnet(keras.Model(inputs, layers.Maximum(name="top")(inputs)))
    trace = net.trace(given, "top")
    won = np.argmax(given, axis=0)
    assert trace.switches["top"].dtype == tf.int64
    np.testing.assert_array_equal(trace.switches["top"], won)
    signal = noise(3, won.shape)
    for number, ours in enumerate(net.project(trace, signal)):
        np.testing.assert_array_equal(ours, np.where(won == number, signal, 0))


# --- rectifications ---------------------------------------------------------------------------


def over(low: float, high: float = np.inf) -> Callable[[Array], Array]:
    return lambda x: (x > low) & (x < high)


RECTIFIERS: dict[str, tuple[Callable[[Any], Any], Callable[[Array], Array]]] = {
    "ReLU": (lambda x: layers.ReLU()(x), over(0)),
    "ReLU, max_value": (lambda x: layers.ReLU(max_value=0.8)(x), over(0, 0.8)),
    "ReLU, max_value 6": (lambda x: layers.ReLU(6.0)(x), over(0, 6)),
    "ReLU, threshold": (lambda x: layers.ReLU(threshold=0.4)(x), over(0.4)),
    "ReLU, both": (lambda x: layers.ReLU(max_value=3, threshold=0.4)(x), over(0.4, 3)),
    "Activation relu": (lambda x: layers.Activation("relu")(x), over(0)),
    "Activation relu6": (lambda x: layers.Activation("relu6")(x), over(0, 6)),
    "Activation keras.ops.relu": (lambda x: layers.Activation(ops.relu)(x), over(0)),
    "keras.ops.relu": (lambda x: ops.relu(x), over(0)),
    "keras.ops.relu6": (lambda x: ops.relu6(x), over(0, 6)),
    "keras.activations.relu": (lambda x: keras.activations.relu(x), over(0)),
    "keras.activations.relu6": (lambda x: keras.activations.relu6(x), over(0, 6)),
    "keras.ops.maximum(x, 0)": (lambda x: ops.maximum(x, 0), over(0)),
    "keras.ops.maximum(0.0, x)": (lambda x: ops.maximum(0.0, x), over(0)),
}


@pytest.mark.parametrize("kind", RECTIFIERS)
def test_a_rectification_goes_back_by_each_papers_formula(kind: str) -> None:
    step, derivative = RECTIFIERS[kind]
    model, path = network(step)
    x = 4 * noise(0, (2, *SHAPE))
    signal = noise(1, x.shape)
    live, positive = derivative(x), np.maximum(signal, 0)
    assert 0.05 < live.mean() < 0.95
    expected = {
        "deconvnet": positive,
        "guided": positive * live,
        "gradient": signal * live,
        "classic": signal,
    }
    for rules, there in expected.items():
        net = Deconvnet(model, rules=rules)
        np.testing.assert_array_equal(net.project(net.trace(x, path), signal), there, rules)


FUSED: dict[str, Callable[..., Any]] = {
    "Conv2D": lambda **fused: layers.Conv2D(5, 3, **fused),
    "Conv2DTranspose": lambda **fused: layers.Conv2DTranspose(5, 3, **fused),
    "DepthwiseConv2D": lambda **fused: layers.DepthwiseConv2D(3, **fused),
    "SeparableConv2D": lambda **fused: layers.SeparableConv2D(5, 3, **fused),
    "Dense": lambda **fused: layers.Dense(5, **fused),
}


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("kind", FUSED)
def test_a_fused_activation_is_as_good_as_a_layer_of_its_own(
    kind: str, activation: str, reference: Any
) -> None:
    fused, path = network(FUSED[kind](activation=activation))
    apart, last = network(lambda x: layers.Activation(activation)(FUSED[kind]()(x)))
    apart.set_weights(fused.get_weights())
    x = noise(0, (2, *SHAPE))
    for rules in RULES:
        one, other = Deconvnet(fused, rules=rules), Deconvnet(apart, rules=rules)
        trace, twin = one.trace(x, path), other.trace(x, last)
        here, there = trace.activation.numpy(), twin.activation.numpy()
        assert reference.distance(here, there) < ROUNDING
        signal = noise(1, trace.activation.shape)
        maps = one.project(trace, signal), other.project(twin, signal)
        assert reference.distance(*maps) < ROUNDING


# --- what has no rule -------------------------------------------------------------------------


class Own(keras.layers.Layer):
    """A layer of somebody's own."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2


class OwnModel(keras.Model):
    """A model that is a class and no graph."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = layers.Conv2D(4, 3, activation="relu", padding="same")

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs)


def attend(x: Any) -> Any:
    rows = layers.Reshape((42, 4))(x)
    return layers.MultiHeadAttention(2, 3, name="bend")(rows, rows)


BENDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "LeakyReLU": (lambda x: layers.LeakyReLU(name="bend")(x), "LeakyReLU"),
    "PReLU": (lambda x: layers.PReLU(name="bend")(x), "PReLU"),
    "ELU": (lambda x: layers.ELU(name="bend")(x), "ELU"),
    "leaking ReLU": (lambda x: layers.ReLU(negative_slope=0.1, name="bend")(x), "ReLU"),
    "gelu": (lambda x: layers.Activation("gelu", name="bend")(x), "gelu"),
    "silu": (lambda x: layers.Activation("silu", name="bend")(x), "silu"),
    "tanh": (lambda x: layers.Conv2D(4, 3, activation="tanh", name="bend")(x), "tanh"),
    "sigmoid": (lambda x: layers.Dense(4, activation="sigmoid", name="bend")(x), "sigmoid"),
    "Softmax": (lambda x: layers.Softmax(name="bend")(x), "Softmax"),
    "softmax": (lambda x: layers.Activation("softmax", name="bend")(x), "softmax"),
    "Multiply": (lambda x: layers.Multiply(name="bend")([x, 2 * x]), "Multiply"),
    "x * x": (lambda x: x * x, "Multiply"),
    "x ** 2": (lambda x: x**2, "Power"),
    "2 / (x + 1)": (lambda x: 2 / (x + 1), "Divide"),
    "keras.ops.exp": (lambda x: ops.exp(x), "Exp"),
    "matmul of two branches": (lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))), "Matmul"),
    "LayerNormalization": (
        lambda x: layers.LayerNormalization(name="bend")(x),
        "LayerNormalization",
    ),
    "attention": (attend, "MultiHeadAttention"),
    "Lambda": (lambda x: layers.Lambda(lambda y: y * 2, name="bend")(x), "Lambda"),
    "LSTM": (lambda x: layers.LSTM(3, name="bend")(layers.Reshape((42, 4))(x)), "LSTM"),
    "a layer of one's own": (lambda x: Own(name="bend")(x), "Own"),
    "a model of one's own": (lambda x: OwnModel()(x), "OwnModel"),
}


def bent(kind: str) -> tuple[keras.Model, str, str]:
    """Give a network with the bend in it, the bend's path and what must name its kind."""
    keras.utils.set_random_seed(1)
    images = keras.Input(SHAPE)
    out = BENDS[kind][0](
        layers.Conv2D(4, 3, padding="same", activation="relu", name="below")(images)
    )
    path = out._keras_history.operation.name
    top = layers.Identity(name="top")(out)
    return keras.Model(images, top), path, BENDS[kind][1]


@pytest.mark.parametrize("kind", BENDS)
def test_what_has_no_rule_is_refused_by_path_and_class_with_the_way_out(kind: str) -> None:
    model, path, named = bent(kind)
    for rules in ("deconvnet", "guided", "classic"):
        with pytest.raises(UnsupportedLayerError) as caught:
            Deconvnet(model, rules=rules).reconstruct(noise(0, (2, *SHAPE)), "top")
        text = str(caught.value)
        assert path in text
        assert named.lower() in text.lower()
        assert 'rules="gradient"' in text
        assert 'nonlinear="gradient"' in text
        assert "\n" not in text
    below = Deconvnet(model).reconstruct(noise(0, (2, *SHAPE)), "below")
    assert below.any(), "what lies above the target is no concern"


def autodiff(model: keras.Model, x: Array, signal: Array) -> Array:
    @tf.function
    def back(pixels: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            y = model(pixels, training=False)
        return tape.gradient(y, pixels, output_gradients=tf.constant(signal))

    return back(tf.constant(x)).numpy()


@pytest.mark.parametrize("kind", BENDS)
def test_the_gradient_rule_differentiates_what_has_no_rule(kind: str, reference: Any) -> None:
    model, _, _ = bent(kind)
    x = noise(0, (2, *SHAPE))
    net = Deconvnet(model, rules="gradient")
    trace = net.trace(x, "top")
    signal = noise(1, trace.activation.shape)
    assert reference.distance(net.project(trace, signal), autodiff(model, x, signal)) < ROUNDING
    assert net.approximated("top") == ()


@pytest.mark.parametrize("kind", [k for k in BENDS if k != "a model of one's own"])
def test_asked_to_the_rules_go_through_what_they_lack_by_its_gradient_and_say_so(
    kind: str, reference: Any
) -> None:
    model, path, named = bent(kind)
    x = noise(0, (2, *SHAPE))
    signal = noise(1, model(x).shape)
    expected = reference.back_through(model, x, {"top": signal}, ("deconvnet", "guided"))
    for rules in ("deconvnet", "guided"):
        net = Deconvnet(model, rules=rules, nonlinear="gradient")
        maps = net.project(net.trace(x, "top"), signal)
        assert reference.distance(maps, expected["top", rules]) < ROUNDING, rules
        (step,) = net.approximated("top")
        assert step.startswith(path)
        assert named.lower() in step.lower()
        assert net.approximated("below") == ()


def test_a_rule_of_ones_own_serves_a_layer_of_ones_own_and_its_children(reference: Any) -> None:
    from deconvviz.deconv.rules import DECONVNET, adjoint

    class Child(Own):
        pass

    for kind in (Own, Child):
        model, path = network(kind(name="own"))
        net = Deconvnet(model, rules={**DECONVNET, Own: adjoint})
        x = noise(0, (2, *SHAPE))
        signal = noise(1, x.shape)
        np.testing.assert_array_equal(net.project(net.trace(x, path), signal), 2 * signal)
        with pytest.raises(UnsupportedLayerError, match=f"'own', {kind.__name__}"):
            Deconvnet(model).reconstruct(x, "own")


def test_nonlinear_is_refuse_or_gradient() -> None:
    with pytest.raises(deconvviz.DeconvvizError, match=r"refuse.*gradient"):
        Deconvnet(network(layers.ReLU())[0], nonlinear="guess")


# --- precision --------------------------------------------------------------------------------


@pytest.fixture
def half_precision() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("half_precision")
def test_a_network_in_half_precision_gives_float32_maps_near_the_tapes(
    reference: Any, need_kernels_in: Any
) -> None:
    need_kernels_in("float16")

    def step(x: Any) -> Any:
        x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
        y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x))
        x = layers.ReLU()(layers.Add()([x, y]))
        return layers.Conv2D(5, 3, activation="relu")(layers.MaxPooling2D(2)(x))

    model, path = network(step)
    x = noise(0, (2, *SHAPE))
    answer = reference.answers(model, x, [path])[path]
    assert answer.dtype == np.float16
    signal = noise(1, answer.shape)
    expected = reference.back_through(model, x, {path: signal})
    for rules in RULES:
        net = Deconvnet(model, rules=rules)
        maps = net.project(net.trace(x, path), signal)
        assert maps.dtype == np.float32
        assert reference.distance(maps, expected[path, rules]) < 5e-3, rules


def test_a_way_back_that_overflows_is_refused() -> None:
    model, path = network(lambda x: layers.Conv2D(4, 1, name="last")(layers.Conv2D(4, 1)(x)))
    x = noise(0, (1, *SHAPE))
    model.set_weights([w * 1e-3 for w in model.get_weights()])
    net = Deconvnet(model)
    trace = net.trace(x, path)
    model.set_weights([w * 1e33 for w in model.get_weights()])
    with pytest.raises(deconvviz.DataError):
        net.project(trace, 1e20 * noise(1, trace.activation.shape))

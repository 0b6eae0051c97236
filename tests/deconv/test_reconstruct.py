"""Reconstructions against an autodiff tape, against the formulas written out, and by their words.

Tolerances are relative to the map's largest value. Ours and the references' convolutions may block
their sums differently, which costs up to 1e-6 in float32 (METHOD's bit-exact oracles were met on
one thread); what algebra makes exact is compared exactly.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import deconvviz

Array = np.ndarray
ROUNDING = 2e-6  # float32 sums of a few thousand terms in another order
RULES = ["deconvnet", "guided", "gradient"]


def live_feature(activation: Array) -> int:
    """Give the feature map that rises highest in the image where it rises least."""
    return int(activation.reshape(len(activation), -1, activation.shape[-1]).max(1).min(0).argmax())


# --- against the references -------------------------------------------------------------------


@pytest.mark.parametrize("rules", RULES)
def test_whole_layer_reconstructions_equal_a_custom_gradient_tape(
    case: Any, rules: str, reference: Any, net_for: Any
) -> None:
    maps = net_for(case.model, rules).reconstruct(case.images, case.target)
    signal = reference.activation(case.model, case.images, case.target)
    expected = reference.by_tape(case.model, case.images, case.target, signal, rules)
    assert reference.distance(maps, expected) < ROUNDING


@pytest.mark.parametrize("rules", RULES)
def test_any_start_signal_comes_back_as_from_a_custom_gradient_tape(
    case: Any, rules: str, reference: Any, net_for: Any
) -> None:
    shape = reference.activation(case.model, case.images, case.target).shape
    signal = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    net = net_for(case.model, rules)
    maps = net.project(net.trace(case.images, case.target), signal)
    expected = reference.by_tape(case.model, case.images, case.target, signal, rules)
    assert reference.distance(maps, expected) < ROUNDING


@pytest.mark.parametrize("rules", ["deconvnet", "classic"])
def test_any_start_signal_comes_back_as_by_the_formulas_written_out(
    convolutional_case: Any, rules: str, reference: Any, net_for: Any
) -> None:
    case = convolutional_case
    shape = reference.activation(case.model, case.images, case.target).shape
    signal = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    net = net_for(case.model, rules)
    maps = net.project(net.trace(case.images, case.target), signal)
    expected = reference.by_hand(case.model, case.images, case.target, signal, rules)
    assert reference.distance(maps, expected) < ROUNDING


@pytest.mark.parametrize("target", ["conv1", "pool1", "conv2", "pool2"])
@pytest.mark.parametrize("name", ["classic", "classic_odd"])
def test_deconvnet_is_transposed_filters_on_rectified_unpooled_maps(
    name: str, target: str, zoo: Any, reference: Any, net_for: Any
) -> None:
    """Zeiler & Fergus 2013, section 2.1: D_l(R) = W_l^T relu(U_l R), pixels D_1 ... D_l."""
    model, x = zoo(name).model, zoo(name).images
    w1, b1 = model.get_layer("conv1").get_weights()
    w2, b2 = model.get_layer("conv2").get_weights()
    h1 = np.maximum(tf.nn.conv2d(x, w1, 1, "SAME") + b1, 0)
    p1, s1 = reference.pool(h1, (2, 2), (2, 2), "same")
    h2 = np.maximum(tf.nn.conv2d(p1, w2, 1, "SAME") + b2, 0)
    p2, s2 = reference.pool(h2, (2, 2), (2, 2), "same")

    r = {"conv1": h1, "pool1": p1, "conv2": h2, "pool2": p2}[target]
    if target == "pool2":
        r = reference.unpool(r, s2, h2.shape[1:3])
    if target in ("pool2", "conv2"):
        r = tf.nn.conv2d_transpose(np.maximum(r, 0), w2, p1.shape, 1, "SAME").numpy()
    if target != "conv1":
        r = reference.unpool(r, s1, h1.shape[1:3])
    r = tf.nn.conv2d_transpose(np.maximum(r, 0), w1, x.shape, 1, "SAME").numpy()

    maps = net_for(model, "deconvnet").reconstruct(x, target)
    assert reference.distance(maps, r) < ROUNDING


@pytest.mark.parametrize("target", ["pool1", "pool2"])
@pytest.mark.parametrize("name", ["classic", "classic_with_switches", "classic_odd"])
def test_classic_is_the_classic_programs_way_back(
    name: str, target: str, zoo: Any, reference: Any
) -> None:
    """The program's own formulas: unpool, minus the bias everywhere, transpose; no ReLU."""
    model, x = zoo(name).model, zoo(name).images
    w1, b1 = model.get_layer("conv1").get_weights()
    w2, b2 = model.get_layer("conv2").get_weights()
    h1 = tf.nn.relu(tf.nn.conv2d(x, w1, 1, "SAME") + b1).numpy()
    p1, s1 = reference.pool(h1, (2, 2), (2, 2), "same")
    h2 = tf.nn.relu(tf.nn.conv2d(p1, w2, 1, "SAME") + b2).numpy()
    p2, s2 = reference.pool(h2, (2, 2), (2, 2), "same")

    t = p1
    if target == "pool2":
        t2 = reference.unpool(p2, s2, h2.shape[1:3])
        t = tf.nn.conv2d_transpose(t2 - b2, w2, p1.shape, 1, "SAME").numpy()
    t1 = reference.unpool(t, s1, h1.shape[1:3])
    layer = tf.nn.conv2d_transpose(t1 - b1, w1, x.shape, 1, "SAME").numpy()

    maps = deconvviz.Deconvnet(model, rules="classic").reconstruct(x, target)
    assert reference.distance(maps, layer) < ROUNDING


@pytest.mark.parametrize(
    "name", ["classic", "strided", "valid", "overlap", "dense_overlap", "batch_norm", "dense"]
)
def test_gradient_rule_is_autodiff_through_the_keras_model_itself(
    name: str, zoo: Any, reference: Any, net_for: Any
) -> None:
    import keras

    member = zoo(name)
    target = member.targets[-1]
    part = keras.Model(member.model.inputs, member.model.get_layer(target).output)
    pixels = tf.constant(member.images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        half_square = tf.reduce_sum(part(pixels, training=False) ** 2) / 2
    expected = tape.gradient(half_square, pixels).numpy()  # its slope at the top is the activation
    maps = net_for(member.model, "gradient").reconstruct(member.images, target)
    assert reference.distance(maps, expected) < ROUNDING


def test_float32_keeps_up_with_float64_at_the_classic_networks_size(
    zoo: Any, reference: Any, net_for: Any
) -> None:
    member = zoo("classic_at_size")
    images = member.images.astype(np.float64)
    exact = reference.activation(member.model, images, "pool2")
    feature = live_feature(exact)
    signal = reference.start_signal(exact, feature, "max")
    for rules in RULES:
        net = net_for(member.model, rules)
        maps = net.reconstruct(member.images, "pool2", feature=feature, at="max")
        expected = reference.by_tape(member.model, images, "pool2", signal, rules)
        assert reference.distance(maps, expected) < 5e-6  # 1.2e-6 measured in METHOD, oracle 37

    trace = net.trace(member.images, "pool2")
    for conv, pool in (("conv1", "pool1"), ("conv2", "pool2")):
        before = reference.activation(member.model, images, conv)
        largest, _ = reference.pool(before, (2, 2), (2, 2), "same")
        # Where two are the largest up to rounding, either may be.
        at_switches = reference.gather(before, trace.switches[pool].numpy())
        assert reference.distance(at_switches, largest) < ROUNDING


# --- what is fed in at the top ----------------------------------------------------------------

STARTS = {
    "one feature map": {"feature": 3},
    "a feature map for each image": {"feature": np.array([3, 0, 2])},
    "the strongest unit of a map": {"feature": 1, "at": "max"},
    "the strongest of each image's own map": {"feature": np.array([1, 2, 0]), "at": "max"},
    "one unit": {"feature": 0, "at": (1, 2)},
    "a unit for each image": {"feature": 2, "at": np.array([[0, 0], [2, 1], [1, 2]])},
    "1 for the strongest": {"feature": 1, "at": "max", "start": "one"},
    "1 at one unit": {"feature": 0, "at": (0, 1), "start": "one"},
    "1 all over a map": {"feature": 3, "start": "one"},
}


@pytest.mark.parametrize("rules", ["deconvnet", "classic", "gradient"])
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_only_the_chosen_units_are_fed_in(
    start: dict[str, Any], rules: str, zoo: Any, reference: Any, net_for: Any
) -> None:
    member = zoo("classic")
    activation = reference.activation(member.model, member.images, "pool2")
    signal = reference.start_signal(activation, **start)
    assert signal.any()
    if rules == "gradient":
        expected = reference.by_tape(member.model, member.images, "pool2", signal, rules)
    else:
        expected = reference.by_hand(member.model, member.images, "pool2", signal, rules)
    net = net_for(member.model, rules)
    maps = net.reconstruct(member.images, "pool2", **start)
    assert reference.distance(maps, expected) < ROUNDING


@pytest.mark.parametrize("target", ["hidden", "logits"])
@pytest.mark.parametrize("start", ["activation", "one"])
def test_for_a_layer_without_spatial_axes_the_feature_is_the_unit(
    target: str, start: str, zoo: Any, reference: Any, net_for: Any
) -> None:
    member = zoo("dense")
    activation = reference.activation(member.model, member.images, target)
    unit = int(np.abs(activation).min(0).argmax())
    signal = reference.start_signal(activation, unit, start=start)
    expected = reference.by_tape(member.model, member.images, target, signal, "deconvnet")
    net = net_for(member.model, "deconvnet")
    maps = net.reconstruct(member.images, target, feature=unit, start=start)
    assert reference.distance(maps, expected) < ROUNDING


def test_of_two_equally_strong_units_the_first_in_reading_order_is_taken(
    zoo: Any, net_for: Any
) -> None:
    import keras

    member = zoo("no_pool")
    flat = np.ones_like(member.images)  # every unit away from the borders answers alike
    model = keras.models.clone_model(member.model)
    # Whole numbers add up exactly in any order, so that no kernel's rounding breaks a tie.
    model.set_weights([np.rint(9 * weight) for weight in member.model.get_weights()])
    net = net_for(model, "guided")
    activation = net.trace(flat, "conv1").activation.numpy()
    for feature in range(activation.shape[-1]):
        plane = activation[0, ..., feature]
        first = np.argwhere(plane == plane.max())[0]
        if plane.max() > 0 and np.count_nonzero(plane == plane.max()) > 1:
            break
    else:
        pytest.fail("this network has no tie to break")
    np.testing.assert_array_equal(
        net.reconstruct(flat, "conv1", feature=feature, at="max"),
        net.reconstruct(flat, "conv1", feature=feature, at=tuple(int(i) for i in first)),
    )


# --- what comes out ---------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [*RULES, "classic"])
def test_the_result_is_signed_float32_numpy_in_the_images_shape(
    rules: str, zoo: Any, net_for: Any
) -> None:
    member = zoo("classic_odd")
    maps = net_for(member.model, rules).reconstruct(member.images, "pool2")
    assert isinstance(maps, np.ndarray)
    assert maps.dtype == np.float32
    assert maps.shape == member.images.shape
    assert maps.min() < 0 < maps.max()


def test_a_trace_holds_the_activation_and_one_switch_a_pooled_unit(
    case: Any, reference: Any, net_for: Any
) -> None:
    trace = net_for(case.model, "deconvnet").trace(case.images, case.target)
    expected = reference.activation(case.model, case.images, case.target)
    assert reference.distance(trace.activation.numpy(), expected) < ROUNDING
    largest, x = {}, case.images
    for kind, layer in reference.steps(case.model, case.target):
        if kind == "pool":
            pooled, _ = reference.pool(x, layer.pool_size, layer.strides, layer.padding)
            largest[layer.name] = x, pooled
        x = reference.activation(case.model, case.images, layer.name)
    assert set(trace.switches) == set(largest)
    for name, (x, pooled) in largest.items():
        assert trace.switches[name].dtype == tf.int64
        # Where two are the largest up to rounding, either may be.
        at_switches = reference.gather(x, trace.switches[name].numpy())
        assert reference.distance(at_switches, pooled) < ROUNDING


def test_the_two_pooling_layers_give_the_same_reconstruction(
    zoo: Any, reference: Any, net_for: Any
) -> None:
    import keras

    ours, stock = zoo("classic_with_switches"), zoo("classic").model
    twin = keras.models.clone_model(stock)
    twin.set_weights(ours.model.get_weights())
    for rules in (*RULES, "classic"):
        maps = [
            net_for(each, rules).reconstruct(ours.images, "pool2") for each in (ours.model, twin)
        ]
        assert reference.distance(*maps) < ROUNDING


def test_a_sequential_model_is_taken_like_a_functional_one(zoo: Any, net_for: Any) -> None:
    import keras

    member = zoo("classic")
    sequential = keras.Sequential([keras.Input((12, 12, 3)), *member.model.layers[1:]])
    np.testing.assert_array_equal(
        net_for(sequential, "deconvnet").reconstruct(member.images, "pool2"),
        net_for(member.model, "deconvnet").reconstruct(member.images, "pool2"),
    )

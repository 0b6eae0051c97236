"""The claims about reconstructions over networks that branch, nest, share and take several inputs.

Each graph of the zoo goes back from each of its targets by each rule, and must come out as autodiff
does once TensorFlow's own gradients of the few ops in which the rules differ are replaced. What
linearity, scaling and locality demand is checked without that reference.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import deconvviz

Array = np.ndarray
ROUNDING = 2e-6  # float32 sums of a few thousand terms in another order
RULES = ("deconvnet", "guided", "gradient", "classic")
APART = 0.05  # what must differ differs by at least this much of the largest value

# Graphs whose last target ends in a ReLU, so that no negative signal gets past it.
RECTIFIED = ("concatenating", "nested", "shared", "greyscale", "transposed", "keras_ops", "maximum")
# Graphs without saturation, offset or subtraction: positive numbers stay positive all the way.
POSITIVE = ("residual", "concatenating", "nested", "shared", "two_inputs", "transposed")


def noise(seed: int, shape: Any) -> Array:
    return np.random.default_rng(seed).normal(size=tuple(shape)).astype(np.float32)


def each(maps: Any) -> Iterator[Array]:
    """Give the maps of several inputs one by one, or the one map."""
    yield from maps if isinstance(maps, (tuple, list)) else (maps,)


def whole(maps: Any) -> Array:
    """Lay the maps of several inputs side by side, to compare them at once."""
    return np.concatenate([m.reshape(len(m), -1) for m in each(maps)], axis=1)


@pytest.fixture
def traced(net_for: Any) -> Callable[..., tuple[Any, Any, Array]]:
    """Give the net, the trace of the last target and a random start signal for it."""

    def trace(member: Any, rules: str) -> tuple[Any, Any, Array]:
        net = net_for(member.model, rules)
        traced = net.trace(member.images, member.targets[-1])
        return net, traced, noise(1, traced.activation.shape)

    return trace


# --- against the reference --------------------------------------------------------------------


def test_every_rule_goes_back_through_a_graph_as_autodiff_with_that_rules_gradients(
    graph: Any, reference: Any, net_for: Any
) -> None:
    answers = reference.answers(graph.model, graph.images, graph.targets)
    signals = {target: noise(2, answer.shape) for target, answer in answers.items()}
    expected = reference.back_through(graph.model, graph.images, signals)
    for rules in RULES:
        net = net_for(graph.model, rules)
        for target in graph.targets:
            trace = net.trace(graph.images, target)
            assert reference.distance(trace.activation.numpy(), answers[target]) < ROUNDING
            maps = net.project(trace, signals[target])
            there = expected[target, rules]
            assert [m.shape for m in each(maps)] == [m.shape for m in each(graph.images)]
            assert all(m.dtype == np.float32 for m in each(maps))
            assert reference.distance(whole(maps), whole(there)) < ROUNDING, (target, rules)


@pytest.mark.parametrize("rules", RULES)
def test_a_graphs_activations_are_what_is_fed_in(
    graph: Any, rules: str, traced: Any, reference: Any
) -> None:
    net, trace, _ = traced(graph, rules)
    target = graph.targets[-1]
    maps = whole(net.project(trace, trace.activation))
    # Compiled as one, a convolution may be fused with what follows it, and round otherwise.
    assert reference.distance(whole(net.reconstruct(graph.images, target)), maps) < ROUNDING


def test_float32_keeps_up_with_float64_through_every_graph(
    graph: Any, zoo: Any, reference: Any, net_for: Any
) -> None:
    # Bilinear up-sampling answers in float32 whatever it is given: one graph stops below it.
    target = "conv2" if graph.name == "transposed" else graph.targets[-1]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        exact = zoo.__wrapped__(graph.name)
    finally:
        keras.config.set_dtype_policy(before)
    exact.model.set_weights(graph.model.get_weights())
    images = tf.nest.map_structure(lambda pixels: pixels.astype(np.float64), graph.images)
    answer = reference.answers(exact.model, images, [target])[target]
    signal = noise(3, answer.shape)
    expected = reference.back_through(exact.model, images, {target: signal})
    for rules in RULES:
        net = net_for(graph.model, rules)
        maps = net.project(net.trace(graph.images, target), signal)
        there = whole(expected[target, rules])
        assert there.dtype == np.float64
        assert reference.distance(whole(maps), there) < 5e-6  # 1.2e-6 in METHOD, oracle 37


# --- linearity --------------------------------------------------------------------------------


def test_the_gradient_of_a_graph_is_linear_in_its_start_signal(
    graph: Any, traced: Any, reference: Any
) -> None:
    net, trace, signal = traced(graph, "gradient")
    part = noise(4, signal.shape)
    total = whole(net.project(trace, part)) + whole(net.project(trace, signal - part))
    assert reference.distance(total, whole(net.project(trace, signal))) < ROUNDING


def test_the_classic_map_of_a_graph_is_affine_in_its_start_signal(
    graph: Any, traced: Any, reference: Any
) -> None:
    net, trace, signal = traced(graph, "classic")
    part = noise(4, signal.shape)
    total = whole(net.project(trace, part)) + whole(net.project(trace, signal - part))
    offset = whole(net.project(trace, np.zeros_like(signal)))
    assert reference.distance(total - offset, whole(net.project(trace, signal))) < 1e-5
    assert offset.any() == (graph.name != "straight")


@pytest.mark.parametrize("rules", ["deconvnet", "guided"])
def test_rectified_maps_of_a_graph_do_not_add_up(
    graph: Any, rules: str, traced: Any, reference: Any
) -> None:
    net, trace, signal = traced(graph, rules)
    part = noise(4, signal.shape)
    total = whole(net.project(trace, part)) + whole(net.project(trace, signal - part))
    apart = reference.distance(total, whole(net.project(trace, signal)))
    assert apart < ROUNDING if graph.name == "straight" else apart > APART


@pytest.mark.parametrize("rules", ["deconvnet", "guided", "gradient"])
def test_a_stronger_signal_gives_a_graphs_map_as_much_stronger(
    graph: Any, rules: str, traced: Any, reference: Any
) -> None:
    net, trace, signal = traced(graph, rules)
    once = whole(net.project(trace, signal))
    twice = whole(net.project(trace, np.float32(2) * signal))
    np.testing.assert_array_equal(twice, 2 * once)  # only exponents change, so not one bit may
    odd = whole(net.project(trace, np.float32(3.7) * signal))
    assert reference.distance(odd, 3.7 * once) < ROUNDING


@pytest.mark.parametrize("name", RECTIFIED)
def test_a_negative_start_signal_gives_nothing_under_deconvnet_through_a_graph(
    name: str, zoo: Any, traced: Any
) -> None:
    net, trace, signal = traced(zoo(name), "deconvnet")
    assert whole(net.project(trace, np.abs(signal))).any()
    assert not whole(net.project(trace, -np.abs(signal))).any()


def test_without_relus_and_biases_all_rules_agree_over_branches(
    zoo: Any, traced: Any, reference: Any
) -> None:
    maps = [
        net.project(trace, signal)
        for net, trace, signal in (traced(zoo("straight"), rules) for rules in RULES)
    ]
    for other in maps[1:]:
        assert reference.distance(other, maps[0]) < ROUNDING


@pytest.mark.parametrize("name", POSITIVE)
def test_with_positive_weights_and_images_all_rules_agree_over_branches(
    name: str, zoo: Any, reference: Any, net_for: Any
) -> None:
    member = zoo(name, positive=True, bias=0.0)
    target = member.targets[-1]
    maps = [whole(net_for(member.model, r).reconstruct(member.images, target)) for r in RULES]
    for other in maps[1:]:
        assert reference.distance(other, maps[0]) < ROUNDING


@pytest.mark.parametrize(
    "name", ["residual", "concatenating", "nested", "maximum", "global_pooled"]
)
def test_without_biases_image_times_gradient_is_the_answer_and_no_other_rules_map_is(
    name: str, zoo: Any, net_for: Any
) -> None:
    """Euler: a network of ReLUs, maxima and linear steps is homogeneous of degree one."""
    member = zoo(name, bias=0.0)
    target = member.targets[-1]
    errors = {}
    for rules in ("gradient", "deconvnet", "guided"):
        net = net_for(member.model, rules)
        answer = net.trace(member.images, target).activation.numpy().astype(np.float64)
        maps = net.reconstruct(member.images, target)
        there = np.vdot(maps.astype(np.float64), member.images)
        errors[rules] = abs(there - np.sum(answer**2)) / np.sum(answer**2)
    assert errors["gradient"] < 1e-5
    assert errors["deconvnet"] > APART
    assert errors["guided"] > APART


# --- images side by side ----------------------------------------------------------------------


def first(images: Any) -> Any:
    return tf.nest.map_structure(lambda pixels: pixels[:1], images)


@pytest.mark.parametrize("rules", ["deconvnet", "gradient"])
def test_an_image_gives_a_graphs_map_alone_as_beside_another(
    graph: Any, rules: str, traced: Any, reference: Any, net_for: Any
) -> None:
    net, trace, signal = traced(graph, rules)
    alone = net.trace(first(graph.images), graph.targets[-1])
    assert set(alone.switches) == set(trace.switches)
    for path, switches in alone.switches.items():
        np.testing.assert_array_equal(switches, trace.switches[path][:1])
    maps = whole(net.project(alone, signal[:1]))
    assert reference.distance(maps, whole(net.project(trace, signal))[:1]) < 1e-5


@pytest.mark.parametrize("rules", RULES)
def test_another_images_switches_give_a_graphs_other_map(
    graph: Any, rules: str, traced: Any, reference: Any
) -> None:
    net, trace, signal = traced(graph, rules)
    others = {path: tf.roll(switches, 1, 0) for path, switches in trace.switches.items()}
    lent = whole(net.project(dataclasses.replace(trace, switches=others), signal))
    here = whole(net.project(trace, signal))
    if trace.switches:
        assert reference.distance(lent, here) > APART
    else:
        np.testing.assert_array_equal(lent, here)


def test_without_a_pool_a_residual_networks_deconvnet_map_says_nothing_about_the_image(
    zoo: Any, reference: Any, net_for: Any
) -> None:
    member = zoo("residual")
    start = {"layer": "conv4", "feature": 1, "at": (3, 2), "start": "one"}
    with pytest.warns(UserWarning, match="does not depend on the image"):
        maps = net_for(member.model, "deconvnet").reconstruct(member.images, **start)
    assert reference.distance(maps[1], maps[0]) < ROUNDING


# --- places -----------------------------------------------------------------------------------

LOCAL = {
    "residual": "conv4",
    "concatenating": "conv2",
    "nested": "outer/middle/inner/conv",
    "shared": "block#2/conv",
    "greyscale": "conv2",
    "transposed": "conv2",
    "reshaped": "same",
    "open_size": "add",
}


@pytest.fixture
def seen(zoo: Any, reference: Any) -> Callable[[str, str], Array]:
    """Give the pixels that each place of a target can see, bool [h, w, H, W].

    With positive weights and no biases an image of one bright pixel reaches a unit if, and only if,
    some path leads there: no formula of strides and paddings is needed.
    """

    def mask(name: str, target: str) -> Array:
        member = zoo(name, positive=True, bias=0.0)
        _, height, width, channels = member.images.shape
        pixels = np.eye(height * width, dtype=np.float32).reshape(-1, height, width, 1)
        bright = 1e4 * np.tile(pixels, channels)
        dark = reference.answers(member.model, np.zeros_like(bright[:1]), [target])[target]
        lit = reference.answers(member.model, bright, [target])[target]
        reached = (lit != dark).any(-1)
        return reached.transpose(1, 2, 0).reshape(*reached.shape[1:], height, width)

    return mask


@pytest.mark.parametrize("rules", ["deconvnet", "guided", "gradient"])
@pytest.mark.parametrize(("name", "target"), LOCAL.items(), ids=LOCAL)
def test_a_units_map_is_exactly_zero_where_no_path_leads(
    name: str, target: str, rules: str, zoo: Any, seen: Any, net_for: Any
) -> None:
    member, reached = zoo(name), seen(name, target)
    assert not reached.all()
    assert reached.any()
    net = net_for(member.model, rules)
    trace = net.trace(member.images, target)
    places = list(np.ndindex(reached.shape[:2]))
    answered = 0
    for y, x in places[:: max(1, len(places) // 5)]:
        signal = np.zeros(trace.activation.shape, np.float32)
        signal[:, y, x] = 1
        maps = net.project(trace, signal)
        assert not maps[:, ~reached[y, x]].any(), (y, x)
        answered += bool(maps.any())
    assert answered > 1


@pytest.mark.parametrize("rules", ["deconvnet", "guided", "gradient"])
def test_a_shifted_image_gives_a_residual_branchs_shifted_map(
    rules: str, zoo: Any, reference: Any, net_for: Any
) -> None:
    canvas = noise(5, (1, 30, 32, 3))
    here, there = canvas[:, :26, :28], canvas[:, 2:28, 2:30]
    net = net_for(zoo("open_size").model, rules)
    feature = int(net.trace(here, "add").activation[0, 6, 7].numpy().argmax())
    one = net.reconstruct(here, "add", feature=feature, at=(6, 7))
    other = net.reconstruct(there, "add", feature=feature, at=(5, 6))
    shifted = np.zeros_like(one)
    shifted[:, :-2, :-2] = one[:, 2:, 2:]
    assert reference.distance(other, shifted) < ROUNDING


# --- batch normalisation ----------------------------------------------------------------------


@pytest.mark.parametrize("rules", ["deconvnet", "guided", "gradient"])
def test_batch_normalisation_folded_into_a_branch_gives_the_same_map(
    rules: str, zoo: Any, reference: Any, net_for: Any
) -> None:
    member = zoo("residual")
    folded = zoo.__wrapped__("residual").model
    norm, bare = member.model.get_layer("norm"), folded.get_layer("norm")
    gamma, beta, mean, variance = norm.get_weights()
    kernel, bias = member.model.get_layer("conv3").get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    folded.get_layer("conv3").set_weights([kernel * scale, (bias - mean) * scale + beta])
    ones, zeros = np.ones_like(gamma), np.zeros_like(gamma)
    bare.set_weights([ones, zeros, zeros, ones - bare.epsilon])
    maps = net_for(member.model, rules).reconstruct(member.images, "head")
    without = deconvviz.Deconvnet(folded, rules=rules).reconstruct(member.images, "head")
    assert reference.distance(without, maps) < 5e-6

"""What a person may hand in, what the layers are called, and what the program says on its own.

Inputs by name, open sizes, several outputs, the table of layers, warnings, and the refusals that
concern whole networks rather than single layers.
"""

import json
import re
import warnings
from typing import Any

import keras
import numpy as np
import pytest

import deconvviz
from deconvviz import Deconvnet
from deconvviz.data import Preprocess

Array = np.ndarray
RULES = ("deconvnet", "guided", "gradient", "classic")
layers, ops = keras.layers, keras.ops


def noise(seed: int, shape: Any) -> Array:
    return np.random.default_rng(seed).normal(size=tuple(shape)).astype(np.float32)


# --- inputs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", RULES)
def test_inputs_that_have_names_come_as_a_tuple_in_the_models_order(
    rules: str, zoo: Any, reference: Any, net_for: Any
) -> None:
    """A model that wants a dict is the same network as one that wants a list."""
    member = zoo("two_inputs")
    by_name = dict(zip(("colour", "grey"), member.model.inputs, strict=True))
    named = keras.Model(by_name, member.model.outputs)
    ours = Deconvnet(named, rules=rules).reconstruct(member.images, "flat")
    expected = net_for(member.model, rules).reconstruct(member.images, "flat")
    assert isinstance(ours, tuple)
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_images_by_name_are_matched_in_any_order(zoo: Any) -> None:
    member = zoo("two_inputs")
    colour, grey = member.images
    net = Deconvnet(member.model)
    by_name = net.reconstruct({"grey": grey, "colour": colour}, "flat")
    in_order = net.reconstruct((colour, grey), "flat")
    assert list(by_name) == ["colour", "grey"]
    for one, other in zip(by_name.values(), in_order, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("names", "told"),
    [(("colour", "gray"), "'gray'"), (("colour",), "'grey'"), (("colour", "grey", "x"), "'x'")],
)
def test_images_under_other_names_are_refused(names: Any, told: str, zoo: Any) -> None:
    member = zoo("two_inputs")
    given = dict.fromkeys(names, member.images[0])
    with pytest.raises(deconvviz.DataError, match="tuple in that order") as refused:
        Deconvnet(member.model).reconstruct(given, "flat")
    assert told in str(refused.value)


def test_a_tuple_in_another_order_is_refused_with_the_order(zoo: Any) -> None:
    member = zoo("two_inputs")
    with pytest.raises(deconvviz.DataError, match="in this order: 'colour', 'grey'"):
        Deconvnet(member.model).reconstruct(member.images[::-1], "flat")


# --- pixels -----------------------------------------------------------------------------------

PIXELS = np.random.default_rng(5).integers(0, 256, (2, 8, 8, 3), np.uint8)


def chain(*first: Any, dtype: str = "float32") -> keras.Model:
    images = keras.Input((8, 8, 3), dtype=dtype)
    return keras.Sequential([images, *first, layers.Conv2D(4, 3, name="conv")])


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.uint16])
def test_pixels_that_the_network_does_not_scale_are_refused_with_two_ways_out(kind: Any) -> None:
    net = Deconvnet(chain())
    with pytest.raises(deconvviz.DataError, match="does not scale them itself") as refused:
        net.reconstruct(PIXELS.astype(kind), "conv")
    assert "Preprocess('unit')(images) of deconvviz.data" in str(refused.value)
    assert "images.astype('float32')" in str(refused.value)
    net.reconstruct(Preprocess("unit")(PIXELS), "conv")
    net.reconstruct(PIXELS.astype("float32"), "conv")


@pytest.mark.parametrize(
    "first",
    [
        (layers.Rescaling(1 / 255),),
        (layers.Normalization(mean=127.0, variance=64.0**2),),
        (layers.RandomFlip(), layers.ZeroPadding2D(1), layers.Rescaling(1 / 127.5, -1)),
        (keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255)], name="within"),),
    ],
    ids=["rescaling", "normalization", "behind augmentation", "nested"],
)
def test_a_network_that_scales_takes_pixels(first: Any) -> None:
    net = Deconvnet(chain(*first))
    assert net.scales_itself
    maps = net.reconstruct(PIXELS, "conv")
    np.testing.assert_array_equal(maps, net.reconstruct(PIXELS.astype("float32"), "conv"))


def test_scaling_by_arithmetic_is_scaling_and_a_second_reader_is_not() -> None:
    images = keras.Input((8, 8, 3))
    scaled = layers.Conv2D(4, 3, name="conv")(images / 255.0)
    assert Deconvnet(keras.Model(images, scaled)).scales_itself
    beside = layers.Conv2D(4, 3, name="raw")(images)
    assert not Deconvnet(keras.Model(images, layers.Add()([scaled, beside]))).scales_itself


# --- layers -----------------------------------------------------------------------------------


def test_a_keras_layer_names_itself(zoo: Any) -> None:
    member = zoo("nested")
    net, inner = Deconvnet(member.model), member.model.get_layer("outer").get_layer("conv")
    np.testing.assert_array_equal(
        net.reconstruct(member.images, inner), net.reconstruct(member.images, "outer/conv")
    )
    several = net.reconstruct(member.images, [inner, "last"])
    assert list(several) == ["outer/conv", "last"]


def test_a_keras_layer_that_stands_twice_or_elsewhere_is_refused(zoo: Any) -> None:
    model = zoo("shared").model
    with pytest.raises(deconvviz.DeconvvizError, match="'conv', 'conv#2'"):
        Deconvnet(model).path(model.get_layer("conv"))
    with pytest.raises(deconvviz.DeconvvizError, match="'elsewhere' is no layer of this model"):
        Deconvnet(model).path(layers.ReLU(name="elsewhere"))


def test_a_keras_number_is_refused_with_the_layer_that_it_stands_for(zoo: Any) -> None:
    member = zoo("classic")
    net = Deconvnet(member.model)
    with pytest.raises(deconvviz.DeconvvizError, match=r"model\.layers\[-2\]"):
        net.reconstruct(member.images, -2)
    net.reconstruct(member.images, member.model.layers[-2])


@pytest.mark.parametrize("images", ["one", "three", "array", "sizes"])
def test_images_that_are_not_one_array_an_input_are_refused(images: str, zoo: Any) -> None:
    member = zoo("two_inputs")
    colour, grey = member.images
    given: Any = {
        "one": (colour,),
        "three": (colour, grey, grey),
        "array": colour,
        "sizes": (colour, grey[:1]),
    }[images]
    with pytest.raises(deconvviz.DeconvvizError):
        Deconvnet(member.model).reconstruct(given, "flat")


@pytest.mark.parametrize("size", [(8, 8), (13, 9), (21, 16)])
def test_an_open_size_takes_images_of_any_size(
    size: tuple[int, int], zoo: Any, reference: Any
) -> None:
    model = zoo("open_size").model
    images = noise(1, (2, *size, 3))
    answer = reference.answers(model, images, ["add"])["add"]
    signal = noise(2, answer.shape)
    expected = reference.back_through(model, images, {"add": signal}, ("deconvnet",))
    net = Deconvnet(model)
    maps = net.project(net.trace(images, "add"), signal)
    assert reference.distance(maps, expected["add", "deconvnet"]) < 2e-6


def test_each_output_of_a_split_is_a_step_of_its_own(reference: Any) -> None:
    images = keras.Input((6, 5, 4))
    one, other = ops.split(images * 2, [1], axis=-1)
    model = keras.Model(images, [one, other])
    name = one._keras_history.operation.name
    net, x = Deconvnet(model), noise(3, (2, 6, 5, 4))
    paths = {layer.path for layer in net.layers}
    assert {f"{name}[0]", f"{name}[1]"} <= paths
    trace = net.trace(x, f"{name}[1]")
    np.testing.assert_array_equal(trace.activation, 2 * x[..., 1:])
    signal = noise(4, trace.activation.shape)
    maps = net.project(trace, signal)
    np.testing.assert_array_equal(maps[..., 1:], 2 * signal)
    assert not maps[..., :1].any()


def test_an_input_that_a_layer_does_not_see_gets_an_empty_map(zoo: Any) -> None:
    member = zoo("two_inputs")
    colour, grey = Deconvnet(member.model).reconstruct(member.images, "g1")
    assert not colour.any()
    assert grey.any()


# --- the table of layers ----------------------------------------------------------------------


def test_the_table_of_layers_has_every_path_once_with_its_shape_and_its_rule(zoo: Any) -> None:
    rows = {row.path: row for row in Deconvnet(zoo("nested").model).layers}
    assert len(rows) == len(Deconvnet(zoo("nested").model).layers)
    expected = {
        "outer/conv": ("Conv2D", (12, 12, 4), 3 * 3 * 3 * 4 + 4),
        "outer/middle/conv": ("Conv2D", (12, 12, 4), 3 * 3 * 4 * 4 + 4),
        "outer/middle/pool": ("MaxPooling2D", (6, 6, 4), 0),
        "outer/middle/inner/conv": ("Conv2D", (6, 6, 5), 3 * 3 * 4 * 5 + 5),
        "outer/middle/inner/pool": ("MaxPooling2D", (3, 3, 5), 0),
        "pool": ("MaxPooling2D", (3, 3, 4), 0),
        "join": ("Concatenate", (3, 3, 9), 0),
        "last": ("Conv2D", (3, 3, 4), 3 * 3 * 9 * 4 + 4),
    }
    assert {p: (r.kind, tuple(r.output_shape), r.parameters) for p, r in rows.items()} == expected
    assert all(row.rule and not row.reason for row in rows.values())


def test_a_layer_used_twice_has_two_rows(zoo: Any) -> None:
    paths = [row.path for row in Deconvnet(zoo("shared").model).layers]
    assert {"conv", "conv#2", "block/conv", "block/pool", "block#2/conv", "block#2/pool"} < set(
        paths
    )


def test_each_input_that_a_layer_sees_has_its_own_receptive_field(zoo: Any) -> None:
    rows = {row.path: row for row in Deconvnet(zoo("two_inputs").model).layers}
    sizes = {
        path: {name: field and field.size for name, field in rows[path].receptive_fields.items()}
        for path in ("conv1", "g1", "join", "flat")
    }
    assert sizes == {
        "conv1": {"colour": (3, 3)},
        "g1": {"grey": (3, 3)},
        "join": {"colour": (3, 3), "grey": (3, 3)},
        "flat": {"colour": None, "grey": None},
    }


def test_a_quantized_layer_is_named_and_not_its_activation() -> None:
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(5, activation="relu", name="few")]
    )
    model.get_layer("few").quantize("int8")
    net = Deconvnet(model)
    with pytest.raises(deconvviz.UnsupportedLayerError, match="'few', Dense quantized to int8"):
        net.require("few")
    assert net.layers[-1].reason == "no rule for Dense quantized to int8"


def test_a_layer_without_a_rule_has_the_reason_in_its_row(zoo: Any) -> None:
    rows = {row.path: row for row in Deconvnet(zoo("dense").model).layers}
    assert rows["logits"].rule
    assert rows["logits"].reason is None
    assert rows["softmax"].rule is None
    assert "softmax" in str(rows["softmax"].reason).lower()


# --- what is said unasked ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "start", [{"feature": 1, "at": (1, 1)}, {"feature": 1, "at": "max", "start": "one"}], ids=str
)
def test_one_unit_with_no_pool_below_it_brings_the_warning_once(start: Any, zoo: Any) -> None:
    member = zoo("no_pool")
    net = Deconvnet(member.model)
    with pytest.warns(UserWarning, match="does not depend on the image") as caught:
        net.reconstruct(member.images, "conv3", **start)
    assert sum("does not depend on the image" in str(one.message) for one in caught) == 1


def test_one_unit_of_a_layer_without_axes_brings_the_warning() -> None:
    steps = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3, name="out")]
    model = keras.Sequential([keras.Input((6, 6, 3)), *steps])
    with pytest.warns(UserWarning, match="does not depend on the image"):
        Deconvnet(model).reconstruct(noise(5, (2, 6, 6, 3)), "out", feature=1)


@pytest.mark.parametrize("rules", ["guided", "gradient"])
def test_rules_that_look_at_the_image_bring_no_warning(rules: str, zoo: Any, net_for: Any) -> None:
    member = zoo("no_pool")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", deconvviz.EmptyReconstructionWarning)
        net_for(member.model, rules).reconstruct(member.images, "conv3", feature=1, at=(1, 1))


def test_a_pool_on_the_way_and_a_whole_map_bring_no_warning(zoo: Any, net_for: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", deconvviz.EmptyReconstructionWarning)
        member = zoo("classic")
        net_for(member.model, "deconvnet").reconstruct(member.images, "pool2", feature=1, at=(1, 1))
        member = zoo("no_pool")
        net_for(member.model, "deconvnet").reconstruct(member.images, "conv3", feature=1)


# --- what whole networks are refused for ------------------------------------------------------


def test_the_first_of_several_branches_whose_values_are_not_finite_is_named(zoo: Any) -> None:
    member = zoo.__wrapped__("residual")
    kernel, bias = member.model.get_layer("conv3").get_weights()
    member.model.get_layer("conv3").set_weights([kernel * np.nan, bias])
    with pytest.raises(deconvviz.DataError) as caught:
        Deconvnet(member.model).reconstruct(member.images, "head")
    named = set(re.findall(r"\w+", str(caught.value)))
    assert "conv3" in named
    assert not {"norm", "add1", "relu1", "conv4", "add2", "pool1", "head"} & named


# --- the caller's model -----------------------------------------------------------------------


def everything(model: Any) -> list[Any]:
    inner = getattr(model, "layers", [])
    return [model, *(each for layer in inner for each in everything(layer))]


def state(model: keras.Model) -> dict[str, Any]:
    parts = everything(model)
    return {
        "config": json.dumps(model.get_config(), sort_keys=True, default=str),
        "weights": [weight.tobytes() for weight in model.get_weights()],
        "objects": [(id(part), id(getattr(part, "activation", None))) for part in parts],
        "nodes": [(len(part._inbound_nodes), len(part._outbound_nodes)) for part in parts],
        "trainable": [part.trainable for part in parts],
        "own calls": ["call" in vars(part) for part in parts],
    }


@pytest.mark.parametrize("rules", RULES)
def test_a_graph_is_the_same_after_its_reconstructions_and_after_a_refusal(
    graph: Any, rules: str, net_for: Any
) -> None:
    """The nets are made by other tests, too; a fresh one joins in, so that all of it runs here."""
    before = state(graph.model)
    net = net_for(graph.model, rules)
    net.reconstruct(graph.images, graph.targets[-1])
    assert len(Deconvnet(graph.model, rules=rules).layers) > 2
    assert state(graph.model) == before
    spoilt = [
        pixels * np.nan
        for pixels in (graph.images if isinstance(graph.images, tuple) else (graph.images,))
    ]
    with pytest.raises(deconvviz.DeconvvizError):
        net.reconstruct(tuple(spoilt) if len(spoilt) > 1 else spoilt[0], graph.targets[-1])
    assert state(graph.model) == before


def test_a_graph_is_the_same_after_a_layer_failed_in_the_middle() -> None:
    class Fails(keras.layers.Layer):
        broken = False

        def call(self, inputs: Any) -> Any:
            if self.broken:
                raise RuntimeError("the layer's own trouble")
            return inputs

    images = keras.Input((6, 6, 3))
    fails = Fails(name="fails")
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(images)
    model = keras.Model(images, layers.Conv2D(3, 3, activation="relu", name="last")(fails(x)))
    before = state(model)
    Fails.broken = True
    with pytest.raises((deconvviz.DeconvvizError, RuntimeError)):
        Deconvnet(model, rules="gradient").reconstruct(noise(7, (1, 6, 6, 3)), "last")
    assert state(model) == before
    Fails.broken = False
    assert Deconvnet(model, rules="gradient").reconstruct(noise(7, (1, 6, 6, 3)), "last").any()

"""The list of Keras's names that is read without Keras agrees with Keras."""

import inspect

import keras
import pytest

from deconvviz.models.keras_classes import is_class, is_function, is_operation

SPACES = ("layers", "initializers", "regularizers", "constraints", "dtype_policies", "optimizers")


@pytest.mark.parametrize("space", SPACES)
def test_every_class_that_keras_exports_is_known(space: str) -> None:
    names: dict[type, list[str]] = {}  # some classes have old names beside their own
    for name, value in vars(getattr(keras, space)).items():
        if inspect.isclass(value):
            names.setdefault(value, []).append(name)
    assert len(names) >= 4
    for known in names.values():
        assert any(is_class(name, f"keras.{space}") for name in known), known
        assert any(is_class(name, None) for name in known), known


@pytest.mark.parametrize("space", SPACES)
def test_no_function_passes_for_a_class(space: str) -> None:
    module = getattr(keras, space)
    for name in (name for name, value in vars(module).items() if inspect.isfunction(value)):
        assert not is_class(name, f"keras.{space}")


def test_a_class_is_known_only_where_keras_exports_it() -> None:
    assert not is_class("Conv2D", "keras.initializers")
    assert not is_class("Conv2D", "os")
    assert not is_class("get_file", "keras.utils")
    assert not is_class("Node", "keras.src.ops.node")


def test_every_activation_is_known_by_its_name_alone() -> None:
    names = {name for name, value in vars(keras.activations).items() if inspect.isfunction(value)}
    assert len(names) > 20
    for name in names:
        assert is_function(name, "builtins")
    assert not is_function("system", "builtins")
    assert not is_function("get_file", "keras.utils")


def test_what_operations_on_tensors_leave_in_a_graph_is_known() -> None:
    x = keras.Input((4, 4, 2))
    y = keras.activations.relu(keras.ops.relu(x * 2 + 1), max_value=6)
    for operation in keras.Model(x, keras.ops.sum(y[:, 1:], axis=-1)).operations[1:]:
        name = type(operation).__name__
        assert is_operation(name)
        assert is_class(name, type(operation).__module__)


def test_the_layers_of_keras_own_applications_are_known() -> None:
    from keras.src.applications import convnext, inception_resnet_v2

    found = {
        (value.__module__, name)
        for module in (convnext, inception_resnet_v2)
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }
    assert len(found) == 3
    assert all(is_class(name, module) for module, name in found)

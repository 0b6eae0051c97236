"""Which classes and functions Keras exports, told without importing Keras.

A model's configuration names what is to be built by module and class. Keras's packages list their
public names as plain imports, so the list is read from there, and is that of the installed version.
"""

import ast
import importlib.machinery
import re
from functools import cache
from pathlib import Path

_NAMESPACES = frozenset(
    {
        "keras",
        "keras.constraints",
        "keras.dtype_policies",
        "keras.initializers",
        "keras.layers",
        "keras.losses",
        "keras.metrics",
        "keras.mixed_precision",
        "keras.models",
        "keras.optimizers",
        "keras.optimizers.schedules",
        "keras.quantizers",
        "keras.random",
        "keras.regularizers",
    }
)
_FUNCTIONS = ("keras.activations", "keras.initializers", "keras.losses", "keras.metrics")
_UNEXPORTED = {  # and yet saved
    ("keras.src.models.functional", "Functional"),
    ("keras.src.applications.convnext", "LayerScale"),
    ("keras.src.applications.convnext", "StochasticDepth"),
    ("keras.src.applications.inception_resnet_v2", "CustomScaleLayer"),
}
_OPERATIONS = (  # what a tensor went through outside of a layer, such as x * 2
    "keras.src.activations.activations",
    "keras.src.ops.core",
    "keras.src.ops.einops",
    "keras.src.ops.image",
    "keras.src.ops.linalg",
    "keras.src.ops.math",
    "keras.src.ops.nn",
    "keras.src.ops.numpy",
)


def is_class(name: str, module: str | None) -> bool:
    """Say whether a configuration's class is one that Keras has.

    Args:
        name: the class, such as `Conv2D`.
        module: where the file says that it lives; None in the old formats, which do not say.
    """
    if module is None:
        return name == "Functional" or any(name in _classes(space) for space in _NAMESPACES)
    if module in _NAMESPACES:
        return name in _classes(module)
    return (module, name) in _UNEXPORTED or name in _operations(module)


def is_function(name: str, module: str | None) -> bool:
    """Say whether a configuration's function, such as `relu`, is one that Keras has."""
    if module in (None, "builtins"):  # Keras looks through its packages by the name alone
        return any(name in _exports(space) for space in _FUNCTIONS)
    return module in (*_FUNCTIONS, "keras.ops") and name in _exports(module)


def is_operation(name: str) -> bool:
    """Say whether `name` is a class that an operation on tensors, such as `x * 2`, leaves."""
    return any(name in _operations(module) for module in _OPERATIONS)


@cache
def _exports(module: str) -> frozenset[str]:
    tree = ast.parse((_file(module) / "__init__.py").read_text(encoding="utf-8"))
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return frozenset(alias.asname or alias.name for node in imports for alias in node.names)


def _classes(module: str) -> frozenset[str]:
    return frozenset(name for name in _exports(module) if name[0].isupper() and name != "Input")


@cache
def _operations(module: str) -> frozenset[str]:
    if module not in _OPERATIONS:
        return frozenset()
    text = _file(module).with_suffix(".py").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^class ([A-Z]\w*)\(", text, re.MULTILINE))


def _file(module: str) -> Path:
    # Not importlib.util.find_spec: it would import the parents of a module, and so Keras.
    spec = importlib.machinery.PathFinder.find_spec("keras")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *module.split(".")[1:])

"""Check what a model's configuration would make Keras build.

The configuration is a program in JSON: it names classes, and says how large they are to be. Here
every name is one that Keras exports, and every size one that this file's weights bear out.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deconvviz.errors import CheckpointError
from deconvviz.models.keras_classes import is_class, is_function, is_operation
from deconvviz.models.preflight_sizes import require_shape, require_size, require_stored
from deconvviz.wording import quoted

_LONGEST_NAME = 255  # letters
_DEEPEST = 200  # a model nested in a model goes four levels down
_MOST_VALUES = 2**19  # DenseNet121 has 25,000
_RUNS_CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "__lambda__"}
_VALUES = {  # how Keras writes constants and connections into a configuration
    "__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__",
    "__tuple__", "TensorShape",
}  # fmt: skip
_OURS = ("deconvviz>MaxPoolingWithSwitches", "deconvviz>FilterRadius")
_KERAS_2_ONLY = {
    "TFOpLambda",
    "SlicingOpLambda",
    "TensorFlowOpLayer",
    "ModuleWrapper",
    "ThresholdedReLU",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "SyncBatchNormalization",
    "CuDNNGRU",
    "CuDNNLSTM",
    "RandomFourierFeatures",
}

Config = dict[str, Any]


def parse(path: Path, text: str | bytes) -> Config:
    """Read a JSON object.

    Raises:
        CheckpointError: for anything else, and for nesting without end.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep(path) from None
    except ValueError as error:
        reason = str(error).partition(";")[0]  # then comes advice for programmers
        raise CheckpointError(
            f"{path} describes its model in damaged JSON ({reason}). Copy or save the model again."
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path} describes its model by a JSON {type(value).__name__}, not by an object with "
            "class_name and config. Save the model with model.save('model.keras')."
        )
    return value


def check_config(path: Path, config: Config, axes: frozenset[int], version: str | None) -> None:
    """Refuse a configuration that names strange classes or claims impossible sizes.

    Args:
        path: the file, for the refusals.
        config: what `parse` gave.
        axes: every axis of every stored weight.
        version: the Keras that wrote the file, where that is known.

    Raises:
        CheckpointError: it names the class or the number.
    """
    # What the model was compiled with is not loaded, and may well be the author's own.
    config = {key: value for key, value in config.items() if key != "compile_config"}
    if not ("class_name" in config and isinstance(config.get("config"), dict)):
        raise CheckpointError(
            f"{path} describes no model: its JSON has {', '.join(sorted(config)[:5]) or 'nothing'} "
            "in place of class_name and config. Save the model with model.save('model.keras')."
        )
    for key, value in _walk(path, config):
        if isinstance(value, dict) and "class_name" in value:
            _require_known(path, value, version)
            _require_connected(path, value)
            _require_name(path, value)
            require_stored(path, value, axes)
        elif isinstance(value, list):
            require_shape(path, key, value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            require_size(path, key, value)


def _walk(path: Path, config: Any) -> Iterator[tuple[str, Any]]:
    """Every value at any depth, with the key that it (or the list around it) stands under."""
    waiting: list[tuple[str, Any, int]] = [("", config, 0)]
    seen = 0
    while waiting:
        key, value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise _too_deep(path)
        yield key, value
        if isinstance(value, dict | list):
            seen += len(value)
            if seen > _MOST_VALUES:
                raise _too_long(path)
            parts = value.items() if isinstance(value, dict) else ((key, part) for part in value)
            waiting += ((name, part, depth + 1) for name, part in parts)


def _too_deep(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} nests its model more than {_DEEPEST} levels deep; no model needs that. It was not "
        "opened."
    )


def _too_long(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} describes its model by more than {_MOST_VALUES} values; no network that can be "
        "shown needs as many. It was not opened."
    )


def _require_known(path: Path, entry: Config, version: str | None) -> None:
    name = str(entry["class_name"])
    if name in _RUNS_CODE:
        raise CheckpointError(
            f"{path} has a {name} layer, which can run any code when it is loaded. It was not "
            "opened. Rebuild the model without it, and save that."
        )
    if not _is_known(entry):
        raise _unknown(path, name, entry.get("module"), version)


def _require_connected(path: Path, entry: Config) -> None:
    """Refuse a call without a tensor of the graph: Keras would not draw it, but carry it out."""
    nodes = entry.get("inbound_nodes") or []
    for node in nodes if isinstance(nodes, list) else [nodes]:
        parts = (part for _, part in _walk(path, node) if isinstance(part, dict))
        tensor = any(part.get("class_name") == "__keras_tensor__" for part in parts)
        if not tensor and not (node and isinstance(node, list)):  # before Keras 3: a list of calls
            raise CheckpointError(
                f"{path} has a {entry['class_name']} that is connected to nothing; Keras never "
                "saves one. It was not opened. Save the model again."
            )


def _require_name(path: Path, entry: Config) -> None:
    """Refuse a layer whose name would fill a screen, or write on the terminal."""
    config = entry.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    if isinstance(name, str) and not (
        len(name) <= _LONGEST_NAME and " ".join(name.split()).isprintable()
    ):
        raise CheckpointError(
            f"{path} has a {entry['class_name']} of the name {quoted(name)}; at most "
            f"{_LONGEST_NAME} letters that can be printed are taken. It was not opened. Rename it, "
            "and save the model again."
        )


def _is_known(entry: Config) -> bool:
    name, module = entry["class_name"], entry.get("module")
    registered = entry.get("registered_name")
    if not (isinstance(name, str) and isinstance(module, str | None)):
        return False
    ours = registered if registered in _OURS else name
    if ours in _OURS:
        return name in (ours, ours.partition(">")[2])
    if name == "function":
        function = entry.get("config")
        return isinstance(function, str) and is_function(function, module)
    # A registered name outranks the class: it may only repeat it.
    return name in _VALUES or (registered in (None, name) and is_class(name, module))


def _unknown(path: Path, name: str, module: Any, version: str | None) -> CheckpointError:
    keras_2 = (version or "").startswith(("1.", "2.")) and str(module).startswith("keras.")
    if name in _KERAS_2_ONLY or keras_2:
        return CheckpointError(
            f"{path} was saved by Keras {version or 2} and has a {name}, which Keras 3 cannot "
            "read. Rebuild the model with Keras 3's layers, load its weights (tf_keras still opens "
            "the file and can save them), and save that with model.save('model.keras')."
        )
    if module is None and is_operation(name):
        return CheckpointError(
            f"{path} has the operation {name}, which the .h5 format cannot hold. Save the model "
            "again with model.save('model.keras')."
        )
    return CheckpointError(
        f"{path} asks for the class {module or '?'}.{name}, which is not Keras's own. It was "
        "not opened. Load it in your own program, where you trust it, and hand the model to "
        "deconvviz.Deconvnet."
    )

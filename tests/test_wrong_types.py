"""Every argument of the public functions, given something of another type: refused in words.

An argument's own good value is in `GOOD`; each wrong one takes its place alone. What comes out is
a DeconvvizError that names the argument or what it takes, and nothing else.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import deconvviz
from deconvviz.data import Preprocess, read_images
from deconvviz.experiments.correspondence import correspond
from deconvviz.experiments.diagnosis import diagnose
from deconvviz.experiments.evolution import strongest_moment
from deconvviz.experiments.invariance import low_and_high, measure_invariance
from deconvviz.experiments.occlusion import occlude, square_for
from deconvviz.experiments.sanity import check
from deconvviz.experiments.top import nothing_yet

layers = keras.layers
RAGGED = [[1], [1, 2]]
SEVERAL = np.array([1, 2])  # whose truth is ambiguous
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
IMAGES = PIXELS.astype(np.float32) / 255


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="photo"),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="dense"),
        ]
    )


MODEL = network()
NET = deconvviz.Deconvnet(MODEL)
NO_NET = (None, 5, "logs/classic-1", MODEL)
NO_LAYER: tuple[Any, ...] = (
    None,
    5,
    -2,
    1.5,
    ["conv", 3],
    [["conv"]],
    [],
    {"conv": 1},
    b"conv",
    keras.layers.ReLU(),
)
NO_ARRAY: tuple[Any, ...] = (None, 5, "cat.jpg", RAGGED, object(), {}, [], IMAGES[0], iter([]))
NO_IMAGES = (*NO_ARRAY, {"a": IMAGES}, PIXELS)
NO_PIXELS: tuple[Any, ...] = (None, 5, "a", [[1]], IMAGES)
NO_NUMBER = ("9", 2.5, -1, None, True, RAGGED, object())
NO_PATH = (5, 1.5, ["a"], object())

CASES: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, tuple[Any, ...]]]] = {
    "Deconvnet": (
        deconvviz.Deconvnet,
        {"model": MODEL},
        {
            "model": (None, 5, "model.keras", layers.ReLU()),
            "rules": (None, 5, ["guided"], {1: 2}, SEVERAL, deconvviz),
            "nonlinear": (None, 5, [], SEVERAL),
        },
    ),
    "reconstruct": (
        NET.reconstruct,
        {"images": IMAGES, "layer": "pool", "feature": 0, "at": "max"},
        {
            "images": NO_IMAGES,
            "layer": NO_LAYER,
            "feature": ("a", 1.5, -1, RAGGED, {}, object(), True, [0, 0, 0]),
            "at": ("min", -1, 1.5, (0,), (0.5, 1), RAGGED, {}, object(), b"max"),
            "start": (None, 5, [], SEVERAL, "value"),
        },
    ),
    **{
        method: (
            getattr(NET, method),
            {"images": IMAGES, name: "conv"},
            {"images": NO_IMAGES, name: NO_LAYER},
        )
        for method, name in (
            ("activation", "layer"),
            ("activations", "layers"),
            ("strongest", "layers"),
            ("batches", "layers"),
            ("trace", "layer"),
        )
    },
    "project": (
        NET.project,
        {"traced": NET.trace(IMAGES, "pool"), "signal": np.zeros((2, 3, 3, 4))},
        {"traced": (None, 5, "conv"), "signal": (None, 5, "a", RAGGED, object())},
    ),
    "seen": (
        NET.seen,
        {"layer": "conv", "unit": (0, 0)},
        {
            "layer": NO_LAYER,
            "unit": (None, 5, "a", (1,), ("a", 1), (0.5, 1), (-1, 0)),
            "image_size": (5, "a", (1,), ("a", 1)),
        },
    ),
    "require": (NET.require, {"layer": "conv"}, {"layer": NO_LAYER}),
    "approximated": (NET.approximated, {"layer": "conv"}, {"layer": NO_LAYER}),
    "depends_on_image": (NET.depends_on_image, {"layer": "conv"}, {"layer": NO_LAYER}),
    "strongest_activations": (
        deconvviz.strongest_activations,
        {"net": NET, "images": IMAGES, "layer": "conv", "k": 1},
        {
            "net": NO_NET,
            "images": NO_IMAGES,
            "layer": NO_LAYER,
            "k": (0, *NO_NUMBER),
            "first": NO_NUMBER,
            "keep": NO_PATH,
            "progress": (5, "a"),
        },
    ),
    "merged": (
        nothing_yet("conv", 4, 1).merged,
        {"other": nothing_yet("conv", 4, 1)},
        {"other": (None, 5, "a")},
    ),
    "load_model": (deconvviz.load_model, {"path": "nowhere"}, {"path": (None, *NO_PATH)}),
    "ReconstructionCallback": (
        deconvviz.ReconstructionCallback,
        {"images": IMAGES},
        {
            "images": NO_ARRAY,
            "layers": (5, -2, [], [1], {}, 1.5),
            "rules": (None, 5, []),
            "log_dir": (None, *NO_PATH),
            "every": (0, *NO_NUMBER),
            "nonlinear": (None, 5, []),
        },
    ),
    "Preprocess": (Preprocess, {"name": "unit"}, {"name": (None, 5, [], "no"), "crop": NO_NUMBER}),
    "window": (Preprocess("unit", 4).window, {"images": PIXELS}, {"images": NO_PIXELS}),
    "preprocess": (Preprocess("unit"), {"images": PIXELS}, {"images": NO_PIXELS}),
    "inverse": (
        Preprocess("unit").inverse,
        {"x": IMAGES, "images": PIXELS},
        {"x": NO_PIXELS[:-1], "images": NO_PIXELS},
    ),
    "read_images": (
        read_images,
        {"paths": ["nowhere.png"], "size": 8},
        {
            "paths": (None, 5, [5], []),
            "size": (None, "x", 0, (1, 2, 3), 2.5),
            "fit": (None, 5, "no", []),
        },
    ),
    "square_for": (
        square_for,
        {"shape": (8, 8, 3)},
        {
            "shape": (None, 5, "abc", (8, 8), (8.5, 8, 3)),
            "value": (None, "a", (1, 2), RAGGED, np.nan, object()),
            "size": ("a", 2.5, 0, 9, []),
            "stride": ("a", 2.5, 0, 9, []),
        },
    ),
    "occlude": (
        occlude,
        {"net": NET, "image": IMAGES[0], "label": 0, "layer": "conv"},
        {
            "net": NO_NET,
            "image": (None, 5, "a", RAGGED, IMAGES, PIXELS[0], object()),
            "label": ("a", 2.5, -1, 3, []),
            "layer": NO_LAYER,
            "square": (5, "a", (1, 2)),
            "feature": ("a", 2.5, -1, 4, []),
        },
    ),
    "low_and_high": (low_and_high, {"net": NET}, {"net": NO_NET}),
    "measure_invariance": (
        measure_invariance,
        {"net": NET, "images": IMAGES, "labels": [0, 1], "layers": ["conv"], "transformations": []},
        {
            "net": NO_NET,
            "images": NO_IMAGES,
            "labels": (5, "ab", [0], [0, 1.5], [0, 3], object()),
            "layers": NO_LAYER,
            "transformations": (5, "a", [5]),
            "fill": (None, "a", (1, 2), RAGGED, np.nan),
        },
    ),
    "correspond": (
        correspond,
        {"net": NET, "images": IMAGES, "parts": {"eye": [[0, 0, 2, 2]] * 2}, "layers": ["conv"]},
        {
            "net": NO_NET,
            "images": NO_IMAGES,
            "parts": (None, 5, "a", {}, {"eye": "a"}, {"eye": RAGGED}, {"eye": None}),
            "layers": NO_LAYER,
            "value": (None, "a", (1, 2), RAGGED),
            "repetitions": (0, *NO_NUMBER),
            "seed": NO_NUMBER,
        },
    ),
    "check": (
        check,
        {"net": NET, "images": IMAGES, "layer": "pool", "rules": "deconvnet"},
        {
            "net": NO_NET,
            "images": NO_IMAGES,
            "layer": (None, 5, -2, [], b"pool"),
            "feature": ("a", 2.5, -1, 4, []),
            "settings": (5, "a", {}),
        },
    ),
    "diagnose": (
        diagnose,
        {"net": NET, "images": PIXELS, "preprocess": Preprocess("unit")},
        {"net": NO_NET, "images": (None, 5, "a", RAGGED, IMAGES), "preprocess": (5, "unit")},
    ),
    "strongest_moment": (
        strongest_moment,
        {
            "net": NET,
            "images": PIXELS,
            "preprocess": Preprocess("unit"),
            "layers": ["conv"],
            "features": [0],
            "step": 1,
            "searched": 2,
        },
        {
            "net": NO_NET,
            "images": (None, 5, "a", RAGGED, IMAGES),
            "preprocess": (None, 5, "unit"),
            "layers": NO_LAYER,
            "features": (None, 5, "a", [-1], [4], [0.5]),
            "searched": (0, *NO_NUMBER),
        },
    ),
}  # fmt: skip


TAKEN = set(CASES) - {"load_model", "read_images", "check"}  # no such files; and a long one


@pytest.mark.parametrize(
    ("function", "argument"),
    [(name, argument) for name, (_, _, wrong) in CASES.items() for argument in wrong],
)
def test_an_argument_of_a_wrong_type_is_refused_in_words(function: str, argument: str) -> None:
    call, good, wrong = CASES[function]
    for value in wrong[argument]:
        with pytest.raises(deconvviz.DeconvvizError) as caught:
            call(**{**good, argument: value})
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("function", sorted(TAKEN))
def test_the_good_arguments_are_taken(function: str) -> None:
    """So that no wrong one was refused for the sake of another."""
    call, good, _ = CASES[function]
    call(**good)

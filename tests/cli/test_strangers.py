"""Two networks that other people trained, from the command line: what is drawn and what is said."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    not {"DECONVVIZ_STRANGERS", "DECONVVIZ_PHOTOS"} <= set(os.environ),
    reason="DECONVVIZ_STRANGERS or DECONVVIZ_PHOTOS is not set",
)


@pytest.fixture
def draw(call: Any, tmp_path: Path) -> Any:
    """Reconstruct photographs; give the records of the rows."""

    def drawn(file: str, *more: Any) -> list[dict[str, Any]]:
        ckpt = Path(os.environ["DECONVVIZ_STRANGERS"]) / file
        photos = sorted(Path(os.environ["DECONVVIZ_PHOTOS"]).glob("*.png"))[:2]
        ended = call(
            "reconstruct", "--ckpt", ckpt, "--logdir", tmp_path, *more, "--images", *photos
        )
        assert ended.code == 0, ended.err
        return [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("0*.json"))]

    return drawn


@pytest.mark.parametrize("rules", ["deconvnet", "guided", "gradient", "classic"])
def test_mini_xception_is_drawn_in_grey_from_its_overlapping_pools(rules: str, draw: Any) -> None:
    rows = draw("fer_mini_xception_102.h5", "--preprocess", "signed", "--rules", rules)
    assert len(rows) == 2
    for row in rows:
        assert row["panels"][1:] == [f"max_pooling2d_{number}" for number in (1, 2, 3, 4)]
        assert row["layout"]["panel_height"] == row["layout"]["panel_width"] == 64
        assert all(scale > 0 for scale in row["scales"].values())
        assert rules in row["caption"]


def test_the_residual_network_is_drawn_from_the_layers_that_are_named(draw: Any) -> None:
    layers = ("activation_2", "add_1", "activation_6")
    chosen = [part for layer in layers for part in ("--layer", layer)]
    rows = draw("mlctiny_resnet8.h5", "--preprocess", "raw", *chosen)
    for row in rows:
        assert row["panels"] == ["original", *layers]
        assert all(scale > 0 for scale in row["scales"].values())


def test_one_unit_of_the_residual_network_is_cut_to_what_it_sees(draw: Any) -> None:
    unit = ("--layer", "activation_4", "--feature", 3, "--at", "max", "--rules", "guided")
    for row in draw("mlctiny_resnet8.h5", "--preprocess", "raw", *unit):
        # 3x3 convolutions at strides 1, 1, 1, 2, 1: 3 + 2 + 2 + 2 + 2 * 2 = 13 pixels.
        box = row["box"]
        assert (box["bottom"] - box["top"], box["right"] - box["left"]) == (13, 13)
        assert (row["layout"]["panel_height"], row["layout"]["panel_width"]) == (13, 13)
        assert row["panels"] == ["image patch", "activation_4 3"]

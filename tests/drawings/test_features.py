"""The top-9 figure of a network made by hand, whose strongest patches numpy finds by itself."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deconvviz import Deconvnet, strongest_activations
from deconvviz.data import Preprocess
from deconvviz.drawings.features import Features, draw_grids, write_features
from deconvviz.drawings.pages import maps_on_a_page, page, side_by_side, stitched
from deconvviz.drawings.rows import Pictured
from deconvviz.errors import DeconvvizError

K, COUNT = 4, 40
RED, TWICE_RED, DEAD, BLUE = range(4)


@pytest.fixture(scope="module")
def net() -> Deconvnet:
    """A 3x3 convolution: the red pixel, twice the red pixel, nothing ever, the blue pixel."""
    import keras

    images = keras.Input((12, 10, 3))
    conv = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")
    flat = keras.layers.Flatten(name="flat")(conv(images))
    model = keras.Model(images, keras.layers.Dense(2, name="dense")(flat))
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    kernel[1, 1, :, :] = np.array([[1, 2, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
    conv.set_weights([kernel, np.zeros(4, np.float32)])
    model.get_layer("dense").set_weights([np.full((12 * 10 * 4, 2), 0.01), np.zeros(2)])
    return Deconvnet(model)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Noise; blue in two images alone."""
    pixels = np.random.default_rng(3).integers(0, 250, (COUNT, 12, 10, 3), np.uint8)
    pixels[..., 2] = 0
    pixels[7, 0, 9, 2], pixels[30, 5, 5, 2] = 90, 200
    return pixels


@pytest.fixture(scope="module")
def of(net: Deconvnet, images: np.ndarray) -> Features:
    labels = tuple(["cat", "dog", "ship"][index % 3] for index in range(COUNT))
    top = strongest_activations(net, images.astype(np.float32), "conv", K)
    pictured = Pictured("noise", images, labels, "test")
    return Features(net, top, pictured, Preprocess("raw"), "deconvnet")


def reddest(images: np.ndarray) -> list[list[int]]:
    """(image, y, x) of the K images with the reddest pixel, that pixel, by plain sorting."""
    best = []
    for number, image in enumerate(images):
        y, x = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
        best.append((-int(image[y, x, 0]), number, int(y), int(x)))
    return [place for _, *place in sorted(best)[:K]]


def test_a_grid_holds_the_patches_that_moved_the_map_most(of: Features, images: np.ndarray) -> None:
    grids = draw_grids(of, [RED, TWICE_RED, BLUE])
    assert grids.patches.shape == grids.reconstructions.shape == (3, K, 3, 3, 3)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=128)
    for rank, (number, y, x) in enumerate(reddest(images)):
        patch = padded[number, y : y + 3, x : x + 3]
        np.testing.assert_array_equal(grids.patches[RED, rank], patch)
        np.testing.assert_array_equal(grids.patches[TWICE_RED, rank], patch)


def test_a_reconstruction_is_the_activation_brought_back_on_its_own_scale(
    of: Features, images: np.ndarray
) -> None:
    grids = draw_grids(of, [RED, TWICE_RED])
    red_alone = np.full((3, 3, 3), 128)
    red_alone[1, 1, 0] = 255
    np.testing.assert_array_equal(
        grids.reconstructions, np.broadcast_to(red_alone, (2, K, 3, 3, 3))
    )
    reds = [images[number, y, x, 0] for number, y, x in reddest(images)]
    # A unit of value w·r comes back as w times that.
    np.testing.assert_array_equal(grids.scales, [reds, [4.0 * red for red in reds]])


def test_units_that_did_not_fire_are_white(of: Features) -> None:
    grids = draw_grids(of, [BLUE])
    for drawn in (grids.patches, grids.reconstructions):
        assert (drawn[0, 2:] == 255).all()
        assert not (drawn[0, :2] == 255).all(axis=(1, 2, 3)).any()
    (boxes,) = grids.boxes
    # Image 30 (200) before image 7 (90); at the corner the box goes on into the padding.
    assert [(box.top, box.left, box.bottom, box.right) for box in boxes] == [
        (4, 4, 7, 7),
        (-1, 8, 2, 11),
    ]


def test_the_page_and_its_record_say_all_that_is_known(
    of: Features, images: np.ndarray, tmp_path: Path
) -> None:
    from PIL import Image

    (path,) = write_features(tmp_path, of, None, 12, {"checkpoint": "somewhere"})
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["checkpoint"] == "somewhere"
    assert (record["step"], record["k"], record["images"]) == (12, K, COUNT)
    assert (record["silent"], record["dead"]) == ([DEAD], None)  # 40 images are too few to say
    assert record["near_duplicates"]["pairs"] == [[RED, TWICE_RED, 1.0]]
    assert [one["feature"] for one in record["maps"]] == [RED, TWICE_RED, BLUE]
    red, _, blue = record["maps"]
    expected = reddest(images)
    assert [[w["image"], *w["unit"]] for w in red["winners"]] == expected
    assert [w["activation"] for w in red["winners"]] == [
        float(images[number, y, x, 0]) for number, y, x in expected
    ]
    assert [w["label"] for w in blue["winners"]] == ["cat", "dog"]  # images 30 and 7
    counts = Counter(of.pictured.labels[number] for number, *_ in expected)
    assert red["selectivity"] == max(counts.values()) / K
    assert counts[red["class"]] == max(counts.values())
    for words in (
        "conv", "4 strongest", "40 images of noise (test)", "one unit an image", "deconvnet",
        "activation of one unit", "own largest", "1 of 4 maps never rose above 0",
        "drawn (silent on these 40 images): 2.",
        "0 and 1 (100%)", "3x3", "no max pool", "Nie et al.",
    ):  # fmt: skip
        assert words in record["caption"], words
    # The first patch lies under the label, in blocks.
    layout, first = record["layout"], draw_grids(of, [RED]).patches[0, 0]
    pixels = np.asarray(Image.open(path))[layout["top"] + 20 :, layout["left"] :]
    side = round(256 / (2 * 3))
    block = pixels[: 3 * side, : 3 * side]
    np.testing.assert_array_equal(block, first.repeat(side, 0).repeat(side, 1))


def test_tensorboard_shows_a_picture_a_map(of: Features, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    write_features(tmp_path, of, None, 12, {})
    (file,) = tmp_path.glob("events*")
    values = [
        (event.step, value)
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    ]
    ((step, value),) = values
    assert (step, value.tag) == (12, "features/conv/0-3")
    # The width and height of the pictures, then one for each map that is not dead.
    size, count = value.tensor.string_val[:2], len(value.tensor.string_val) - 2
    assert list(size) == [b"16", b"7"]
    assert count == 3


def test_maps_that_were_asked_for_are_drawn_and_old_pages_go(of: Features, tmp_path: Path) -> None:
    write_features(tmp_path, of, None, None, {})
    (path,) = write_features(tmp_path, of, [DEAD, TWICE_RED], None, {})
    assert path.name == "0001-0001.png"
    assert sorted(each.name for each in tmp_path.glob("*-*.*")) == ["0001-0001.json", path.name]
    assert len(list(tmp_path.glob("events*"))) == 1
    with pytest.raises(DeconvvizError, match=r"None of the feature maps of 'conv'.*40 images"):
        write_features(tmp_path, of, [DEAD], None, {})
    assert path.exists()


def test_a_unit_without_a_place_shows_the_whole_image(net: Deconvnet, images: np.ndarray) -> None:
    top = strongest_activations(net, images.astype(np.float32), "dense", 3)
    pictured = Pictured("images", images, tuple(map(str, range(COUNT))))
    of = Features(net, top, pictured, Preprocess("raw"), "deconvnet")
    alive = of.alive()
    assert alive == [0, 1]
    grids = draw_grids(of, alive)
    np.testing.assert_array_equal(grids.patches[0, 0], images[top.image[alive[0], 0]])
    assert of.selectivity == (None, None)  # a person's own pictures have no classes
    assert "class" not in grids.caption


def test_too_few_images_tell_no_duplicates(net: Deconvnet, images: np.ndarray) -> None:
    top = strongest_activations(net, images[:5].astype(np.float32), "conv", K)
    pictured = Pictured("images", images[:5], ("a",) * 5)
    of = Features(net, top, pictured, Preprocess("raw"), "deconvnet")
    assert of.alike is None
    assert "too few images" in draw_grids(of, [RED]).caption


def test_classic_rules_own_up_to_what_lies_beyond_the_cut(of: Features, images: np.ndarray) -> None:
    net = Deconvnet(of.net.model, rules="classic")
    classic = Features(net, of.top, of.pictured, of.preprocess, "classic")
    assert "goes on beyond the cut" in draw_grids(classic, [RED]).caption


def test_tiles_are_stitched_in_reading_order() -> None:
    tiles = np.arange(5, dtype=np.uint8)[None, :, None, None, None].repeat(3, axis=4)
    grid = stitched(tiles + np.zeros((2, 1, 2, 2, 3), np.uint8))
    assert grid.shape == (2, 5, 8, 3)
    np.testing.assert_array_equal(
        grid[1, ..., 0],
        [
            [0, 0, 255, 1, 1, 255, 2, 2],
            [0, 0, 255, 1, 1, 255, 2, 2],
            [255] * 8,
            [3, 3, 255, 4, 4, 255, 255, 255],
            [3, 3, 255, 4, 4, 255, 255, 255],
        ],
    )
    assert side_by_side(grid, grid).shape == (2, 5, 18, 3)


@pytest.mark.parametrize("tile", [(1, 1), (5, 5), (14, 14), (44, 44), (224, 224), (60, 20)])
@pytest.mark.parametrize("k", [1, 2, 9, 100])
def test_a_page_is_no_larger_than_a_screen_scrolls(tile: tuple[int, int], k: int) -> None:
    count = maps_on_a_page(k, tile, 512)
    tiles = np.zeros((count, k, *tile, 3), np.uint8)
    pixels: Any = page(tiles, tiles, [("0", "")] * count, 512)
    grid = int(np.ceil(np.sqrt(k)))
    if count > 1:
        assert pixels.shape[0] <= 1440
        assert pixels.shape[1] <= max(1200, 2 * grid * (tile[1] + 2) + 6)  # or one pair, as it is
    assert pixels.shape[1] >= min(2 * grid * tile[1], 320)

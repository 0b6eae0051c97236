"""Many pairs of small grids on one page, each under its label.

A grid's tiles are enlarged to blocks, without smoothing. Pages are uint8 pixels like all else; the
labels are the only letters in them.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from deconvviz.render.compose import enlarge
from deconvviz.render.scaling import Pixels

_PAPER, _INK, _QUIET = 255, "#222222", "#777777"
_FONT = ImageFont.load_default(13)
_LABEL, _TILE_GAP, _PAIR_GAP, _GAP = 20, 2, 6, 20
_GRID, _FEW_GRID = 128, 256  # pixels that a grid takes, about; more where there are few
_FEW = 8
_WIDTH, _HEIGHT = 1200, 1440
_LEAST_WIDTH = 320  # below, the PNG writer would enlarge the letters


def page(left: Pixels, right: Pixels, labels: Sequence[tuple[str, str]], of_all: int) -> Pixels:
    """Lay two grids a map out, side by side under its label, map by map in reading order.

    Args:
        left, right: uint8 `[maps, k, h, w, 3]`.
        labels: one a map: its name, and what is said of it in a quieter tone.
        of_all: how many maps all pages have together; where they are few, tiles are larger.

    Returns:
        uint8 `[H, W, 3]`.
    """
    maps, k = left.shape[:2]
    factor = _factor(k, left.shape[2:4], of_all)
    one, other = (stitched(enlarge(tiles, factor), _TILE_GAP) for tiles in (left, right))
    pairs = side_by_side(one, other, _PAIR_GAP)
    _, height, width, _ = pairs.shape
    columns = _columns(width, maps)
    down, across = height + _LABEL + _GAP, width + _GAP
    size = max(columns * across - _GAP, _LEAST_WIDTH), math.ceil(maps / columns) * down - _GAP
    paper = Image.new("RGB", size, (_PAPER,) * 3)
    draw = ImageDraw.Draw(paper)
    for number, (pair, (name, known)) in enumerate(zip(pairs, labels, strict=True)):
        x, y = number % columns * across, number // columns * down
        draw.text((x, y + 2), name, _INK, _FONT)
        draw.text((x + _FONT.getlength(name) + 10, y + 2), known, _QUIET, _FONT)
        paper.paste(Image.fromarray(pair), (x, y + _LABEL))
    return np.asarray(paper)


def maps_on_a_page(k: int, tile: tuple[int, int], maps: int) -> int:
    """Tell how many maps' grids make a page that a screen can show.

    Args:
        k: tiles a grid.
        tile: their height and width.
        maps: how many there are in all.
    """
    factor, columns = _factor(k, tile, maps), _grid_columns(k)
    width = 2 * (columns * (tile[1] * factor + _TILE_GAP) - _TILE_GAP) + _PAIR_GAP
    height = math.ceil(k / columns) * (tile[0] * factor + _TILE_GAP) + _LABEL + _GAP
    return _columns(width, maps) * max(1, _HEIGHT // height)


def stitched(tiles: Pixels, gap: int = 1) -> Pixels:
    """Lay each map's tiles out in a square grid, row by row.

    Args:
        tiles: uint8 `[maps, k, h, w, 3]`.
        gap: white pixels between them.

    Returns:
        uint8 `[maps, H, W, 3]`.
    """
    maps, k, height, width, _ = tiles.shape
    columns = _grid_columns(k)
    rows = math.ceil(k / columns)
    cells = np.full((maps, rows * columns, height + gap, width + gap, 3), _PAPER, np.uint8)
    cells[:, :k, :height, :width] = tiles
    grid = cells.reshape(maps, rows, columns, height + gap, width + gap, 3).swapaxes(2, 3)
    whole = grid.reshape(maps, rows * (height + gap), columns * (width + gap), 3)
    return whole[:, : -gap or None, : -gap or None]


def side_by_side(left: Pixels, right: Pixels, gap: int = 2) -> Pixels:
    """Put two batches of grids beside each other, with white between them."""
    between: npt.NDArray[np.uint8] = np.full((*left.shape[:2], gap, 3), _PAPER, np.uint8)
    return np.concatenate([left, between, right], axis=2)


def _grid_columns(k: int) -> int:
    return math.ceil(math.sqrt(k))


def _factor(k: int, tile: Sequence[int], maps: int) -> int:
    target = _FEW_GRID if maps <= _FEW else _GRID
    return max(1, round(target / (_grid_columns(k) * max(tile))))


def _columns(pair_width: int, maps: int) -> int:
    return min(max(1, (_WIDTH + _GAP) // (pair_width + _GAP)), maps)

"""What each feature map of a layer responds to most: its strongest image patches, reconstructed.

For every map a small grid of image patches, and beside it the grid of their reconstructions, as in
Zeiler & Fergus 2013, Figure 2. Many maps lie on one page, since what a layer has learnt shows when
they are seen side by side.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.receptive_field import Box
from deconvviz.drawings.anew import drawn_anew
from deconvviz.drawings.cuts import GREY, common_size, cut_to, cut_words
from deconvviz.drawings.emptiness import why_empty
from deconvviz.drawings.pages import maps_on_a_page, page, side_by_side, stitched
from deconvviz.drawings.rows import Pictured, rule_words
from deconvviz.errors import DeconvvizError
from deconvviz.experiments.silence import dead, dead_or_silent
from deconvviz.experiments.top import (
    ALIKE,
    Selectivity,
    TopActivations,
    jaccard_by_chance,
    near_duplicates,
    selectivity,
)
from deconvviz.listing import counted
from deconvviz.render.compose import classic_rows, deconvnet_rows
from deconvviz.render.png import write_picture
from deconvviz.render.scaling import Pixels
from deconvviz.render.tensorboard import EventLog

_LISTED = 8
_LETTERS = 20  # of a class's name

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Features:
    """What a layer's maps respond to, ready to be drawn.

    Attributes:
        net: with the rules that `rules` names.
        top: the strongest units.
        pictured: the images that were looked through.
        preprocess: what makes them the network's input.
        rules: as `deconvviz.drawings.rows.reconstruct_rows` takes them.
    """

    net: Deconvnet
    top: TopActivations
    pictured: Pictured
    preprocess: Preprocess
    rules: str

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The images' classes; a person's own pictures have names and no classes."""
        return self.pictured.labels if self.pictured.split else None

    @cached_property
    def selectivity(self) -> tuple[Selectivity | None, ...]:
        """Which class each map's winners are of; None for dead maps and without classes."""
        if self.classes is None:
            return (None,) * len(self.top.value)
        return selectivity(self.top, self.classes)

    @cached_property
    def alike(self) -> tuple[tuple[int, int, float], ...] | None:
        """Pairs of maps that the same images won; None where so few images were there that
        blind draws would come half as near.
        """
        return near_duplicates(self.top) if self.by_chance < ALIKE / 2 else None

    @property
    def by_chance(self) -> float:
        """The Jaccard index of two maps' winners, had they been drawn blindly."""
        return jaccard_by_chance(self.top.value.shape[1], self.top.images)

    def alive(self, features: Sequence[int] | None = None) -> list[int]:
        """Give those of some feature maps, or of all, that are not dead."""
        silent = self.top.dead
        asked = range(len(silent)) if features is None else features
        return [feature for feature in asked if not silent[feature]]


@dataclass(frozen=True)
class Grids:
    """The drawn units of some feature maps, each map's strongest first.

    Attributes:
        features: the maps' numbers.
        patches, reconstructions: uint8 `[maps, k, h, w, 3]`; what did not fire is white.
        boxes: the pixels that each unit can depend on; at the image's edge a box goes on into the
            padding. One list a map, of the units that fired.
        scales: float `[maps, k]`, the |value| drawn as full black or white; 0 where nothing fired.
        caption: what is to be seen and how it is scaled.
    """

    features: tuple[int, ...]
    patches: Pixels
    reconstructions: Pixels
    boxes: tuple[tuple[Box, ...], ...]
    scales: npt.NDArray[np.float64]
    caption: str


def draw_grids(of: Features, features: Sequence[int]) -> Grids:
    """Reconstruct the strongest units of some feature maps, each cut to what it sees.

    Args:
        of: the layer, its strongest units and their images.
        features: the maps, none of them dead.

    Returns:
        The grids.
    """
    top, k = of.top, of.top.value.shape[1]
    chosen = np.array(features)
    which, rank = np.nonzero(top.fired[chosen])
    feature, number = chosen[which], top.image[chosen][which, rank]
    places = np.stack([top.y[feature, rank], top.x[feature, rank]], axis=1)
    images = of.pictured.images[number]
    boxes = _boxes(of, places)
    frame = common_size(boxes, of.preprocess.window(images).shape[1:3])
    pixels, scales, description = _tiles(of, images, feature, places, boxes, frame)
    drawn = np.full((2, len(chosen), k, *pixels.shape[2:]), 255, np.uint8)
    drawn[:, which, rank] = pixels
    spread = np.zeros((len(chosen), k))
    spread[which, rank] = scales
    by_map = tuple(
        tuple(boxes[unit] for unit in np.flatnonzero(which == one)) for one in range(len(chosen))
    )
    return Grids(tuple(features), drawn[0], drawn[1], by_map, spread, _caption(of, description))


def write_features(
    folder: Path,
    of: Features,
    features: Sequence[int] | None,
    step: int | None,
    record: dict[str, Any],
) -> list[Path]:
    """Write a layer's feature maps as pages, PNG and JSON, and for TensorBoard.

    Args:
        folder: the layer's own; what an earlier call wrote there is replaced.
        of: the layer, its strongest units and their images.
        features: the maps to draw, all for None; dead ones are listed and not drawn.
        step: the network's training step; None where nobody knows it (TensorBoard then shows 0).
        record: what else to keep beside each page, as JSON.

    Returns:
        The pages' paths; TensorBoard shows them under `features/<layer>/`.

    Raises:
        DeconvvizError: where the folder cannot be written, and where all those maps are dead.
    """
    alive = of.alive(features)
    if not alive:
        raise DeconvvizError(
            f"None of the feature maps of {of.top.layer!r} that were asked for rose above 0 in "
            f"any of {counted(of.top.images, 'image')}, so there is nothing to draw. Ask for "
            "others, or look at more images."
        )
    summary = {**record, "step": step, **summary_of(of)}
    with drawn_anew(folder, "[0-9]*-[0-9]*") as paths, EventLog(folder) as log:
        for grids in _ahead(partial(draw_grids, of), _shown(list(_pages(of, alive)))):
            maps = grids.features
            first, last = maps[0], maps[-1]
            path = folder / f"{first:04d}-{last:04d}.png"
            labels = [_label(of, feature) for feature in maps]
            pixels = page(grids.patches, grids.reconstructions, labels, len(alive))
            about = {**summary, "maps": [_record(of, grids, row) for row in range(len(maps))]}
            write_picture(path, pixels, grids.caption, about)
            pairs = side_by_side(stitched(grids.patches), stitched(grids.reconstructions))
            log.images(f"features/{of.top.layer}/{first}-{last}", pairs, step or 0, grids.caption)
            paths.append(path)
    return paths


def summary_of(of: Features) -> dict[str, Any]:
    """Say of a layer as plain JSON values what is true of all its maps, drawn or not."""
    chosen, silent = of.selectivity, np.flatnonzero(of.top.dead).tolist()
    return {
        "layer": of.top.layer,
        "rules": of.rules,
        "start": "activation",
        "k": of.top.value.shape[1],
        "images": of.top.images,
        "units_an_image": 1,
        "order": "by (-activation, image, y, x)",
        "features": len(of.top.value),
        "silent": silent,
        "dead": dead(silent, of.top.images),
        "near_duplicates": {
            "jaccard_from": ALIKE,
            "jaccard_by_chance": of.by_chance,
            "pairs": None if of.alike is None else [list(pair) for pair in of.alike],
        },
        "mean_selectivity": (
            float(np.mean([one.share for one in chosen if one])) if any(chosen) else None
        ),
    }


def _tiles(
    of: Features,
    images: npt.NDArray[np.uint8],
    feature: npt.NDArray[np.integer],
    places: npt.NDArray[np.int32],
    boxes: Sequence[Box],
    frame: tuple[int, int],
) -> tuple[Pixels, npt.NDArray[np.float64], str]:
    """Draw each unit's patch and reconstruction, uint8 `[2, n, h, w, 3]`; scales and words."""
    inputs = of.preprocess(images)
    at = None if places[0, 0] < 0 else places
    with why_empty() as reasons:  # the caption says the other warning itself
        maps = of.net.reconstruct(inputs, of.top.layer, feature.astype(np.int32), at)
    parts = cut_to(of.preprocess.maps(maps), boxes, frame, 0)
    notes = cut_words(frame, of.rules, of.net.depends_on_image(of.top.layer))
    words = {
        "first": "Image patches",
        "rules": rule_words(of.net, [of.top.layer], of.rules),
        "start": "the activation of one unit, all others 0",
        "notes": " ".join(
            (notes, "White: no unit fired, or the grid has more room than k.", *reasons)
        ),
    }
    if of.rules == "classic":
        patches = cut_to(of.preprocess.maps(inputs), boxes, frame, 0)
        rows = classic_rows(patches, [parts], ["reconstructions"], **words)
    else:
        patches = cut_to(of.preprocess.window(images), boxes, frame, GREY)
        rows = deconvnet_rows(patches, [parts], ["reconstructions"], None, **words)
    pixels = np.stack(np.split(rows.pixels, 2, axis=2))
    return pixels, rows.scales[:, 0], rows.caption()


def _boxes(of: Features, places: npt.NDArray[np.int32]) -> list[Box]:
    height, width = size = of.preprocess.window(of.pictured.images[:1]).shape[1:3]
    if places[0, 0] < 0:
        return [Box(0, 0, height, width)] * len(places)
    # What a unit sees along one axis does not depend on where it stands along the other.
    layer, (ys, xs) = of.top.layer, (set(axis.tolist()) for axis in places.T)
    rows = {y: of.net.seen(layer, (y, 0), size) for y in ys}
    columns = {x: of.net.seen(layer, (0, x), size) for x in xs}
    return [
        Box(rows[y].top, columns[x].left, rows[y].bottom, columns[x].right)
        for y, x in places.tolist()
    ]


def _pages(of: Features, alive: Sequence[int]) -> Iterator[list[int]]:
    """Cut feature maps into pages, by the size that their grids will have."""
    size = of.preprocess.window(of.pictured.images[:1]).shape[1:3]
    feature = alive[0]
    places = np.array([[of.top.y[feature, 0], of.top.x[feature, 0]]], np.int32)
    frame = common_size(_boxes(of, places), size)
    count = maps_on_a_page(of.top.value.shape[1], frame, len(alive))
    for start in range(0, len(alive), count):
        yield list(alive[start : start + count])


def _label(of: Features, feature: int) -> tuple[str, str]:
    """What stands above a map's grids: its number, and what is known of it."""
    known = f"{of.top.value[feature, 0]:.3g}"
    chosen = of.selectivity[feature]
    if chosen:
        label = chosen.label if len(chosen.label) <= _LETTERS else f"{chosen.label[:_LETTERS]}..."
        known += f"  {label} {chosen.count}/{chosen.winners}"
    return str(feature), known


def _record(of: Features, grids: Grids, row: int) -> dict[str, Any]:
    """Give one drawn map as plain JSON values."""
    feature, top, chosen = grids.features[row], of.top, of.selectivity[grids.features[row]]
    places = np.stack([top.y[feature], top.x[feature]], axis=1)
    winners = [
        {
            "image": int(top.image[feature, rank]),
            "label": of.pictured.labels[top.image[feature, rank]],
            "activation": float(top.value[feature, rank]),
            "unit": None if top.y[feature, rank] < 0 else places[rank].tolist(),
            "box": [box.top, box.left, box.bottom, box.right],
            "scale": float(grids.scales[row, rank]),
        }
        for rank, box in enumerate(grids.boxes[row])
    ]
    classes = {"class": chosen.label, "selectivity": chosen.share} if chosen else {}
    return {"feature": feature, **classes, "winners": winners}


def _caption(of: Features, description: str) -> str:
    k, top = of.top.value.shape[1], of.top
    over = f"{counted(top.images, 'image')} of {of.pictured.origin}"
    above = "Above its grids: the map's number, its strongest activation"
    above += ", and how many of its winners are of their commonest class." if of.classes else "."
    return (
        f"{top.layer}: the {counted(k, 'strongest unit')} of each feature map over {over}, one "
        f"unit an image, the strongest first in reading order. {above} {_dead_words(top)} "
        f"{_alike_words(of)} "
        f"{description}"
    )


def _dead_words(top: TopActivations) -> str:
    silent = np.flatnonzero(top.dead).tolist()
    if not silent:
        return f"All {len(top.dead)} maps rose above 0 somewhere."
    return (
        f"{len(silent)} of {len(top.dead)} maps never rose above 0 and are not drawn "
        f"({dead_or_silent(top.images)}): {listed(silent)}."
    )


def _alike_words(of: Features) -> str:
    if of.alike is None:
        return "There are too few images to tell near-duplicates by their winners."
    if not of.alike:
        return f"No two maps share {ALIKE:.0%} of their winning images."
    pairs = [f"{a} and {b} ({index:.0%})" for a, b, index in of.alike]
    return f"Near-duplicates, by the share of their winning images in common: {listed(pairs)}."


def listed(items: Sequence[Any]) -> str:
    """Name the first of some things, and how many more there are."""
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(map(str, items[:_LISTED])) + more


def _ahead(call: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """Call a function on each item, on the next one while what it made of the last is drawn."""
    with ThreadPoolExecutor(1) as thread:
        waiting: Future[Made] | None = None
        for item in items:
            made, waiting = waiting, thread.submit(call, item)
            if made is not None:
                yield made.result()
        if waiting is not None:
            yield waiting.result()


def _shown(pages: list[list[int]]) -> Any:
    screen = Console(stderr=True)
    return track(
        pages, "drawing pages", console=screen, transient=True, disable=not screen.is_terminal
    )

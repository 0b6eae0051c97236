"""Feature maps over a run's steps: one row a map, one column a step (Zeiler & Fergus's Figure 4).

A cell shows the image patch that made the map respond most at that step, and beside it the
reconstruction of that one unit, both cut to the receptive field. A bar before a cell says that
another image than at the step before holds the maximum, which is where the picture jumps.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.data import Preprocess
from deconvviz.drawings.anew import drawn_anew
from deconvviz.drawings.cuts import GREY, common_size, cut_to, cut_words
from deconvviz.experiments.evolution import Moment, jumps
from deconvviz.experiments.silence import dead, dead_or_silent
from deconvviz.listing import counted
from deconvviz.render.compose import CAVEAT
from deconvviz.render.png import write_sheet
from deconvviz.render.scaling import Pixels, symmetric, three_channels
from deconvviz.render.tensorboard import EventLog

_JUMP = (217, 115, 13)
_BARS = (
    "An orange bar: the strongest unit lies in another image than at the step before, and the "
    "picture may jump."
)


def moment_cells(
    moment: Moment, images: npt.NDArray[np.uint8], preprocess: Preprocess
) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Draw each map's winner as image patch | reconstruction, cut to the receptive field.

    Args:
        moment: of one layer at one step.
        images: uint8 `[n, H, W, C]`, the training images that it was found in.
        preprocess: as they were searched.

    Returns:
        uint8 `[m, h, 2*w+1, 3]`, and the |value| that is drawn as full black or white, `[m]`; a
        dead map is grey throughout, its scale 0.
    """
    window = preprocess.window(images[moment.image])
    maps = preprocess.maps(moment.maps)
    size = common_size(moment.boxes, window.shape[1:3])
    patches = three_channels(cut_to(window, moment.boxes, size, GREY))
    patches[moment.dead] = GREY
    between = np.full((size[0], 1, 3), 255, np.uint8)
    cells, scales = [], []
    for patch, one in zip(patches, cut_to(maps, moment.boxes, size, 0), strict=True):
        pixels, scale = symmetric(one)
        cells.append(np.concatenate([patch, between, pixels], axis=1))
        scales.append(scale)
    return np.stack(cells), np.array(scales)


def log_moment(
    log: EventLog,
    moment: Moment,
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    source: str,
    rules: str = "deconvnet",
) -> None:
    """Write a moment for TensorBoard, under `evolution/<layer>`, whose slider runs over the steps.

    Args:
        log: takes the pictures, one a map.
        moment: of one layer at one step.
        images: uint8 `[n, H, W, C]`, the training images that it was found in.
        preprocess: as they were searched.
        source: the data set's name.
        rules: the name of the backward rules.
    """
    cells, _ = moment_cells(moment, images, preprocess)
    log.images(f"evolution/{moment.layer}", cells, moment.step, describe(moment, source, rules))


def write_evolution(
    folder: Path,
    moments: Sequence[Moment],
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    source: str,
    rules: str,
    record: dict[str, Any],
) -> Path:
    """Write a layer's maps over the steps as one PNG with its JSON, and for TensorBoard.

    Args:
        folder: everything goes there, in place of what an earlier call wrote.
        moments: of one layer and the same feature maps, in the order of their steps.
        images: uint8 `[n, H, W, C]`, the training images that they were found in.
        preprocess: as they were searched.
        source: the data set's name.
        rules: the name of the backward rules.
        record: whatever else to keep in the JSON.

    Returns:
        The PNG's path.

    Raises:
        DeconvvizError: where the folder cannot be written.
    """
    path, first = folder / "evolution.png", moments[0]
    columns, steps = _columns(moments, images, preprocess)
    about = {
        **record,
        "layer": first.layer,
        "rules": rules,
        "source": source,
        "searched": first.searched,
        "features": first.features.tolist(),
        "steps": steps,
    }
    caption = f"{describe(first, source, rules)} {_BARS}"
    headings = [f"step {moment.step:,}" for moment in moments]
    labels = [f"map {feature}" for feature in first.features]
    with drawn_anew(folder):
        write_sheet(path, columns, caption, about, headings, labels)
        with EventLog(folder) as log:
            for moment in moments:
                log_moment(log, moment, images, preprocess, source, rules)
    return path


def describe(moment: Moment, source: str, rules: str) -> str:
    """Say what a cell shows and how it is scaled, in words that hold for every step."""
    size = common_size(moment.boxes, moment.maps.shape[1:3])
    maps = ", ".join(map(str, moment.features))
    return (
        f"Image patch | reconstruction of the strongest unit (k = 1) of {moment.layer}'s feature "
        f"maps {maps}, top to bottom, among {counted(moment.searched, 'training image')} of "
        f"{source}, with each step's own weights and switches. "
        f"{cut_words(size, rules, moment.depends_on_image)} Rules: {rules}. "
        "Start signal: that unit's activation, all others 0. Each reconstruction is scaled by its "
        "own largest |value|; zero is grey (128). The cell of a map that never rises above 0 "
        f"({dead_or_silent(moment.searched)}) is all grey. {CAVEAT}"
    )


def _columns(
    moments: Sequence[Moment], images: npt.NDArray[np.uint8], preprocess: Preprocess
) -> tuple[Pixels, list[dict[str, Any]]]:
    """Stitch a row a map and a column a step, and give each step's record."""
    drawn = [moment_cells(moment, images, preprocess) for moment in moments]
    columns, steps = [], []
    for moment, (cells, scales), jumped in zip(moments, drawn, jumps(moments).T, strict=True):
        columns += [_bars(cells, jumped), cells]
        steps.append(_step_record(moment, scales, jumped))
    return np.concatenate(columns, axis=2), steps


def _step_record(
    moment: Moment, scales: npt.NDArray[np.float64], jumped: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    silent = moment.features[moment.dead].tolist()
    return {
        "step": moment.step,
        "activation": moment.value.tolist(),
        "image": moment.image.tolist(),
        "unit": moment.place.tolist(),
        "box": [[box.top, box.left, box.bottom, box.right] for box in moment.boxes],
        "scale": scales.tolist(),
        "jumped": jumped.tolist(),
        "silent": silent,
        "dead": dead(silent, moment.searched),
    }


def _bars(cells: Pixels, jumped: npt.NDArray[np.bool_]) -> Pixels:
    bars = np.full((*cells.shape[:2], 1, 3), 255, np.uint8)
    bars[jumped] = _JUMP
    return bars

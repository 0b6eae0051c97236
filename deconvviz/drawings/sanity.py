"""The sanity checks on one page: every likeness beside the gradient's, the table, the paragraph.

The figure shows what each change left of the pictures, by ranks, with the floor dotted; beside it,
what covering their strong parts does to the units. The sheet shows some of the pictures themselves.
"""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.atomic import replacing
from deconvviz.data import Preprocess
from deconvviz.drawings.anew import drawn_anew
from deconvviz.drawings.rows import Pictured
from deconvviz.drawings.sanity_figure import TITLES, draw, in_order
from deconvviz.experiments.findings import Row, Sanity, mean
from deconvviz.experiments.similarity import HOG_CELL, METRICS, SSIM_WINDOW
from deconvviz.experiments.verdict import Thresholds, verdict
from deconvviz.listing import counted
from deconvviz.render.compose import cut
from deconvviz.render.png import write_picture, write_sheet
from deconvviz.render.scaling import Pixels, symmetric, three_channels
from deconvviz.render.tensorboard import EventLog
from deconvviz.wording import escaped

_STAGES = 3  # of a long cascade, on the sheet
_GREY = 128


def write_sanity(
    folder: Path,
    sanity: Sanity,
    pictured: Pictured,
    preprocess: Preprocess,
    step: int | None,
    about: dict[str, Any],
) -> Path:
    """Write figure, sheet, table and JSON, and for TensorBoard `sanity/<layer>`.

    Args:
        folder: everything goes there, in place of what an earlier call wrote.
        sanity: the results.
        pictured: the images that the checks were given.
        preprocess: what made them the network's input.
        step: the network's training step; None where nobody knows it (TensorBoard then shows 0).
        about: whatever else to keep in the JSON.

    Returns:
        The figure's path.

    Raises:
        DeconvvizError: where the folder cannot be written.
    """
    page, text, table = draw(sanity), verdict(sanity), markdown(sanity)
    caption = f"{text} {describe(sanity, pictured, preprocess)}"
    figure, tag = folder / "sanity.png", f"sanity/{sanity.layer}"
    sheet, headings, labels = draw_pictures(sanity, pictured, preprocess)
    words = _sheet_words(sanity)
    about = {**about, "step": step}
    with drawn_anew(folder):
        write_picture(figure, page, caption, {**about, **as_json(sanity)})
        write_sheet(folder / "pictures.png", sheet, words, about, headings, labels)
        with replacing(folder / "sanity.md") as temporary:
            temporary.write_text(escaped(f"{text}\n\n{table}"), encoding="utf-8")
        with EventLog(folder) as log:
            log.images(tag, page[None], step or 0, caption)
            log.images(f"{tag} pictures", sheet, step or 0, words)
            log.text(f"{tag} summary", f"{text}\n\n{table}", step or 0)
    return figure


def markdown(sanity: Sanity) -> str:
    """Give the table: a line a comparison, mean ± deviation, both rules beside each other."""
    heads = [f"{metric.replace('_', ' ')} ({rule})" for metric in METRICS for rule in sanity.rules]
    lines = [["check", "what was changed", *heads, "empty"], ["---"] * (len(heads) + 3)]
    for row in in_order(sanity):
        rows = [sanity.row(row.group, rule, row.name) for rule in sanity.rules]
        cells = [_cell(each, metric) for metric in METRICS for each in rows]
        empty = " / ".join(str(_empty(each)) for each in rows)
        lines.append([TITLES[row.group], row.name, *cells, empty])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{_falls_table(sanity)}"


def describe(sanity: Sanity, pictured: Pictured, preprocess: Preprocess) -> str:
    """Say what the numbers were made from, and the choices that the papers leave open."""
    sizes = sanity.settings.sizes
    return (
        f"Made from {len(sanity.watched.images)} of {counted(len(pictured.images), 'image')} of "
        f"{pictured.origin}, preprocessing {preprocess.name}; in each, one unit of {sanity.layer} "
        f"at its activation, compared within what it sees. {_gradients(sanity)}New weights: "
        "kernels from a normal distribution of the learnt ones' root mean square, cut off at two "
        f"deviations, vectors shuffled; draws: {sanity.settings.draws}. Covered: the strongest "
        f"{sizes.share:.0%} of the pixels, in the images' mean colour; elsewhere: the same shape "
        f"at {sizes.moves} other places. Small changes: {sizes.noises} draws of noise, of "
        f"{sizes.noise:.0%} of the images' standard deviation. Dots are means, bars standard "
        "deviations over images and draws; the dotted line is the floor that the percentages "
        "count from: another image's picture, by the trained weights or by new ones, whichever is "
        "more alike. Lost when covered: a share of the activation."
    )


def draw_pictures(
    sanity: Sanity, pictured: Pictured, preprocess: Preprocess
) -> tuple[Pixels, tuple[str, ...], tuple[str, ...]]:
    """Draw some of the pictures, cut to what each unit sees, each by its own scale.

    Returns:
        uint8 `[rows, h, panels*w, 3]`, a row an image and rule; the panels' headings; the rows'
        labels.
    """
    watched, window = sanity.watched, preprocess.window(pictured.images)
    changes = _changes(tuple(sanity.pictures[sanity.rules[0]]))
    fields = watched.fields
    height = min(max(one.bottom - one.top for one in fields), window.shape[1])
    width = min(max(one.right - one.left for one in fields), window.shape[2])
    rows, labels = [], []
    for at in range(len(sanity.pictures[sanity.rules[0]]["trained"])):
        corner = fields[at].top, fields[at].left
        frame = (0, 0) if (height, width) == window.shape[1:3] else corner
        patch = three_channels(cut(window[watched.index[at]], *frame, height, width, _GREY))
        for rule in sanity.rules:
            maps = [preprocess.maps(sanity.pictures[rule][name][at]) for name in changes]
            drawn = [symmetric(cut(one, *frame, height, width, 0))[0] for one in maps]
            rows.append(np.concatenate([patch, *drawn], axis=1))
            labels.append(f"{pictured.labels[watched.index[at]]}, {rule}")
    return np.stack(rows), ("image", *map(_heading, changes)), tuple(labels)


def as_json(sanity: Sanity) -> dict[str, Any]:
    """Give every number as plain JSON values; None where one is not defined."""
    watched = sanity.watched
    return {
        "verdict": verdict(sanity),
        "thresholds": asdict(Thresholds()),
        "layer": sanity.layer,
        "rules": list(sanity.rules),
        "settings": asdict(sanity.settings),
        "metrics": list(METRICS),
        "ssim_window": SSIM_WINDOW,
        "hog_cell": f"{HOG_CELL} pixels, or a third of what the unit sees",
        "images": watched.index.tolist(),
        "features": watched.feature.tolist(),
        "units": None if watched.place is None else watched.place.tolist(),
        "other_features": watched.other.tolist(),
        "depends_on_image": sanity.depends_on_image,
        "approximated": list(sanity.approximated),
        "missing": sanity.missing,
        "rows": [_row_json(row) for row in sanity.rows],
        "covering": {
            name: {key: _numbers(each) for key, each in vars(agreement).items()}
            for name, agreement in sanity.covering.items()
        },
    }


def _gradients(sanity: Sanity) -> str:
    if not sanity.approximated:
        return ""
    return f"The gradient stands in place of a rule at {', '.join(sanity.approximated)}. "


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "group": row.group,
        "name": row.name,
        "rule": row.rule,
        "mean": {metric: _number(row.mean(metric)) for metric in METRICS},
        "deviation": {metric: _number(row.spread(metric)) for metric in METRICS},
        "values": [_numbers(each) for each in row.values],
    }


def _numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [_number(float(value)) for value in values]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _falls_table(sanity: Sanity) -> str:
    lines = [
        ["pictures", "fall, strongest part covered", "same shape elsewhere", "ranks with an "
         "occluding square", "infidelity"],
        ["---"] * 5,
    ]  # fmt: skip
    for name, one in sanity.covering.items():
        each = (one.drop, one.elsewhere, one.occlusion, one.infidelity)
        lines.append([name, *(f"{mean(values):.2f}" for values in each)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _changes(names: tuple[str, ...]) -> list[str]:
    """The pictures that the sheet shows: of a long cascade, its first, middle and last stage."""
    stages = [name for name in names if name.startswith("redrawn")]
    places = np.unique(np.linspace(0, len(stages) - 1, min(_STAGES, len(stages))).round())
    chosen = {stages[int(place)] for place in places}
    first = [name for name in names if name == "trained" or name in chosen]
    return first + [name for name in names if name != "trained" and name not in stages]


def _heading(change: str) -> str:
    """A panel has room for some fifteen letters."""
    short = {
        "switches: another image's": "lent switches",
        "switches: each window's centre": "mid switches",
    }
    return short.get(change, change.replace("redrawn: ", "new ").replace(" to ", "-"))


def _sheet_words(sanity: Sanity) -> str:
    return (
        f"Pictures of units of {sanity.layer}, one a row, and what becomes of them when one thing "
        "is changed: new weights in some layers, another unit at the same place, switches lent by "
        "another image, or at the middle of each window. Plain grey: nothing comes back, as of a "
        "gradient where the unit does not fire through these weights; the other rules go back from "
        f"the trained unit's activation all the same. Rules: {' and '.join(sanity.rules)}. Start "
        "signal: the trained unit's activation (of another unit, its own), all others 0. Each is "
        "scaled by its own largest |value|; zero is grey (128)."
    )


def _cell(row: Row | None, metric: str) -> str:
    if row is None or math.isnan(row.mean(metric)):
        return "–"
    return f"{row.mean(metric):.2f} ± {row.spread(metric):.2f}"


def _empty(row: Row | None) -> int:
    return 0 if row is None else int(np.isnan(row.values[:, METRICS.index("cosine")]).sum())

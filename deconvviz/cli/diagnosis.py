"""What `deconvviz inspect --dataset` found, as tables for people and as JSON for programs."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from deconvviz.experiments.ailments import Diagnosis

_SELDOM = 0.01  # of the images
_COLOUR = 0.5  # a filter with more than this share of colour is counted as one of colour
_FREQUENCIES = (
    "shares of the filters' power: low is below 1/6 of a cycle a pixel, high above 1/3; colour is "
    "what is left without the grey; white noise has about 9%, 26%, 65% and 67%"
)


def diagnosis_record(diagnosis: "Diagnosis") -> dict[str, Any]:
    """Give a diagnosis as JSON takes it, with the sentences under `complaints`."""
    from deconvviz.experiments.complaints import complaints
    from deconvviz.experiments.silence import dead

    record: dict[str, Any] = _plain(diagnosis)
    for maps in record["maps"]:
        maps["dead"] = dead(maps["silent"], diagnosis.images)
    return {**record, "complaints": list(complaints(diagnosis))}


def print_diagnosis(console: Console, diagnosis: "Diagnosis", images: str) -> None:
    """Print a diagnosis; `images` names them, as `10,000 test images of cifar10`."""
    from deconvviz.experiments.complaints import complaints
    from deconvviz.experiments.silence import DEAD_FROM

    silent = "dead" if diagnosis.images >= DEAD_FROM else "silent"
    _print(
        console,
        f"What its feature maps do on {images}, scaled by {diagnosis.preprocess}:",
        (
            "layer",
            "maps",
            silent,
            f"above 0 in under {_SELDOM:.0%} of images",
        ),
        (
            (maps.layer, len(maps.fires), len(maps.silent), int((maps.fires < _SELDOM).sum()))
            for maps in diagnosis.maps
        ),
    )
    _print_filters(console, diagnosis)
    _print_first(console, diagnosis)
    _print_lattices(console, diagnosis)
    found = complaints(diagnosis)
    console.print("What to know of it:" if found else "Nothing was found that needs a word.")
    for text in found:
        console.print(f"- {text}", highlight=False)


def _print_filters(console: Console, diagnosis: "Diagnosis") -> None:
    _print(
        console,
        "How large its filters are, by their root mean square:",
        ("layer", "filters", "smallest", "median", "largest", "dominating", ""),
        (
            (
                one.layer,
                len(one.rms),
                *(f"{value:.3g}" for value in _range(one.rms)),
                len(one.dominating),
                "with the normalisation behind" if one.normalised else "",
            )
            for one in diagnosis.filters
        ),
    )


def _print_first(console: Console, diagnosis: "Diagnosis") -> None:
    from deconvviz.experiments.complaints import percent

    _print(
        console,
        f"What its first filters hold ({_FREQUENCIES}):",
        ("layer", "low", "mid", "high", "colour", "mostly colour"),
        (
            (
                one.layer,
                *map(percent, one.frequency.mean(axis=0)),
                "" if one.colour is None else percent(one.colour.mean()),
                "" if one.colour is None else int((one.colour > _COLOUR).sum()),
            )
            for one in diagnosis.first
        ),
    )


def _print_lattices(console: Console, diagnosis: "Diagnosis") -> None:
    from deconvviz.experiments.complaints import by, percent

    _print(
        console,
        "How the windows of its strided layers lie:",
        ("layer", "window", "stride", "overlap", "filters finer than the stride carries"),
        (
            (
                one.layer,
                by(one.window),
                by(one.stride),
                one.ratio,
                "" if one.aliased is None else percent(one.aliased),
            )
            for one in diagnosis.lattices
        ),
    )


def _print(console: Console, title: str, headings: Iterable[str], rows: Iterable[Any]) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    if table.row_count:
        console.print(title, highlight=False)
        console.print(table)


def _range(values: Any) -> tuple[float, float, float]:
    ranked = sorted(values.tolist())
    half = len(ranked) // 2
    return ranked[0], (ranked[half] + ranked[-half - 1]) / 2, ranked[-1]


def _plain(value: Any) -> Any:
    """A record's fields by their names, arrays as lists; the silent and dominating beside."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if not is_dataclass(value):
        return value.tolist() if hasattr(value, "tolist") else value
    told = [name for name in ("silent", "dominating", "ratio") if hasattr(value, name)]
    names = [*(field.name for field in fields(value)), *told]
    return {name: _plain(getattr(value, name)) for name in names}

"""A diagnosis in plain words: one sentence or two for each thing that a person may want to mend."""

from collections.abc import Iterator

from deconvviz.experiments.ailments import DOMINATES, Diagnosis, Filters, FirstLayer, Lattice
from deconvviz.experiments.filters import BANDS
from deconvviz.experiments.silence import DEAD_FROM, dead_or_silent
from deconvviz.listing import counted

ALIASED = 0.25
"""A stride is called too large for filters that hold more of their power than this beyond it."""

LACKS_MID = 0.1
"""Filters are said to lack middle frequencies below this share; a single point has 0.26."""

_NAMED = 10  # feature maps that a sentence lists


def complaints(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Say what is wrong with a network, layer by layer.

    Returns:
        A sentence or two each, without a line break; nothing where nothing was found.
    """
    return (
        *_of_silent_maps(diagnosis),
        *(text for filters in diagnosis.filters for text in _of_dominating(filters)),
        *(text for first in diagnosis.first for text in _of_frequencies(first)),
        *_of_overlaps(diagnosis),
        *_of_aliasing(diagnosis),
    )


def _of_silent_maps(diagnosis: Diagnosis) -> Iterator[str]:
    for maps in diagnosis.maps:
        if maps.silent:
            few, on = diagnosis.images < DEAD_FROM, counted(diagnosis.images, "image")
            why = "too few to call them dead" if few else f"they never rise above 0 on {on}"
            yield (
                f"{maps.layer}: {len(maps.silent)} of {len(maps.largest)} feature maps are "
                f"{dead_or_silent(diagnosis.images)}, {why}: {_listed(maps.silent)}."
            )


def _of_dominating(filters: Filters) -> Iterator[str]:
    if filters.dominating:
        yield (
            f"{filters.layer}: {len(filters.dominating)} of {len(filters.rms)} filters dominate, "
            f"their RMS is more than {DOMINATES:g} times the layer's median: "
            f"{_listed(filters.dominating)}. Zeiler & Fergus hold every filter within 0.1: "
            "model.filter_rms = 0.1 in the configuration."
        )


def _of_frequencies(first: FirstLayer) -> Iterator[str]:
    low, mid, high = first.frequency.mean(axis=0)
    if mid < LACKS_MID:
        yield (
            f"{first.layer}: the filters lack middle frequencies: {percent(mid)} of their power "
            f"lies between {BANDS[0]:.2f} and {BANDS[1]:.2f} cycles a pixel, {percent(low)} below "
            f"and {percent(high)} above. Zeiler & Fergus answered with smaller filters."
        )


def _of_overlaps(diagnosis: Diagnosis) -> Iterator[str]:
    """One sentence for all layers whose windows lie alike."""
    alike: dict[tuple[str, str], list[Lattice]] = {}
    for lattice in diagnosis.lattices:
        alike.setdefault((by(lattice.window), by(lattice.stride)), []).append(lattice)
    for (window, stride), lattices in alike.items():
        layers, first = ", ".join(lattice.layer for lattice in lattices), lattices[0]
        of = f"{layers}: windows of {window} with a stride of {stride}"
        if first.least == 0:
            yield (
                f"{of} leave out pixels that nothing looks at. Pictures of this layer and those "
                "above have holes in a lattice, which is the network's and not the image's."
            )
        elif first.most != first.least:
            yield (
                f"{of} cover some pixels more often than others, {first.ratio}. A lattice of that "
                "period in pictures of this layer and those above is the network's and not the "
                "image's."
            )


def _of_aliasing(diagnosis: Diagnosis) -> Iterator[str]:
    shares = {one.layer: one.aliased for one in diagnosis.lattices if one.aliased is not None}
    large = [f"{layer} ({percent(share)})" for layer, share in shares.items() if share > ALIASED]
    if large:
        yield (
            f"{', '.join(large)}: so much of the filters' power is finer than the stride can "
            "carry, and comes out as coarser patterns that are not in the image (aliasing). A "
            "smaller stride helps."
        )


def by(pair: tuple[int, int]) -> str:
    """Write a height and a width, as 7x7."""
    return f"{pair[0]}x{pair[1]}"


def percent(share: float) -> str:
    """Write a share, 0 to 1, as a whole percentage."""
    return f"{100 * share:.0f}%"


def _listed(features: tuple[int, ...]) -> str:
    more = "" if len(features) <= _NAMED else f" and {len(features) - _NAMED} more"
    return ", ".join(map(str, features[:_NAMED])) + more

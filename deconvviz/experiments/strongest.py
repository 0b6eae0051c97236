"""Look through a data set for the strongest units of every feature map, in one pass.

Each batch goes forward once, for all layers, and only the maps' spatial maxima come back. Of those
the few that enter the running top k are asked for their places, since a place costs more than a
maximum. Nothing of a batch is kept but its winners, so a data set may be as long as it likes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, overload

import keras
import numpy as np
import numpy.typing as npt

from deconvviz.deconv.arguments import Layer
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.peaks import Peaks
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.experiments.given import Arrays, chunks, require_net
from deconvviz.experiments.mining_state import (
    Asked,
    Mined,
    marked,
    open_state,
    refusal,
    save_state,
)
from deconvviz.experiments.top import TopActivations, nothing_yet
from deconvviz.received import require, shown, whole

_SAVE_EVERY = 10.0  # seconds

Progress = Callable[[int], None]
Whole = TypeVar("Whole", np.int32, np.int64)


@overload
def strongest_activations(
    net: Deconvnet,
    images: Any,
    layer: str,
    k: int = ...,
    *,
    first: int = ...,
    keep: Path | str | None = ...,
    progress: Progress | None = ...,
) -> TopActivations: ...


@overload
def strongest_activations(
    net: Deconvnet,
    images: Any,
    layer: Sequence[str],
    k: int = ...,
    *,
    first: int = ...,
    keep: Path | str | None = ...,
    progress: Progress | None = ...,
) -> dict[str, TopActivations]: ...


@overload
def strongest_activations(
    net: Deconvnet,
    images: Any,
    layer: Any,
    k: int = ...,
    *,
    first: int = ...,
    keep: Path | str | None = ...,
    progress: Progress | None = ...,
) -> Any: ...


def strongest_activations(
    net: Deconvnet,
    images: Any,
    layer: Layer | Sequence[Layer],
    k: int = 9,
    *,
    first: int = 0,
    keep: Path | str | None = None,
    progress: Progress | None = None,
) -> TopActivations | dict[str, TopActivations]:
    """Find the k strongest units of every feature map over many images, one unit an image.

    Args:
        net: the network; its rules do not matter here.
        images: float32 `[n, H, W, C]` in network-input space, a tuple of such arrays or a dict for
            a model of several inputs, or a `tf.data.Dataset` of batches of them, with or without
            labels behind, `(images, labels)`, or as TFDS gives them, `{"image": …, "label": …}`.
            A data set has to give its images in the same order each time for their numbers to mean
            anything.
        layer: a layer's path, or a Keras layer of the model; or several, which then share the
            forward pass.
        k: how many units of each feature map.
        first: the number of the first image, where these are a shard of more.
        keep: a file that holds what was found so far, `.npz`, written every ten seconds and
            whenever the call ends, by Ctrl-C too. The same call goes on from there.
        progress: called with the number of images looked at, after each batch.

    Returns:
        The strongest units, of several layers by their paths. Shards merge, in any order, by
        `TopActivations.merged`.

    Raises:
        DataError: where there is no image, or one of a wrong shape, or one that leads to values
            that are not finite; for a data set without end; for a `keep` that belongs to other
            images, weights, layers or k, or is no such file.
        DeconvvizError: for a layer that does not exist, and a k below 1.

    Example:
        >>> top = deconvviz.strongest_activations(net, images, layer="conv2", k=9)
        >>> top.image[17]  # where feature map 17 fired most, the strongest first

    References:
        Zeiler & Fergus 2013, Section 4 and Figure 2. One unit an image and the places' first in
        reading order follow Yosinski et al. 2015, deep-visualization-toolbox, find_maxes.
    """
    require_net(net)
    layers = net.paths(layer)
    require("keep", keep, (str, Path, type(None)), "the path of a file, or None")
    if progress is not None and not callable(progress):
        raise DeconvvizError(f"progress takes a function, or None; received {shown(progress)}.")
    asked = Asked(layers, whole("k", k, 1), whole("first", first))
    path = None if keep is None else Path(keep)
    mined = Mined() if path is None else open_state(path, asked, net.model)
    mining = _Mining(net, asked, mined, path)
    mining.run(chunks(net, images), progress)
    tops = mining.mined.tops
    if not tops:
        raise DataError("There is no image to look at; give one or more.")
    return tops[layers[0]] if isinstance(layer, str | keras.Operation) else tops


@dataclass
class _Mining:
    """A pass over the images: what was asked, and what was found so far."""

    net: Deconvnet
    asked: Asked
    mined: Mined
    keep: Path | None

    def run(self, chunks: Iterator[Arrays], progress: Progress | None) -> None:
        """Look at all images from where the last call stopped; keep what was found, always."""
        saved, saved_at = self.mined, time.monotonic()
        try:
            for batch in self._batches(self._beyond(chunks)):
                self.mined = self._after(batch)
                if progress:
                    progress(self.mined.images)
                if time.monotonic() - saved_at > _SAVE_EVERY:
                    self._save()
                    saved, saved_at = self.mined, time.monotonic()
        finally:  # also when Ctrl-C, or a signal's exception, ends it
            if self.mined is not saved:
                self._save()

    def _beyond(self, chunks: Iterator[Arrays]) -> Iterator[Arrays]:
        """Pass over the images that an earlier call looked at, and make sure they are the same."""
        kept, passed = self.mined, 0
        marks: tuple[int, ...] = ()
        for chunk in chunks:
            again = min(kept.images - passed, len(chunk[0]))
            if again:
                marks = marked(marks, tuple(x[:again] for x in chunk))
                passed += again
            if again and passed == kept.images:
                self._require(marks == kept.marks)
            if again < len(chunk[0]):
                yield tuple(x[again:] for x in chunk)
        self._require(passed == kept.images)

    def _batches(self, chunks: Iterator[Arrays]) -> Iterator[Arrays]:
        """Cut chunks into batches that fit into memory; the first one tells for all."""
        size = 0
        for chunk in chunks:
            if not size:
                part = next(iter(self.net.batches(chunk, self.asked.layers)))
                size = max(part.stop - part.start, 1)
            for start in range(0, len(chunk[0]), size):
                yield tuple(x[start : start + size] for x in chunk)

    def _after(self, batch: Arrays) -> Mined:
        """Give what is known after one more batch."""
        before, asked = self.mined, self.asked
        tops = dict(before.tops)
        for layer, peaks in self.net.strongest(batch, asked.layers).items():
            top = tops.get(layer) or nothing_yet(layer, peaks.value.shape[1], asked.k)
            tops[layer] = _entered(top, peaks, asked.first + before.images)
        marks = marked(before.marks, batch) if self.keep else ()
        return Mined(tops, before.images + len(batch[0]), marks)

    def _save(self) -> None:
        if self.keep:
            save_state(self.keep, self.asked, self.net.model, self.mined)

    def _require(self, same: bool) -> None:
        if not same:
            assert self.keep is not None
            raise refusal(self.keep, "images")


def _entered(top: TopActivations, peaks: Peaks, first: int) -> TopActivations:
    """Let a batch's maxima enter the running top k.

    The images' numbers only rise, so of equal values those that are in stay in, and a stable sort
    by the value alone gives the total order. `TopActivations.merged` needs no such luck.
    """
    top = replace(top, images=top.images + len(peaks.value))
    k = top.value.shape[1]
    rows = np.flatnonzero((peaks.value > top.value[:, -1]).any(axis=0))
    if not len(rows):
        return top
    joined = np.hstack([top.value[rows], peaks.value.T[rows]])
    order = np.argsort(-joined, axis=1, kind="stable")[:, :k]
    row, rank = np.nonzero(order >= k)
    image = order[row, rank] - k
    places = peaks.places(image.astype(np.int32), rows[row].astype(np.int32))
    value = top.value.copy()
    value[rows] = np.take_along_axis(joined, order, axis=1)
    return replace(
        top,
        value=value,
        image=_reordered(top.image, rows, order, first + image),
        y=_reordered(top.y, rows, order, places[:, 0]),
        x=_reordered(top.x, rows, order, places[:, 1]),
    )


def _reordered(
    kept: npt.NDArray[Whole],
    rows: npt.NDArray[np.intp],
    order: npt.NDArray[np.intp],
    entering: npt.NDArray[Any],
) -> npt.NDArray[Whole]:
    """Put the rows that changed into their new order, with those that enter in their ranks."""
    changed, k = kept.copy(), kept.shape[1]
    block = np.take_along_axis(kept[rows], np.minimum(order, k - 1), axis=1)
    block[order >= k] = entering
    changed[rows] = block
    return changed

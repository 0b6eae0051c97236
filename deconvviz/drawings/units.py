"""One unit of one feature map: its reconstruction, and the piece of the image that it saw.

Zeiler & Fergus show a unit's reconstruction beside the image patch that made it fire (2013,
Figure 2). The patch is the unit's receptive field: nothing outside it can have moved the unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.deconv.receptive_field import Box
from deconvviz.drawings.cuts import GREY, common_size, cut_to, cut_words
from deconvviz.drawings.emptiness import why_empty
from deconvviz.drawings.rows import rule_words
from deconvviz.errors import DeconvvizError
from deconvviz.render.compose import Rows, classic_rows, deconvnet_rows

Place = tuple[int, int]


@dataclass(frozen=True)
class Unit:
    """One unit of one image.

    Attributes:
        feature: its feature map.
        place: (y, x) in the map; None in a layer without spatial axes.
        activation: its value; at 0 it did not fire, and there is nothing to see.
        box: the pixels that it can depend on; at the image's edge it goes on into the padding.
    """

    feature: int
    place: Place | None
    activation: float
    box: Box

    def record(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        box = {"top": self.box.top, "left": self.box.left}
        box |= {"bottom": self.box.bottom, "right": self.box.right}
        place = None if self.place is None else list(self.place)
        return {"feature": self.feature, "unit": place, "activation": self.activation, "box": box}


def reconstruct_units(
    net: Deconvnet,
    images: npt.NDArray[np.uint8],
    preprocess: Preprocess,
    layer: str,
    rules: str,
    features: Sequence[int],
    at: str | Place,
) -> tuple[Rows, list[Unit]]:
    """Reconstruct one unit of each image and feature map, and stitch image patch | reconstruction.

    Args:
        net: with the rules that `rules` names.
        images: uint8 `[n, H, W, C]`, before preprocessing.
        preprocess: what makes them the network's input.
        layer: the layer's path.
        rules: as `deconvviz.drawings.rows.reconstruct_rows` takes them.
        features: the feature maps; of a layer without spatial axes, the units.
        at: "max", the map's strongest unit in each image, or (y, x).

    Returns:
        Rows, image by image and in each feature by feature, cut to the receptive field; and what
        unit each of them shows.
    """
    inputs, window = preprocess(images), preprocess.window(images)
    activation = net.activation(inputs, layer)
    panels: list[list[npt.NDArray[Any]]] = []
    chosen: list[list[Unit]] = []
    reasons: dict[str, None] = {}
    for feature in features:
        units = [_unit(net, layer, one, feature, at, window.shape[1:3]) for one in activation]
        places = None if activation.ndim == 2 else np.array([unit.place for unit in units])
        with why_empty() as told:  # the caption says the other warning itself
            panels.append(preprocess.maps(net.reconstruct(inputs, layer, feature, places)))
        chosen.append(units)
        reasons |= dict.fromkeys(told)
    # Image by image: what one image shows of all features stands together.
    units = [unit for of_image in zip(*chosen, strict=True) for unit in of_image]
    maps = np.stack(panels, axis=1).reshape(len(units), *window.shape[1:])
    boxes = [unit.box for unit in units]
    size = common_size(boxes, window.shape[1:3])
    notes = cut_words(size, rules, net.depends_on_image(layer))
    names = [layer if len(features) > 1 else f"{layer} {features[0]}"]
    words = {
        "first": "image patch",
        "rules": rule_words(net, [layer], rules),
        "start": _start_words(at, activation.ndim),
        "notes": " ".join((notes, "A unit that did not fire shows nothing.", *reasons)),
    }
    if rules == "classic":
        seen = np.repeat(preprocess.maps(inputs), len(features), axis=0)
        patches, parts = (cut_to(each, boxes, size, 0) for each in (seen, maps))
        rows = classic_rows(patches, [parts], names, **words)
        return replace(rows, empty=tuple(reasons)), units
    patches = cut_to(np.repeat(window, len(features), axis=0), boxes, size, GREY)
    parts = cut_to(maps, boxes, size, 0)
    rows = deconvnet_rows(patches, [parts], names, None, **words)
    return replace(rows, empty=tuple(reasons)), units


def _unit(
    net: Deconvnet,
    layer: str,
    activation: npt.NDArray[np.float32],
    feature: int,
    at: str | Place,
    image_size: Place,
) -> Unit:
    """Choose one unit of one image's activation, `[h, w, C]` or `[C]`."""
    if feature >= activation.shape[-1]:
        raise DeconvvizError(
            f"Layer {layer!r} has features 0 to {activation.shape[-1] - 1}; received {feature}."
        )
    one = activation[..., feature]
    if one.ndim == 0:
        return Unit(feature, None, float(one), Box(0, 0, *image_size))
    y, x = np.unravel_index(one.argmax(), one.shape) if isinstance(at, str) else at
    if not (0 <= y < one.shape[0] and 0 <= x < one.shape[1]):
        raise DeconvvizError(
            f"Layer {layer!r} is {one.shape[0]} units high and {one.shape[1]} wide; at takes 'max' "
            f"or (y, x) within it; received {at}."
        )
    place = int(y), int(x)
    return Unit(feature, place, float(one[place]), net.seen(layer, place, image_size))


def _start_words(at: str | Place, rank: int) -> str:
    if rank == 2:
        return "one unit's activation, all others 0"
    where = "the strongest of its map in each image" if isinstance(at, str) else f"at (y, x) = {at}"
    return f"the activation of one unit, {where}, all others 0"

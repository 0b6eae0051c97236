"""Occlusion maps beside the image and the reconstruction (Zeiler & Fergus's Figure 7), as files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvviz.data import Preprocess
from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.drawings.anew import drawn_anew
from deconvviz.drawings.occlusion_figure import OccludedImage, draw_occlusion
from deconvviz.experiments.occlusion import Occlusion
from deconvviz.render.compose import CAVEAT
from deconvviz.render.png import write_picture
from deconvviz.render.tensorboard import EventLog


def project_watched(
    net: Deconvnet, image: npt.NDArray[np.uint8], preprocess: Preprocess, record: Occlusion
) -> npt.NDArray[np.float32]:
    """Reconstruct the map that was watched, all its activations being the start signal.

    Args:
        net: with the rules to go back by.
        image: uint8 `[H, W, C]`, before preprocessing.
        preprocess: what makes it the network's input.
        record: which map of which layer.

    Returns:
        Signed float32 `[h, w, C]`, the channels in the image's order.
    """
    maps = net.reconstruct(preprocess(image[None]), record.layer, record.feature)
    return preprocess.maps(maps)[0]


def describe(shown: OccludedImage) -> str:
    """Say what the figure shows, of what data, and which choices the paper leaves open."""
    record, square = shown.record, shown.record.square
    value = ", ".join(f"{one:.3g}" for one in dict.fromkeys(square.value))
    whole = "the training images'" if record.labelled else "the given images'"
    standard = shown.preprocess == "standardize"
    mean = "the image's mean" if standard else f"{whole} mean colour"
    whose = "true class" if record.labelled else "class that the network finds in it"
    applied = ", by a softmax of the network's scores" if record.softmax else ""
    scale = float(np.abs(shown.projection).max())
    return (
        f"Occlusion of {shown.name}, an image of {shown.data}: a square of "
        f"{square.size}x{square.size} pixels (outlined) slides over the image by {square.stride}; "
        f"a map's value stands where the square's centre was. It is filled with {value} in the "
        "network's input space, after "
        f"preprocessing ({shown.preprocess}): {mean}. Watched: {record.layer}, feature "
        f"map {record.feature}, largest activation {record.activation:.3g}; its activity, summed "
        f"over space, is {record.activity_without:.4g} without the square (the line in the scale). "
        f"Probability of the image's {whose}, {shown.class_name(record.label)}{applied}: "
        f"{record.probability_without:.3f} without it; most probable without it: "
        f"{shown.class_name(record.guess_without)}. Projection: rules {shown.rules}; start signal: "
        f"all activations of that map, all others 0; zero is grey, scale {scale:.3g}. "
        f"{''.join(f'{reason} ' for reason in shown.empty)}After Zeiler "
        f"& Fergus 2013, Section 4.2, which gives no size, stride or grey. {CAVEAT} The "
        "occlusion maps are measured."
    )


def write_occlusions(
    folder: Path, each: Iterable[OccludedImage], step: int | None, about: dict[str, Any]
) -> list[Path]:
    """Write one figure an image, as PNG with its JSON, and for TensorBoard under `occlusion/`.

    Args:
        folder: everything goes there, in place of what an earlier call wrote.
        each: the images, all of one layer; a figure is written as soon as its image is there.
        step: the network's training step; None where nobody knows it (TensorBoard then shows 0).
        about: whatever else to keep in the JSON.

    Returns:
        The PNGs' paths.

    Raises:
        DeconvvizError: where the folder cannot be written.
    """
    figures, captions, layer = [], [], ""
    with drawn_anew(folder, "[0-9]*-*") as paths:
        for index, shown in enumerate(each):
            paths.append(folder / f"{index:04d}-{shown.name}.png")
            figures.append(draw_occlusion(shown))
            caption, record = describe(shown), {**about, "step": step, **as_json(shown)}
            captions.append(caption)
            layer = shown.record.layer
            write_picture(paths[-1], figures[-1], caption, record)
        with EventLog(folder) as log:
            log.images(f"occlusion/{layer}", np.stack(figures), step or 0, "\n\n".join(captions))
    return paths


def as_json(shown: OccludedImage) -> dict[str, Any]:
    """Give the whole record as plain JSON values."""
    record, square = shown.record, shown.record.square
    return {
        "name": shown.name,
        "data": shown.data,
        "layer": record.layer,
        "feature": record.feature,
        "activation": record.activation,
        "rules": shown.rules,
        "preprocess": shown.preprocess,
        "square": {"size": square.size, "stride": square.stride, "value": list(square.value)},
        "hidden_in": "the network's input space, after preprocessing",
        "rows": record.rows.tolist(),
        "columns": record.columns.tolist(),
        "class": shown.class_name(record.label),
        "true_class": record.labelled,
        "softmax_applied": record.softmax,
        "activity": record.activity.tolist(),
        "activity_without": record.activity_without,
        "probability": record.probability.tolist(),
        "probability_without": record.probability_without,
        "most_probable": [[shown.class_name(i) for i in row] for row in record.guess.tolist()],
        "most_probable_without": shown.class_name(record.guess_without),
    }

"""What one step reads: for each of its inputs, the window of units behind one unit of its output.

Every window there is (a convolution's, a pool's, a transposed convolution's, an up-sampling's, a
padding's) is one formula with five numbers. A step for which none is known reads its whole input:
so does every child that computes something of its own. A window too large wastes some pixels; one
too small would lie.

References:
    Araujo, Norris & Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, doi 10.23915/distill.00021.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from keras import layers

from deconvviz.deconv.graph import Step
from deconvviz.deconv.kinds import computes_its_own
from deconvviz.deconv.pointwise import POINTWISE, leaves_units_in_place

Size = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True)
class Window:
    """Along one axis: unit i reads the units j with `j * up = i * stride + first + t * dilation`.

    Attributes:
        taps: t runs from 0 to taps - 1.
        stride: how far the window goes from one unit to the next; 0 where all read the same unit.
        first: where unit 0's window begins, times `up`; negative in padding.
        dilation: how far from one tap to the next.
        up: how many units of the output come to one of the input, in a layer that enlarges.
    """

    taps: int = 1
    stride: int = 1
    first: int = 0
    dilation: int = 1
    up: int = 1


Windows = tuple[Window, Window]  # along the height, along the width

POINT: Windows = (Window(), Window())


def windows(step: Step, before: Size | None, after: Size | None) -> Windows | None:
    """Give the windows through which a step reads one of its inputs.

    Args:
        step: the step.
        before: height and width of that input; None where it has none.
        after: height and width of the step's output; None where it has none.

    Returns:
        Its windows; None where a unit reads the whole input, or may do so.
    """
    measure = _measure(step)
    if measure is None or before is None or after is None:
        return None
    return measure(step.operation, before, after)


def output_size(step: Step, befores: Sequence[Size | None], channels: int | None) -> Size | None:
    """Give the height and width of a step's output.

    Args:
        step: the step.
        befores: height and width of each of its inputs.
        channels: how many feature maps the first of them has.

    Returns:
        Height and width; None where they cannot be told, or nothing would be left of the image.
    """
    measure, known = _measure(step), [size for size in befores if size is not None]
    if measure is None or not known or len(known) < len(befores):
        return None
    if measure is _point:
        heights, widths = zip(*known, strict=True)
        return max(heights), max(widths)
    try:
        shape = step.operation.compute_output_shape((None, *known[0], channels))
    except ValueError:  # Keras refuses an image that is smaller than the window
        return None
    return None if min(shape[1:3]) < 1 else (shape[1], shape[2])


Measure = Callable[[Any, Size, Size], Windows | None]


def _point(layer: Any, before: Size, after: Size) -> Windows | None:
    """Each unit from the unit at its own place, or from the only one, along a broadcast axis."""
    if before == after:
        return POINT
    if any(b not in (1, a) for b, a in zip(before, after, strict=True)):
        return None
    height, width = (Window(stride=int(b == a)) for b, a in zip(before, after, strict=True))
    return height, width


def _convolution(layer: Any, before: Size, after: Size) -> Windows:
    return _slide(layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, before)


def _pool(layer: Any, before: Size, after: Size) -> Windows:
    return _slide(layer.pool_size, layer.strides, (1, 1), layer.padding, before)


def _slide(
    taps: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: str,
    before: Sequence[int],
) -> Windows:
    height, width = (
        Window(k, s, -_padded_before(k, s, d, n) if padding == "same" else 0, d)
        for k, s, d, n in zip(taps, strides, dilations, before, strict=True)
    )
    return height, width


def _padded_before(taps: int, stride: int, dilation: int, size: int) -> int:
    """TensorFlow's "same" padding above or left of an axis: it depends on the axis's size."""
    reached = (-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1
    return max(reached - size, 0) // 2


def _transposed(layer: Any, before: Size, after: Size) -> Windows:
    """What the convolution of `after` would read, the other way round."""
    same = layer.padding == "same"
    height, width = (
        _spread(k, s, d, _padded_before(k, s, d, n) if same else 0)
        for k, s, d, n in zip(
            layer.kernel_size, layer.strides, layer.dilation_rate, after, strict=True
        )
    )
    return height, width


def _spread(taps: int, up: int, dilation: int, cut: int) -> Window:
    """Each unit spreads over `taps` units, `up` of them further each time, `cut` lost in front."""
    return Window(taps, 1, cut - (taps - 1) * dilation, dilation, up)


def _up_sampling(layer: Any, before: Size, after: Size) -> Windows | None:
    if layer.interpolation == "nearest":
        height, width = (_spread(f, f, 1, 0) for f in layer.size)
    elif layer.interpolation == "bilinear":
        # A unit counts up to one unit away. With an odd factor some lie one away exactly, and
        # rounding may give them a weight.
        height, width = (_spread(2 * f + f % 2, f, 1, (f + 1) // 2) for f in layer.size)
    else:
        return None
    return height, width


def _padding(layer: Any, before: Size, after: Size) -> Windows:
    (top, _), (left, _) = layer.padding
    return Window(first=-top), Window(first=-left)


def _cropping(layer: Any, before: Size, after: Size) -> Windows:
    (top, _), (left, _) = layer.cropping
    return Window(first=top), Window(first=left)


_LAYERS: dict[Any, Measure] = {
    **dict.fromkeys(POINTWISE, _point),
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _convolution,
    layers.SeparableConv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.MaxPooling2D: _pool,
    layers.AveragePooling2D: _pool,
    layers.UpSampling2D: _up_sampling,
    layers.ZeroPadding2D: _padding,
    layers.Cropping2D: _cropping,
}


def _measure(step: Step) -> Measure | None:
    operation: Any = step.operation
    if not isinstance(operation, layers.Layer):
        return _point if leaves_units_in_place(operation) else None
    kind = next((kind for kind in type(operation).__mro__ if kind in _LAYERS), None)
    if kind is None or computes_its_own(operation, kind):
        return None
    if kind in POINTWISE:
        return _point if leaves_units_in_place(operation, kind) else None
    return None if operation.data_format == "channels_first" else _LAYERS[kind]

"""The scalings of pixels by name, and how one's own is written: mean=…,std=….

What a network was trained on is two numbers, or two a channel: x = (pixels - mean) / std. The
names stand for the pairs in common use. Nothing here needs TensorFlow, so that the command line can
refuse a wrong name before it loads TensorFlow; `preprocess` does the arithmetic.
"""

import re
from dataclasses import dataclass

from deconvviz.errors import DataError
from deconvviz.listing import counted
from deconvviz.wording import one_line, quoted


@dataclass(frozen=True)
class Scaling:
    """The constants of x = (pixels - mean) / std.

    Attributes:
        mean: for pixels from 0 to 255, one value or one a channel in the order R, G, B.
        std: likewise.
        bgr: the channels are turned round afterwards, to B, G, R.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False

    @property
    def channels(self) -> int | None:
        """How many channels an image must have; None where any number will do."""
        longest = max(len(self.mean), len(self.std))
        return longest if longest > 1 else None


# caffe and torch: the means and deviations of ImageNet as keras.applications.imagenet_utils has
# them; there, caffe's stand in the order B, G, R and torch's are for pixels from 0 to 1.
_NAMED = {
    "standardize": None,
    "signed": Scaling((127.5,), (127.5,)),
    "unit": Scaling((0.0,), (255.0,)),
    "raw": Scaling((0.0,), (1.0,)),
    "caffe": Scaling((123.68, 116.779, 103.939), (1.0,), bgr=True),
    "torch": Scaling(
        (255 * 0.485, 255 * 0.456, 255 * 0.406), (255 * 0.229, 255 * 0.224, 255 * 0.225)
    ),
}
KINDS = tuple(_NAMED)

_OWN = re.compile(r"\s*(mean|std)\s*=([^=]*),\s*(mean|std)\s*=([^=]*)")
# Within these, float32 gives every pixel value back exactly. A deviation under 1 grey level does
# not occur: who writes one has pixels from 0 to 1 in mind.
_RANGES = {"mean": (0.0, 255.0), "std": (1.0, 65535.0)}
_FORM = (
    "mean=…,std=… for pixels from 0 to 255, each one number or one a channel, such as "
    "mean=127.5,std=64 or mean=125.3,123.0,113.9,std=63.0,62.1,66.7"
)


def parse_scaling(text: str) -> Scaling | None:
    """Read the name of a scaling, or one written out.

    Args:
        text: one of `KINDS`, or such as "mean=127.5,std=64" or
            "mean=125.3,123.0,113.9,std=63.0,62.1,66.7": for pixels from 0 to 255, in either order.

    Returns:
        Its constants; None for `standardize`, which takes them from each image.

    Raises:
        DataError: for any other text; it says the form.
    """
    if text in _NAMED:
        return _NAMED[text]
    if "=" not in text:
        raise DataError(
            f"There is no preprocessing {quoted(text)}; choose one of {', '.join(KINDS)}, or "
            f"{_FORM}."
        )
    found = _OWN.fullmatch(text)
    if found is None or found[1] == found[3]:
        raise _unusable(text, "it does not say mean and std, each once")
    values = {
        name: _values(text, name, part) for name, part in (found.group(1, 2), found.group(3, 4))
    }
    mean, std = values["mean"], values["std"]
    if len(mean) != len(std) and 1 not in (len(mean), len(std)):
        raise _unusable(text, f"it has {counted(len(mean), 'value')} of mean and {len(std)} of std")
    return Scaling(mean, std)


def _values(text: str, name: str, part: str) -> tuple[float, ...]:
    low, high = _RANGES[name]
    values = []
    for word in part.split(","):
        try:
            values.append(float(word))
        except ValueError:
            raise _unusable(text, f"{quoted(word.strip(), 40)} is no number") from None
        if not low <= values[-1] <= high:  # true for NaN as well
            raise _unusable(
                text,
                f"{name} may be {low:g} to {high:g}, not {one_line(word.strip(), 40)} (multiply by "
                "255 what was meant for pixels from 0 to 1)",
            )
    return tuple(values)


def _unusable(text: str, why: str) -> DataError:
    return DataError(f"The preprocessing {quoted(text)} cannot be used: {why}. Write {_FORM}.")

"""The parts that a person marked in their images: a small TOML file of boxes.

    [[image]]
    file = "anna.png"            # beside this file; or: index = 3, in the data set's split
    [image.parts]
    left_eye = [30, 22, 10, 14]  # top, left, height, width, in the picture's own pixels

Boxes are drawn on the picture as it is, and the network sees it fitted and cut, so each box takes
the same way as its picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deconvviz.errors import ConfigError, DataError
from deconvviz.listing import counted, listed
from deconvviz.toml_text import read_toml
from deconvviz.wording import one_line

if TYPE_CHECKING:
    from deconvviz.cli.pictures import Fit, Shape
    from deconvviz.data import Preprocess

Box = tuple[int, int, int, int]
_FORM = (
    '[[image]] with file = "a.png" or index = 0, and [image.parts] with name = [top, left, height, '
    "width] in pixels"
)


@dataclass(frozen=True)
class MarkedImage:
    """One image, by its file or by its number in a data set, and its parts' boxes."""

    file: Path | None
    index: int | None
    parts: dict[str, Box]

    @property
    def name(self) -> str:
        """How it is called in what is said about it."""
        return str(self.file) if self.file else f"image {self.index}"


_Pixels = Annotated[int, Field(gt=-(2**31), lt=2**31)]


class _Image(BaseModel):
    model_config = ConfigDict(extra="forbid")
    file: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None = None  # no path has a null byte
    index: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    parts: Annotated[dict[str, tuple[_Pixels, _Pixels, _Pixels, _Pixels]], Field(min_length=1)]


class _Parts(BaseModel):
    model_config = ConfigDict(extra="forbid")
    image: list[_Image]


def read_parts(path: Path) -> tuple[MarkedImage, ...]:
    """Read a file of parts.

    Returns:
        The images in order, each with the same parts; files are looked for beside the TOML file.

    Raises:
        ConfigError: for a file that cannot be read or has another form, fewer than two images, and
            an image that lacks a part which another one has.
    """
    images = _read(path).image
    if len(images) < 2:
        raise ConfigError(
            f"{path} marks parts in {counted(len(images), 'image')}; correspondence compares at "
            f"least 2. Add another {_FORM}."
        )
    names = list(images[0].parts)
    marked = []
    for number, one in enumerate(images):
        if (one.file is None) == (one.index is None):
            raise ConfigError(f"Image {number} of {path} needs either file or index: {_FORM}.")
        if set(one.parts) != set(names):
            odd = sorted(set(one.parts) ^ set(names))
            raise ConfigError(
                f"Image {number} of {path} has the parts {_names(one.parts)}, and image 0 "
                f"has {_names(names)}. Mark {_names(odd)} in every image or in none."
            )
        file = None if one.file is None else path.parent / one.file
        marked.append(MarkedImage(file, one.index, {name: one.parts[name] for name in names}))
    return tuple(marked)


def picture_size(file: Path) -> tuple[int, int]:
    """Give the height and width of a sound picture file, as a person sees it, upright."""
    from PIL import Image, ImageOps

    from deconvviz.data.pictures import FORMATS

    with Image.open(file, formats=FORMATS) as picture:
        width, height = ImageOps.exif_transpose(picture).size
    return height, width


def seen_box(
    box: Box,
    size: tuple[int, int],
    shape: "Shape",
    fit: "Fit",
    preprocess: "Preprocess",
    subject: str,
) -> Box:
    """Find where a box of a picture lies in what the network sees of it.

    Args:
        box: top, left, height, width in the picture's own pixels.
        size: the picture's height and width.
        shape: height, width and channels that it is fitted to.
        fit: how.
        preprocess: whose window the network sees.
        subject: how a sentence about it begins, such as "'nose' in a.png".

    Returns:
        The box in the window's pixels; of one that the window cuts, what is left.

    Raises:
        DataError: for a box outside the picture, or of which the network sees nothing.
    """
    import numpy as np

    from deconvviz.data import fit_images

    top, left, height, width = box
    inside = top >= 0 and left >= 0 and top + height <= size[0] and left + width <= size[1]
    if not (inside and height > 0 and width > 0):
        raise DataError(
            f"The box of {subject}, top {top}, left {left}, height {height}, width {width}, does "
            f"not lie in the picture, which is {size[0]} pixels high and {size[1]} wide. Give a "
            "box within it."
        )
    # A picture that is white in the box and black elsewhere goes the way of the picture itself.
    mask = np.zeros((1, *size, 1), np.uint8)
    mask[:, top : top + height, left : left + width] = 255
    fitted = fit_images(mask, shape[:2], grey=shape[2] == 1, fit=fit)
    marked = preprocess.window(fitted)[0, ..., 0] >= 128
    if not marked.any():
        raise DataError(
            f"The network sees nothing of {subject}: the box is smaller than one of its pixels, or "
            f"lies outside the {marked.shape[0]}x{marked.shape[1]} pixels that it sees."
        )
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return (
        int(rows[0]),
        int(columns[0]),
        int(rows[-1] - rows[0]) + 1,
        int(columns[-1] - columns[0]) + 1,
    )


def _read(path: Path) -> _Parts:
    try:
        return _Parts.model_validate(read_toml(path, "file of parts", f"Write one: {_FORM}."))
    except ValidationError as error:
        raise ConfigError(f"{path} cannot be used: {_problem(error)}. It takes {_FORM}.") from None


def _names(parts: Iterable[str]) -> str:
    return listed([one_line(part, 40) for part in parts])


def _problem(error: ValidationError) -> str:
    """The first thing that is wrong; a name that is mistyped leaves another one missing."""
    each = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    where = one_line(".".join(map(str, each[0]["loc"])), 80)
    words = {"extra_forbidden": "is a name that it does not know", "missing": "is missing"}
    return f"{where} {words.get(each[0]['type'], each[0]['msg'])}"

"""Images of any size and colours become what a network takes.

A picture out of a file and an image out of a data set go through the same few lines, so that they
reach the network as the same pixels. Either the whole picture is scaled to cover the network's
size, or that size is cut out of it as it is; both keep its proportions and its centre.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from deconvviz.errors import DataError

Fit = Literal["resize", "crop"]
_ROWS = 256


@dataclass(frozen=True)
class Target:
    """What images are made into.

    Args:
        size: the height and width in pixels, or the side of a square.
        grey: one channel, the luma of ITU-R BT.601; else three, R, G, B.
        fit: `resize` scales to cover the size and cuts around the centre; `crop` cuts the size out
            of the centre at the picture's own resolution.

    Raises:
        DataError: where the size is no number of pixels, and for another fit.
    """

    size: int | tuple[int, int]
    grey: bool = False
    fit: Fit = "resize"

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
            raise DataError(
                f"The size of the images is {self.size}; it takes a number of pixels, or the "
                "height and the width."
            )
        if self.fit not in ("resize", "crop"):
            raise DataError(f"There is no fit {self.fit!r}; choose resize or crop.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        return height, width, 1 if self.grey else 3

    def make(self, picture: Image.Image, subject: str) -> NDArray[np.uint8]:
        """Fit one picture.

        Args:
            picture: of any mode, upright.
            subject: how a sentence about it begins, such as "cat.png is".

        Returns:
            uint8 [height, width, 1 or 3], 0..255; what is transparent is white.

        Raises:
            DataError: where it is smaller than what is to be cut out of it.
        """
        height, width, channels = self.shape
        coloured = _to_rgb(picture)
        if self.grey:
            coloured = coloured.convert("L")
        fitted = self._fitted(coloured, width, height, subject)
        return np.asarray(fitted).reshape(height, width, channels)

    def _fitted(self, picture: Image.Image, width: int, height: int, subject: str) -> Image.Image:
        if self.fit == "resize":
            return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
        if picture.width < width or picture.height < height:
            raise DataError(
                f"{subject} {picture.width} pixels wide and {picture.height} high, too small to "
                f"cut {width} x {height} out of it; choose the fit resize (--fit resize), which "
                "enlarges."
            )
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        return picture.crop((left, top, left + width, top + height))


def fit_images(
    images: NDArray[np.uint8],
    size: int | tuple[int, int],
    *,
    grey: bool = False,
    fit: Fit = "resize",
) -> NDArray[np.uint8]:
    """Fit the images of a data set to a network, just as `read_images` fits picture files.

    Args:
        images: uint8 [n, H, W, C], C 1 (grey) or 3 (R, G, B).
        size: the height and width that the network takes, or the side of a square.
        grey: give one channel, the luma of ITU-R BT.601; else three, grey repeated.
        fit: `resize` scales to cover the size and cuts around the centre; `crop` cuts the size out
            of the centre at the images' own resolution.

    Returns:
        uint8 [n, height, width, 1 or 3], 0..255; `images` itself where it is that already.

    Raises:
        DataError: for arrays of another kind, and images smaller than what is to be cut out.
    """
    target = Target(size, grey, fit)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise DataError(
            "Images are uint8 of shape [n, height, width, 1 or 3], and these are "
            f"{images.dtype} of shape {list(images.shape)}; give them as they were decoded."
        )
    if images.shape[1:] == target.shape:
        return images
    fitted = np.empty((len(images), *target.shape), np.uint8)
    for index, image in enumerate(images):
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        fitted[index] = target.make(Image.fromarray(pixels), "The images are")
    return fitted


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # Pillow would cut 16-bit grey off at 255 instead of scaling it.
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return _on_white(picture) if picture.has_transparency_data else picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    """Lay a transparent picture on white paper, a few rows at a time: a large one fills memory."""
    whole = Image.new("RGB", picture.size)
    for top in range(0, picture.height, _ROWS):
        bottom = min(top + _ROWS, picture.height)
        rows = picture.crop((0, top, picture.width, bottom)).convert("RGBA")
        paper = Image.new("RGBA", rows.size, "white")
        whole.paste(Image.alpha_composite(paper, rows).convert("RGB"), (0, top))
    return whole

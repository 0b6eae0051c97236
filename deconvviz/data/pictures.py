"""The guarded opening of image files that somebody else made.

A picture's size is looked at before a single pixel is decoded, its content must be of a kind that
we know whatever the file is called, and its orientation mark is obeyed. Then all pictures
are fitted to one size.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from deconvviz.data.fitting import Fit, Target
from deconvviz.errors import DataError
from deconvviz.received import require
from deconvviz.wording import one_line

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 64_000_000  # 200 MB when decoded


def read_images(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    size: int | tuple[int, int],
    *,
    grey: bool = False,
    fit: Fit = "resize",
) -> NDArray[np.uint8]:
    """Read a person's own picture files.

    Args:
        paths: PNG, JPEG, WebP or GIF files; of an animation the first frame is taken.
        size: the height and width of every image in pixels, or the side of a square.
        grey: give one channel, the luma of ITU-R BT.601, instead of R, G, B.
        fit: `resize` scales every picture to cover the size and cuts around the centre; `crop` cuts
            the size out of the centre at the picture's own resolution.

    Returns:
        uint8 [n, height, width, 1 or 3], 0..255, in the order of the paths; what is transparent is
        white.

    Raises:
        DataError: naming the first file that is missing, no picture, broken, too large, or too
            small to be cut.
    """
    if isinstance(paths, str | PathLike):
        paths = [paths]
    require("paths", paths, Iterable, "the paths of image files")
    paths = list(paths)
    for path in paths:
        require("paths", path, (str, PathLike), "the paths of image files")
    if not paths:
        raise DataError("No image was given; give the paths of one or more image files.")
    target = Target(size, grey, fit)
    return np.stack([read_image(Path(path), target) for path in paths])


def read_image(path: Path, target: Target) -> NDArray[np.uint8]:
    """Read one picture as `read_images` does, uint8 [height, width, 1 or 3]."""
    name = one_line(str(path), 200)
    if os.path.isdir(path):
        raise DataError(f"{name} is a directory; give the image files in it, such as {name}/*.png.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise DataError(f"{name} is a pipe or a device, not an image file; copy the image to one.")
    try:
        return _decode(path, target)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"There is no image file {name}; check the path.") from None
    except PermissionError:
        raise DataError(f"{name} may not be read; change its permissions.") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{name} is not a PNG, JPEG, WebP or GIF image; convert it or leave it out."
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise DataError(_too_large(path)) from None
    # Pillow's decoders raise whatever they meet in a broken file: OSError, SyntaxError,
    # struct.error, zlib.error and more.
    except Exception as error:
        said = one_line(str(error) or type(error).__name__, 150)
        raise DataError(
            f"{name} is a broken image and cannot be decoded ({said}); mend it or leave it out."
        ) from error


def _decode(path: Path, target: Target) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL")  # complaints about metadata
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(_too_large(path))
            ImageOps.exif_transpose(picture, in_place=True)
            return target.make(picture, f"{one_line(str(path), 200)} is")


def _too_large(path: Path) -> str:
    return (
        f"{one_line(str(path), 200)} has more than {MAX_PIXELS // 1_000_000} million pixels, too "
        "many to decode safely; make it smaller or leave it out."
    )

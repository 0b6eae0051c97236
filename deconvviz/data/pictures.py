"""The guarded opening of image files that somebody else made.

A picture's size is looked at before a single pixel is decoded, its content must be of a kind that
we know whatever the file is called, and its orientation mark is obeyed. All pictures become one
square size: scaled to cover it and cut around the centre.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from deconvviz.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 64_000_000  # 200 MB when decoded


def read_images(paths: Sequence[str | Path], size: int) -> NDArray[np.uint8]:
    """Read a person's own picture files.

    Args:
        paths: PNG, JPEG, WebP or GIF files; of an animation the first frame is taken.
        size: every picture is scaled to cover size x size pixels and cut around its centre.

    Returns:
        uint8 [n, size, size, 3], 0..255, in the order of the paths; what is transparent is white.

    Raises:
        DataError: naming the first file that is missing, no picture, broken or too large.
    """
    if not paths:
        raise DataError("No image was given; give the paths of one or more image files.")
    return np.stack([read_image(Path(path), size) for path in paths])


def read_image(path: Path, size: int) -> NDArray[np.uint8]:
    """Read one picture as `read_images` does, uint8 [size, size, 3]."""
    if path.is_dir():
        raise DataError(f"{path} is a directory; give the image files in it, such as {path}/*.png.")
    try:
        return _decode(path, size)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"There is no image file {path}; check the path.") from None
    except PermissionError:
        raise DataError(f"{path} may not be read; change its permissions.") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is not a PNG, JPEG, WebP or GIF image; convert it or leave it out."
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise DataError(_too_large(path)) from None
    # Pillow's decoders raise whatever they meet in a broken file: OSError, SyntaxError,
    # struct.error, zlib.error and more.
    except Exception as error:
        raise DataError(
            f"{path} is a broken image and cannot be decoded ({error}); mend it or leave it out."
        ) from error


def _decode(path: Path, size: int) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL")  # complaints about metadata
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(_too_large(path))
            turned = ImageOps.exif_transpose(picture)
            fitted = ImageOps.fit(_to_rgb(turned), (size, size), Image.Resampling.LANCZOS)
    return np.asarray(fitted)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # Pillow would cut 16-bit grey off at 255 instead of scaling it.
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


def _too_large(path: Path) -> str:
    return (
        f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels, too many to decode "
        "safely; make it smaller or leave it out."
    )

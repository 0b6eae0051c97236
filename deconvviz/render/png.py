"""Lay rows out as a picture file that explains itself.

The pixels are enlarged to blocks, without smoothing, under the panels' headings and above the
caption, which also stands in the PNG's Description text. A JSON file of the same stem holds the
caption, what the caller recorded, and where the blocks lie, so that the exact pixels can be read
back out of the picture.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from deconvviz.atomic import replacing
from deconvviz.render.compose import enlarge
from deconvviz.render.scaling import Pixels
from deconvviz.wording import escaped

QUICK = 2  # zlib's level: half the time of its default for a tenth more bytes
_MARGIN = 16
_GAP = 4
_TEXT_WIDTH = 480  # narrower captions are hard to read, however small the picture
_LABEL_WIDTH = 140
_HEADING_WIDTH = 128  # a layer's name is wider than a small panel
_PAPER, _INK, _QUIET = "#ffffff", "#222222", "#555555"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_HEADING = ImageFont.load_default(15)
_SMALL = ImageFont.load_default(13)
_LEADING = 18


@dataclass(frozen=True)
class _Layout:
    """Where the blocks of each panel lie: panel k of row i begins at

    (left + k * (panel_width*factor + gap), top + i * (panel_height*factor + gap)).
    """

    rows: int
    panels: int
    panel_height: int
    panel_width: int
    factor: int
    left: int
    top: int
    gap: int = _GAP

    @property
    def step(self) -> tuple[int, int]:
        """How far the panels lie apart, down and across."""
        return self.panel_height * self.factor + self.gap, self.panel_width * self.factor + self.gap

    @property
    def end(self) -> tuple[int, int]:
        """The row and the column just past the last panel."""
        down, across = self.step
        return self.top + self.rows * down - self.gap, self.left + self.panels * across - self.gap


def write_picture(
    path: Path,
    pixels: Pixels,
    caption: str,
    record: dict[str, Any],
    headings: Sequence[str] = (),
) -> None:
    """Write one row, enlarged, with headings and caption, and its record beside it.

    Args:
        path: the PNG file; the record takes the same stem and `.json`.
        pixels: uint8 `[h, panels*w, 3]`.
        caption: what is to be seen and how it is scaled.
        record: anything JSON can hold, kept in the record file.
        headings: one a panel; none makes the whole width one panel.

    Raises:
        DeconvvizError: where the files cannot be written; nothing there before is lost.
    """
    _write(path, pixels[None], caption, record, headings, (), target=600)


def write_sheet(
    path: Path,
    pixels: Pixels,
    caption: str,
    record: dict[str, Any],
    headings: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> None:
    """Write all rows of a batch, one under the other, as one overview.

    Args:
        path: the PNG file; the record takes the same stem and `.json`.
        pixels: uint8 `[n, h, panels*w, 3]`.
        caption: what is to be seen and how it is scaled.
        record: anything JSON can hold, kept in the record file.
        headings: one a panel; none makes the whole width one panel.
        labels: one a row, such as class names, written on its left; or none.

    Raises:
        DeconvvizError: where the files cannot be written; nothing there before is lost.
    """
    _write(path, pixels, caption, record, headings, labels, target=400)


def _write(
    path: Path,
    pixels: Pixels,
    caption: str,
    record: dict[str, Any],
    headings: Sequence[str],
    labels: Sequence[str],
    target: int,
) -> None:
    labels = [_shorten(label, _SMALL, _LABEL_WIDTH) for label in labels]
    layout = _lay_out(pixels, headings, labels, target)
    about = {"caption": caption, **record, "layout": asdict(layout)}
    caption = escaped(caption)
    text = escaped(json.dumps(about, indent=2, allow_nan=False, ensure_ascii=False)) + "\n"
    chunk = PngInfo()
    chunk.add_itxt("Description", caption)
    picture = _draw(pixels, layout, headings, labels, caption)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=chunk, compress_level=QUICK)
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _lay_out(
    pixels: Pixels, headings: Sequence[str], labels: Sequence[str], target: int
) -> _Layout:
    rows, height, width, _ = pixels.shape
    panels = max(1, len(headings))
    target = max(target, panels * _HEADING_WIDTH)
    if width % panels or len(labels) not in (0, rows):
        raise ValueError(f"{len(headings)} headings and {len(labels)} labels for {pixels.shape}")
    longest = max((_SMALL.getlength(label) for label in labels), default=-8)
    return _Layout(
        rows=rows,
        panels=panels,
        panel_height=height,
        panel_width=width // panels,
        factor=max(1, target // width),
        left=_MARGIN + round(longest) + 8,
        top=_MARGIN + (24 if headings else 0),
    )


def _draw(
    pixels: Pixels,
    layout: _Layout,
    headings: Sequence[str],
    labels: Sequence[str],
    caption: str,
) -> Image.Image:
    bottom, right = layout.end
    width = max(right, _MARGIN + _TEXT_WIDTH)
    lines = _wrap(caption, width - _MARGIN)
    height = bottom + 10 + len(lines) * _LEADING + _MARGIN
    picture = Image.new("RGB", (width + _MARGIN, height), _PAPER)
    _paste(picture, pixels, layout)
    draw = ImageDraw.Draw(picture)
    down, across = layout.step
    for panel, heading in enumerate(headings):
        at = (layout.left + panel * across, layout.top - 7)
        draw.text(
            at, _shorten(heading, _HEADING, across - 2 * layout.gap), _INK, _HEADING, anchor="ls"
        )
    for row, label in enumerate(labels):
        at = (layout.left - 8, layout.top + row * down + layout.panel_height * layout.factor // 2)
        draw.text(at, label, _INK, _SMALL, anchor="rm")
    for number, line in enumerate(lines):
        draw.text((_MARGIN, bottom + 10 + number * _LEADING), line, _QUIET, _SMALL)
    return picture


def _paste(picture: Image.Image, pixels: Pixels, layout: _Layout) -> None:
    down, across = layout.step
    for row, stitched in enumerate(pixels):
        for panel, tile in enumerate(np.split(stitched, layout.panels, axis=1)):
            at = (layout.left + panel * across, layout.top + row * down)
            picture.paste(Image.fromarray(enlarge(tile, layout.factor)), at)


def _wrap(text: str, width: int) -> list[str]:
    lines: list[list[str]] = [[]]
    left = float(width)
    for word in text.split():
        taken = _SMALL.getlength(f"{word} ")
        if taken > left and lines[-1]:
            lines.append([])
            left = width
        lines[-1].append(word)
        left -= taken
    return [" ".join(words) for words in lines]


def _shorten(text: str, font: Font, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    # The middle goes: names begin with what they share and end with what tells them apart.
    head, tail = text[: len(text) // 3], text[len(text) // 3 :]
    while tail and font.getlength(f"{head}...{tail}") > width:
        head, tail = head[:-1], tail[1:]
    return f"{head}...{tail}"

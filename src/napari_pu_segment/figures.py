"""Overview pictures: titled panels of images, strokes, probabilities and masks, drawn with Pillow alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

POSITIVE_RGB, NEGATIVE_RGB, OUTLINE_RGB = (86, 180, 233), (230, 159, 0), (255, 80, 200)
_INK, _SOFT_INK, _PAPER = (25, 25, 30), (95, 95, 105), (255, 255, 255)
_GAP_PX, _TITLE_PX, _MARGIN_PX = 12, 30, 24
# viridis at eleven equidistant values (matplotlib, CC0)
_VIRIDIS = np.array(
    [
        *((68, 1, 84), (72, 36, 117), (65, 68, 135), (53, 95, 141), (42, 120, 142), (33, 145, 140)),
        *((34, 168, 132), (68, 191, 112), (122, 209, 81), (189, 223, 38), (253, 231, 37)),
    ]
)


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture, uint8 (Y, X, 3), and the line above it."""

    title: str
    picture: np.ndarray


def with_strokes(image: np.ndarray, positive: np.ndarray, negative: np.ndarray | None = None) -> np.ndarray:
    """An image (Y, X, 3) with strokes (Y, X) painted over it."""
    picture = image.copy()
    picture[positive] = POSITIVE_RGB
    if negative is not None:
        picture[negative] = NEGATIVE_RGB
    return picture


def colour(fraction: np.ndarray) -> np.ndarray:
    """Colours (Y, X, 3) of values 0..1 (Y, X), from dark violet to yellow."""
    at = np.linspace(0, 1, len(_VIRIDIS))
    return np.stack([np.interp(fraction, at, channel) for channel in _VIRIDIS.T], axis=-1).astype(np.uint8)


def with_outline(mask: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """A mask (Y, X) in white on black, with the outline of the truth (Y, X)."""
    picture = np.where(mask[..., None] != 0, 235, 18).astype(np.uint8).repeat(3, axis=-1)
    picture[truth ^ ndimage.binary_erosion(truth, iterations=2)] = OUTLINE_RGB
    return picture


def overview(title: str, rows: Sequence[tuple[str, Sequence[Panel]]], side_px: int = 300) -> np.ndarray:
    """Panels in rows.

    Parameters
    ----------
    title : str
    rows : sequence of (str, sequence of Panel)
        What is written above a row, and its panels; all rows have the same number of panels.
    side_px : int
        Side of a panel.

    Returns
    -------
    ndarray, (Y, X, 3), uint8
    """
    n_columns, row_px = len(rows[0][1]), side_px + 2 * _TITLE_PX + _GAP_PX
    width = 2 * _MARGIN_PX + n_columns * (side_px + _GAP_PX) - _GAP_PX
    page = Image.new("RGB", (width, 2 * _MARGIN_PX + 2 * _TITLE_PX + row_px * len(rows)), _PAPER)
    draw = ImageDraw.Draw(page)
    large, small = ImageFont.load_default(24), ImageFont.load_default(16)
    draw.text((_MARGIN_PX, _MARGIN_PX - 6), title, _INK, large)
    for i, (head, panels) in enumerate(rows):
        top = _MARGIN_PX + _TITLE_PX + 6 + i * row_px
        draw.text((_MARGIN_PX, top + 4), head, _SOFT_INK, small)
        for j, panel in enumerate(panels):
            left = _MARGIN_PX + j * (side_px + _GAP_PX)
            draw.text((left, top + _TITLE_PX + 4), panel.title, _INK, small)
            picture = Image.fromarray(panel.picture).resize((side_px, side_px), Image.Resampling.LANCZOS)
            page.paste(picture, (left, top + 2 * _TITLE_PX))
    _legend(page, draw, page.height - _MARGIN_PX - _TITLE_PX + 8)
    return np.asarray(page)


def _legend(page: Image.Image, draw: ImageDraw.ImageDraw, top: int) -> None:
    font, left = ImageFont.load_default(16), _MARGIN_PX
    keys = ("positive strokes", POSITIVE_RGB), ("negative strokes", NEGATIVE_RGB), ("outline of the truth", OUTLINE_RGB)
    for text, key in keys:
        draw.rounded_rectangle((left, top + 4, left + 26, top + 14), 4, fill=key)
        draw.text((left + 34, top), text, _INK, font)
        left += 34 + round(draw.textlength(text, font)) + 36
    draw.text((left, top), "probability  0", _INK, font)
    left += round(draw.textlength("probability  0", font)) + 8
    bar = np.repeat(np.linspace(0, 1, 160)[None], 14, axis=0)
    page.paste(Image.fromarray(colour(bar)), (left, top + 2))
    draw.text((left + 168, top), "1", _INK, font)

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


def keogram_rgb(values: np.ndarray) -> np.ndarray:
    """Colours (L, T, 3) of the image of a keogram (C, L, T): three channels as red, green and blue, others in grey.

    From black to white go the values between which all but 1 % lie.
    """
    shown = values if len(values) == 3 else np.nanmean(values, axis=0, keepdims=True)
    finite = shown[np.isfinite(shown)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    scaled = np.nan_to_num((shown - low) / (high - low if high > low else 1)).clip(0, 1)
    return np.moveaxis(np.broadcast_to(255 * scaled, (3, *scaled.shape[1:])), 0, -1).astype(np.uint8)


def keogram_picture(
    image: np.ndarray, mask: np.ndarray, columns: np.ndarray, ticks: Sequence[tuple[float, str]]
) -> np.ndarray:
    """Image and segmentation of a keogram, one below the other, above a common axis of time.

    Parameters
    ----------
    image : ndarray, (C, L, T)
    mask : ndarray, (L, T)
        From 0, dark violet, to 1, yellow.
    columns : ndarray of integers, (N,)
        The frame that each column of the picture shows; white where it is -1.
    ticks : sequence of (float, str)
        Places along the axis, 0..1, and their texts.

    Returns
    -------
    ndarray, (Y, X, 3), uint8
    """
    rows = [("Image", keogram_rgb(image)), ("Segmentation", colour(mask))]
    grow = max(1, round(200 / len(mask)))  # a short line is drawn thicker
    height = grow * len(mask)
    width = len(columns)
    page = Image.new("RGB", (width + 2 * _MARGIN_PX, 2 * (height + _TITLE_PX) + 2 * _MARGIN_PX), _PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for i, (title, picture) in enumerate(rows):
        top = _MARGIN_PX // 2 + i * (height + _TITLE_PX)
        draw.text((_MARGIN_PX, top + 6), title, _INK, font)
        shown = np.where((columns >= 0)[None, :, None], picture[:, columns], np.uint8(255))
        page.paste(Image.fromarray(shown.repeat(grow, axis=0)), (_MARGIN_PX, top + _TITLE_PX))
    bottom = _MARGIN_PX // 2 + 2 * (height + _TITLE_PX)
    for share, text in ticks:
        x = _MARGIN_PX + round(share * (width - 1))
        draw.line((x, bottom, x, bottom + 4), _INK)
        left = min(max(x - draw.textlength(text, font) / 2, 2), page.width - draw.textlength(text, font) - 2)
        draw.text((left, bottom + 6), text, _INK, font)
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

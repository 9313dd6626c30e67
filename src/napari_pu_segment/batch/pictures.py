"""Small pictures for the report: an image with the outline of its mask, and how values are spread."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from ..core.classes import Thresholds, leading, threshold_mask
from ..core.progress import Progress, Ticker, Work
from ..core.robust import modified_z
from ..core.samples import Array
from ..figures import OUTLINE_RGB

SIDE_PX = 144
_BAND_PX = 1024


def thumbnail(image: Array, result: Array | None = None, threshold: Thresholds = 1.0) -> Work[str]:
    """A small JPEG, in base64: the middle plane of an image (C, ..., Y, X), the outline of a result; see `picture`."""
    pixels = yield from picture(image, result, threshold)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88, subsampling=0)  # outlines are one pixel wide
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def picture(
    image: Array, result: Array | None = None, threshold: Thresholds = 1.0, side_px: int = SIDE_PX
) -> Work[np.ndarray]:
    """A small picture (y, x, 3), uint8: the middle plane of an image (C, ..., Y, X) and the outline of a result.

    The outline is that of the pixels that are objects: of a mask (..., Y, X), or of a probability, of one class or of
    several (K, ..., Y, X), with its threshold. All may be lazy; they are read on a coarse grid.
    """
    step = max(1, max(image.shape[-2:]) // (4 * side_px))
    middle: tuple[int | slice, ...] = tuple(n // 2 for n in image.shape[1:-2])
    looks = yield from _coarse(image, (slice(0, 3 if image.shape[0] == 3 else 1), *middle), step)
    scale = min(1.0, side_px / max(looks.shape[-2:]))
    size = tuple(max(1, round(n * scale)) for n in looks.shape[:-3:-1])
    small = Image.fromarray(_grey_or_rgb(looks.astype(np.float32))).resize(size, Image.Resampling.BOX)
    pixels = np.asarray(small.convert("RGB")).copy()
    if result is not None:
        values = yield from _coarse(result, (*leading(threshold), *middle), step)
        inside = (threshold_mask(values, threshold) > 0).astype(np.uint8) * 255
        covered = np.asarray(Image.fromarray(inside).resize(size, Image.Resampling.BOX)) > 127
        pixels[covered ^ ndimage.binary_erosion(covered, border_value=1)] = OUTLINE_RGB
    return pixels


def _coarse(array: Array, place: tuple[int | slice, ...], step: int) -> Work[np.ndarray]:
    """Every so many rows and columns of a plane; read in bands, so that no large plane is held."""
    rows, band = array.shape[-2], step * max(1, _BAND_PX // step)
    windows = [slice(start, min(start + band, rows), step) for start in range(0, rows, band)]
    found, ticker = [], Ticker(waits=True)
    for i, window in enumerate(windows):
        if ticker.due():
            yield Progress(i, len(windows), "Making a small picture")
        found.append(np.asarray(array[(*place, window, slice(None, None, step))]))
    return np.concatenate(found, axis=-2)


def _grey_or_rgb(looks: np.ndarray) -> np.ndarray:
    """Channels (C, Y, X) as uint8 (Y, X) or (Y, X, 3), stretched between their percentiles."""
    stretched = []
    for channel in looks:
        finite = channel[np.isfinite(channel)]
        low, high = np.percentile(finite, (1, 99.8)) if finite.size else (0.0, 1.0)
        wide = (np.nan_to_num(channel, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-30)
        stretched.append((255 * np.clip(wide, 0, 1)).astype(np.uint8))
    return stretched[0] if len(stretched) == 1 else np.stack(stretched, axis=-1)


def outliers(values: Sequence[float], limit: float = 3.5) -> list[bool]:
    """Which values stand apart from the others: whose `modified_z` is over 3.5, up or down."""
    return [bool(one) for one in np.abs(modified_z(np.asarray(values))) > limit]


def histogram(values: Sequence[float], title: str, marked: Collection[float] = ()) -> str:
    """How values are spread, as an SVG; `marked` ones have a tick below the axis."""
    width, height, left, bottom = 420, 170, 12, 34
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    counts, _ = np.histogram(values, bins=24, range=(low, low + span))
    top, wide = max(int(counts.max()), 1), (width - 2 * left) / len(counts)
    floor = height - bottom
    bars = "".join(
        f'<rect x="{left + i * wide:.1f}" y="{floor - (floor - 24) * n / top:.1f}" width="{wide - 1:.1f}" '
        f'height="{(floor - 24) * n / top:.1f}" class="bar"/>'
        for i, n in enumerate(counts)
    )
    ticks = "".join(
        f'<rect x="{left + (width - 2 * left) * min((value - low) / span, 1) - 1:.1f}" y="{floor + 2}" width="2" '
        'height="8" class="mark"/>'
        for value in sorted(marked)
    )
    ends = (
        f'<text x="{left}" y="{height - 8}">{low:.4g}</text>'
        f'<text x="{width - left}" y="{height - 8}" text-anchor="end">{high:.4g}</text>'
    )
    head = f'<text x="{left}" y="15" class="head">{title}; tallest bar: {top} file(s)</text>'
    axis = f'<line x1="{left}" y1="{floor}" x2="{width - left}" y2="{floor}" class="axis"/>'
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{head}{bars}{axis}{ticks}{ends}</svg>'

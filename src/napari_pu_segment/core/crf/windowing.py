"""Where a dense CRF works: which planes or volumes of an image stand on their own, and the windows of large ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..compute.regions import Slices, grown

WHOLE_PX = 2048
"""A plane with a longer side is refined in windows; so is a volume of more than `WHOLE_PX` squared voxels."""

WINDOW_PX = (1024, 1024)
"""Sides of a window of a plane; windows begin at their multiples."""

VOLUME_WINDOW_PX = (32, 128, 128)
"""Sides of a window of a volume."""

_HALO_RANGE_PX, _VOLUME_HALO_PX = (32, 256), 16
_SAMPLES = {2: (4, 512), 3: (3, 64)}  # of the probability of a large plane or volume: windows along an axis, and side


@dataclass(frozen=True)
class Window:
    """A window of a plane or volume: `inner` is where its result goes, `outer` what is read for it; `[Z,] Y, X`."""

    inner: Slices
    outer: Slices


def own_ndim(axes: str, planewise: bool) -> int:
    """How many of the last axes belong to one CRF: 3 where planes are refined together, else 2; never time."""
    return 3 if "Z" in axes and not planewise else 2


def is_whole(shape: Sequence[int]) -> bool:
    """Whether a plane or volume of this shape ([Z,] Y, X) is refined in one piece."""
    return max(shape) <= WHOLE_PX if len(shape) == 2 else math.prod(shape) <= WHOLE_PX**2


def halo_px(ndim: int, width_px: float) -> int:
    """Context around a window, from the widest kernel's standard deviation: twice that, 32 to 256 px; 16 in volumes.

    Kernels weigh little beyond two standard deviations. What lies still further away, and what five updates carry from
    there, changes less than one pixel in 100,000 (docs/algorithms.md gives figures).
    """
    low, high = _HALO_RANGE_PX
    return _VOLUME_HALO_PX if ndim == 3 else min(max(low, math.ceil(2 * width_px)), high)


def windows(shape: Sequence[int], region: Slices, width_px: float) -> list[Window]:
    """The windows of a plane or volume of `shape` ([Z,] Y, X) that touch a region, in reading order.

    They depend on the shape alone, so that any two regions agree where they meet.
    """
    halo = [halo_px(len(shape), width_px)] * len(shape)
    along = []
    for n, side, part in zip(shape, window_sides(shape), region, strict=True):
        starts = range(part.start // side * side, part.stop, side)
        along.append([slice(a, min(a + side, n)) for a in starts])
    return [Window(inner, grown(inner, halo, shape)) for inner in itertools.product(*along)]


def window_sides(shape: Sequence[int]) -> list[int]:
    """Sides of the windows of a plane or volume; one that is refined in one piece has a single window."""
    if is_whole(shape):
        return list(shape)
    return [min(n, side) for n, side in zip(shape, WINDOW_PX if len(shape) == 2 else VOLUME_WINDOW_PX, strict=True)]


def samples(shape: Sequence[int]) -> Iterator[Slices]:
    """Small windows at regular places of a large plane or volume, to measure its probability by."""
    count, side = _SAMPLES[len(shape)]
    along = []
    for n in shape:
        starts = np.arange(0, n, side) if n <= count * side else np.linspace(0, n - side, count).round().astype(int)
        along.append([slice(int(a), int(min(a + side, n))) for a in starts])
    return itertools.product(*along)


def overlap(window: Window, region: Slices) -> tuple[Slices, Slices]:
    """Where the inner part of a window meets a region: counted from the region's beginning, and from the window's."""
    met = [slice(max(i.start, r.start), min(i.stop, r.stop)) for i, r in zip(window.inner, region, strict=True)]
    within = tuple(slice(m.start - r.start, m.stop - r.start) for m, r in zip(met, region, strict=True))
    own = tuple(slice(m.start - o.start, m.stop - o.start) for m, o in zip(met, window.outer, strict=True))
    return within, own

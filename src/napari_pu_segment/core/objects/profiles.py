"""How the light of objects is spread around their middles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..samples import Array

RINGS = (0.0, 1.5, 2.5, 3.5, 5.0, 7.0)  # radii between which light is averaged, in steps
_REACH = 12  # half the side of what is looked at, in steps
_TYPICAL = 10  # steps across a typical object


def step_px(diameters: np.ndarray) -> float:
    """Length of a step, in pixels: a tenth of the median of these diameters (n,), in pixels, and one at least."""
    return max(1.0, float(np.median(diameters)) / _TYPICAL)


def profile(image: Array, objects: np.ndarray, label: int, centre: Sequence[float], step: float) -> np.ndarray:
    """The light of an object and of what is around it, (C, R): shape and colour, whatever its brightness or direction.

    From each channel the median of what is no object is taken away. Of the rest, means over rings around the middle of
    the object's light are divided by those of the brightest ring (by their absolute values, added up over channels).
    How large the object was drawn has little to do with it.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
        What is not finite counts as background.
    objects : ndarray of integers, ([T,] [Z,] Y, X)
    label : int
        Of the object; pixels of others are left out.
    centre : sequence of float, ([T,] [Z,] Y, X)
        Its middle; frame and plane are whole numbers, and only that plane is looked at.
    step : float
        Pixels in the unit of `RINGS`.
    """
    reach = round(_REACH * step)
    window = tuple(slice(max(0, round(at) - reach), round(at) + reach + 1) for at in centre[-2:])
    place: tuple[Any, ...] = (*(int(at) for at in centre[:-2]), *window)
    names, values = objects[place], np.array(image[(slice(None), *place)], np.float64)
    known = np.isfinite(values)
    for channel, good in zip(values, known, strict=True):
        empty = channel[good & (names <= 0)]
        channel -= np.median(empty) if empty.size else 0.0
    values[~known] = 0
    away = _away(np.abs(values).sum(0) * (names == label)) / step
    away[(names > 0) & (names != label)] = np.inf
    n_rings = len(RINGS) - 1
    ring = np.digitize(away.ravel(), RINGS) - 1  # n_rings beyond the last
    counts = np.bincount(ring, minlength=n_rings + 1)[:n_rings]
    sums = np.array([np.bincount(ring, channel.ravel(), n_rings + 1)[:n_rings] for channel in values])
    means = sums / np.maximum(counts, 1)
    return np.asarray(means / max(np.abs(means).max(1).sum(), np.finfo(np.float32).tiny))


def _away(light: np.ndarray) -> np.ndarray:
    """How far pixels (Y, X) are from the middle of the light."""
    axes = [np.arange(n) for n in light.shape]
    weights = light if light.any() else np.ones(light.shape)
    y, x = (weights.sum(1 - i) @ axis / weights.sum() for i, axis in enumerate(axes))
    return np.asarray(np.hypot(axes[0][:, None] - y, axes[1] - x))

"""Robust intensity normalisation. The statistics belong to the model, never to the tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..progress import Work
from ..samples import Sample
from .sampling import values

Transform = Literal["linear", "asinh"]
Statistics = Literal["training", "image"]
AskedStatistics = Literal["auto", "training", "image"]
TRANSFORMS = {"linear": "Linear", "asinh": "Asinh (astronomy)"}


class ChannelStats(BaseModel):
    """How one channel is brought to about 0..1.

    ``linear``: (x - low) / (high - low). ``asinh``: arcsinh((x - low) / softening), scaled so that `high` becomes 1;
    it keeps faint sources visible beside bright ones (Lupton et al. 1999, AJ 118:1406). Both are clipped
    to -1..2, so that one hot pixel cannot outweigh the image. `low`, `high` and `softening` are in the image's units.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    low: float
    high: float
    softening: float
    transform: Transform

    def apply(self, channel: np.ndarray) -> np.ndarray:
        """Normalised float32 copy of one channel; NaN and infinity become `low`, that is 0."""
        values = channel.astype(np.float64)  # float32 overflows on astronomical units such as 1e-12 squared
        values = np.where(np.isfinite(values), values, self.low) - self.low
        if self.transform == "asinh":
            values = np.arcsinh(values / self.softening) / np.arcsinh((self.high - self.low) / self.softening)
        else:
            values = values / (self.high - self.low)
        return np.clip(values, -1.0, 2.0).astype(np.float32)


def normalise(image: np.ndarray, stats: Sequence[ChannelStats]) -> np.ndarray:
    """Normalised float32 image (C, ...) of an image (C, ...)."""
    return np.stack([stat.apply(channel) for channel, stat in zip(image, stats, strict=True)])


def measure(samples: Sequence[Sample], transform: str = "linear") -> Work[tuple[ChannelStats, ...]]:
    """Statistics of each channel over all samples.

    `low` and `high` are the 1st and 99.5th percentile of the finite values that are not ignored, of about a million
    pixels an image taken on a regular grid; see `sampling.values`. `softening` is the robust noise level: 1.4826 times
    the median absolute deviation. A constant channel gets a range of one unit, so that it becomes 0 everywhere.
    """
    grids = []
    for sample in samples:
        grids.append((yield from values(sample.image, sample.labels)))
    return tuple(_channel([grid[c] for grid in grids], transform) for c in range(samples[0].image.shape[0]))


def ranges(sample: Sample) -> Work[tuple[tuple[float, float], ...]]:
    """The 1st and the 99th percentile of each channel's finite values, read on the same regular grid; 0, 0 if none."""
    parts = [part[np.isfinite(part)] for part in (yield from values(sample.image, sample.labels))]
    ends = [np.percentile(part, [1, 99]) if part.size else (0.0, 0.0) for part in parts]
    return tuple((float(low), float(high)) for low, high in ends)


def _channel(parts: list[np.ndarray], transform: str) -> ChannelStats:
    seen = np.concatenate([part[np.isfinite(part)] for part in parts])
    if seen.size == 0:
        seen = np.zeros(1)
    low, median, high = (float(v) for v in np.percentile(seen, [1, 50, 99.5]))
    spread = float(np.median(np.abs(seen - median))) * 1.4826
    if not high > low:  # constant, or nearly so: fall back to the full range
        low, high = float(seen.min()), float(seen.max())
    if not high > low:
        high = low + 1.0
    return ChannelStats(
        low=low,
        high=high,
        softening=spread if spread > 0 else high - low,
        transform="asinh" if transform == "asinh" else "linear",
    )

"""Images that training patches are cut from: small ones are read whole, of large ones what is asked for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..images.intensity import ChannelStats, normalise
from ..images.sampling import is_large, usable, windows
from ..samples import Sample

_BLOCK_PX = 64  # side of a block of a large image, in rows and columns; 16 planes or time points of it are one
_KEPT_BYTES = 2**28  # of a large image's blocks


class PatchImage:
    """A normalised image, and which of its pixels may be trained on.

    Parameters
    ----------
    sample : Sample
    stats : sequence of ChannelStats
    """

    def __init__(self, sample: Sample, stats: Sequence[ChannelStats]) -> None:
        self.shape = sample.spatial_shape
        self._sample, self._stats = sample, stats
        self._windows = windows(self.shape) if is_large(self.shape) else []
        self._sides = [16] * (len(self.shape) - 2) + [_BLOCK_PX] * 2
        self._block = lru_cache(_KEPT_BYTES // (4 * math.prod(self._sides) * (len(stats) + 1)))(self._load_block)
        self._whole = None if self._windows else self._load(tuple(slice(0, n) for n in self.shape))

    def anywhere(self, patch: Sequence[int], rng: np.random.Generator) -> list[int]:
        """Where a patch of some sides begins: any pixel is as often in it as any other.

        Patches may hang over the edge, so that a pixel in a corner is seen as often as one in the middle.
        """
        if not self._windows:
            return [int(rng.integers(1 - side, n)) for n, side in zip(self.shape, patch, strict=True)]
        window = self._windows[rng.integers(len(self._windows))]
        return [int(rng.integers(w.start, w.stop)) - side // 2 for w, side in zip(window, patch, strict=True)]

    def cut(self, starts: Sequence[int], patch: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """A patch (C, ...) float32, mirrored beyond the image's edge, and which pixels of it may be trained on."""
        places = [np.arange(start, start + side) for start, side in zip(starts, patch, strict=True)]
        found = [_mirrored(place, n) for place, n in zip(places, self.shape, strict=True)]
        window = tuple(slice(int(at.min()), int(at.max()) + 1) for at in found)
        part = self._read(window)
        for axis, (at, place, n) in enumerate(zip(found, places, self.shape, strict=True)):
            part = part.take(at - window[axis].start, axis + 1)
            inside = ((place >= 0) & (place < n)).reshape(-1, *(1,) * (len(patch) - 1 - axis))
            part[-1] *= inside
        return part[:-1], part[-1] > 0

    def _read(self, window: tuple[slice, ...]) -> np.ndarray:
        """A window (C + 1, ...) of the image, with 1 where pixels may be trained on behind its channels."""
        if self._whole is not None:
            return self._whole[(slice(None), *window)]
        out = np.empty((len(self._stats) + 1, *(part.stop - part.start for part in window)), np.float32)
        ranges = [
            range(part.start // side, -(-part.stop // side)) for part, side in zip(window, self._sides, strict=True)
        ]
        for corner in itertools.product(*ranges):
            block = self._place(corner)
            both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(block, window, strict=True)]
            there = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(both, window, strict=True))
            here = tuple(slice(b.start - a.start, b.stop - a.start) for b, a in zip(both, block, strict=True))
            out[(slice(None), *there)] = self._block(corner)[(slice(None), *here)]
        return out

    def _place(self, corner: Sequence[int]) -> tuple[slice, ...]:
        numbers = zip(corner, self._sides, self.shape, strict=True)
        return tuple(slice(i * side, min((i + 1) * side, n)) for i, side, n in numbers)

    def _load_block(self, corner: tuple[int, ...]) -> np.ndarray:
        return self._load(self._place(corner))

    def _load(self, window: tuple[slice, ...]) -> np.ndarray:
        image = normalise(np.asarray(self._sample.image[(slice(None), *window)]), self._stats)
        return np.concatenate([image, usable(self._sample, window)[None].astype(np.float32)])


def _mirrored(places: np.ndarray, n: int) -> np.ndarray:
    """Indices along an axis of `n` pixels, where beyond the edge it is mirrored, the outermost pixel twice."""
    around = places % (2 * n)
    return np.where(around < n, around, 2 * n - 1 - around)

"""Where places are looked for: in the whole image, or in the part of a large one that is on screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.suggest import Suggestion

from ..viewer.boxes import Box
from ..viewer.snapshots import Snapshot

SIDE_PX = 2048  # of the part that is looked at


@dataclass(frozen=True, eq=False)
class Scope:
    """What is looked at.

    Parameters
    ----------
    snapshot : Snapshot
    probability, previous : array, ([T,] [Z,] Y, X)
        Of the present result and the one before; the latter may be None.
    skipped : sequence of points
    part : tuple of slice, or None
        The part of the image; None: all.
    """

    snapshot: Snapshot
    probability: Any
    previous: Any
    skipped: Sequence[Sequence[float]]
    part: Box | None = None

    def narrowed(self, window: Sequence[slice] | None) -> Scope:
        """The middle of what is on screen, or of the image, at most `SIDE_PX` high and wide, of one plane or time."""
        shape = self.probability.shape
        seen = window or [slice(0, n) for n in shape]
        middles = [(part.start + part.stop) // 2 for part in seen]
        sides = [1] * (len(shape) - 2) + [SIDE_PX, SIDE_PX]
        starts = [max(0, min(at - side // 2, n - side)) for at, side, n in zip(middles, sides, shape, strict=True)]
        part = tuple(slice(a, min(a + side, n)) for a, side, n in zip(starts, sides, shape, strict=True))
        read = [None if array is None else np.asarray(array[part]) for array in (self.probability, self.previous)]
        shifted = [tuple(np.subtract(point, starts)) for point in self.skipped]
        return Scope(self.snapshot, read[0], read[1], shifted, part)

    def held(self) -> Scope:
        """The same, in memory."""
        read = [None if array is None else np.asarray(array) for array in (self.probability, self.previous)]
        return replace(self, probability=read[0], previous=read[1])

    def sample(self) -> Sample:
        """The image, or its part, and the strokes."""
        sample = self.snapshot.sample()
        if self.part is None:
            return sample
        labels = None if sample.labels is None else sample.labels[self.part]
        return replace(sample, image=np.asarray(sample.image[(slice(None), *self.part)]), labels=labels)

    def rough(self) -> np.ndarray | None:
        """Label codes of the rough mask, or of its part, where there is one."""
        codes = self.snapshot.rough_codes()
        return codes if codes is None or self.part is None else codes[self.part]

    def placed(self, places: list[Suggestion]) -> list[Suggestion]:
        """Places where they are in the whole image."""
        if self.part is None:
            return places
        corner = [part.start for part in self.part]
        moved = [tuple(int(a + b) for a, b in zip(place.centre, corner, strict=True)) for place in places]
        return [replace(place, centre=centre) for place, centre in zip(places, moved, strict=True)]

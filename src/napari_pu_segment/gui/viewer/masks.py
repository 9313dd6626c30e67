"""Masks of large probabilities, found when they are looked at; and large arrays as napari is given them."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_pu_segment.core.classes import Thresholds, leading, threshold_mask
from napari_pu_segment.core.samples import IGNORE

from .boxes import Lazily, box_of
from .stores import LARGE_PX, LargeArray, Stacked


class Thresholded(Lazily):
    """Where a probability reaches a threshold, found when it is looked at."""

    dtype = np.dtype(np.uint8)

    def __init__(self, probability: Any, threshold: Thresholds, labels: np.ndarray | None) -> None:
        self.probability, self.threshold, self._labels = probability, threshold, labels
        self.shape: tuple[int, ...] = tuple(probability.shape[len(leading(threshold)) :])

    def __getitem__(self, key: Any) -> Any:
        box, then = box_of(key, self.shape)
        labels = None if self._labels is None else self._labels[box]
        return threshold_mask(np.asarray(self.probability[(*leading(self.threshold), *box)]), self.threshold, labels)[
            then
        ]


class LargeMask(Thresholded):
    """Where a large probability reaches a threshold, found when it is looked at: a slider moves it at once.

    Parameters
    ----------
    probability : LargeArray, ([T,] [Z,] Y, X), or Stacked, (K, [T,] [Z,] Y, X)
    threshold : float, or a tuple of K
    labels : ndarray of label codes, of that shape, or None
        What is to be ignored is left out.
    """

    def __init__(self, probability: LargeArray | Stacked, threshold: Thresholds, labels: np.ndarray | None) -> None:
        seen: list[np.ndarray | None] = [None] * len(probability.factors)
        if labels is not None and has_ignored(labels):
            seen = [labels, *(labels[..., f // 2 :: f, f // 2 :: f].copy() for f in probability.factors[1:])]
        self._take(probability, threshold, seen)

    def at(self, threshold: Thresholds) -> LargeMask:
        """The mask at another threshold."""
        other = LargeMask.__new__(LargeMask)
        other._take(self.probability, threshold, self._seen)
        return other

    def _take(self, probability: LargeArray | Stacked, threshold: Thresholds, seen: list[np.ndarray | None]) -> None:
        super().__init__(probability, threshold, seen[0])
        self._seen = seen
        levels = zip(probability.levels[1:], seen[1:], strict=True)
        self._coarse: list[Any] = [Thresholded(level, threshold, labels) for level, labels in levels]
        # Of a plane napari reads the coarsest level once and keeps it: that one must be an array that changes in place.
        self._kept = self._coarse[-1][...] if self._coarse and len(self.shape) == 2 else None

    @property
    def levels(self) -> list[Any]:
        """The mask, and those of the coarse copies of the probability."""
        return [self, *self._coarse] if self._kept is None else [self, *self._coarse[:-1], self._kept]

    def follow(self) -> None:
        """Bring what is kept up to date with the probability; before it is drawn again."""
        if self._kept is not None:
            self._kept[...] = self._coarse[-1][...]


class Widened(Lazily):
    """A large array with axes of length one added, as the layer of its image has them.

    Parameters
    ----------
    array : array
    shape : tuple of int
        The same but for axes of length one among the leading ones.
    """

    def __init__(self, array: Any, shape: tuple[int, ...]) -> None:
        self._array, self.shape, self.dtype = array, shape, array.dtype
        left = list(array.shape[:-2])
        self._keeps = [bool(left) and n == left[0] and (left.pop(0) or True) for n in shape[:-2]]

    def __getitem__(self, key: Any) -> Any:
        box, then = box_of(key, self.shape)
        inner = [part for part, keeps in zip(box[:-2], self._keeps, strict=True) if keeps]
        block = np.asarray(self._array[(*inner, *box[-2:])])
        return block.reshape([part.stop - part.start for part in box])[then]


def follow(array: Any) -> None:
    """Make ready an array that changed in place, so that it can be drawn again."""
    if isinstance(array, LargeMask):
        array.follow()


def displayed(array: Any, shape: tuple[int, ...]) -> Any:
    """What a layer of a spatial shape is given to show an array: itself, or a list of levels."""
    levels = getattr(array, "levels", [array])
    if len(levels) == 1 and isinstance(array, np.ndarray):
        return array.reshape(shape)
    fitted = [
        level if len(level.shape) == len(shape) else Widened(level, (*shape[:-2], *level.shape[-2:]))
        for level in levels
    ]
    return fitted if len(fitted) > 1 else fitted[0]


def has_ignored(labels: np.ndarray) -> bool:
    """Whether any pixel is to be ignored."""
    planes = labels.reshape(-1, *labels.shape[-2:])
    rows = max(1, LARGE_PX // labels.shape[-1])
    return any(bool((plane[i : i + rows] == IGNORE).any()) for plane in planes for i in range(0, len(plane), rows))

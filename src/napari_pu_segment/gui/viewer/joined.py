"""Layers that are read when they are looked at: as lazy images, and several of them as one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from napari_pu_segment.io.lazy import LazyImage
from napari_pu_segment.io.source import Source, Window

from .boxes import box_of, chunk_box, pieces

MOST_PX = 2**24  # of a window or a chunk of dask; larger ones are left to it, which reads their parts at the same time


class Joined:
    """Lazy images (C, [T,] [Z,] Y, X) one after the other along the channels; what a slice covers is read.

    Parameters
    ----------
    images : sequence of array
        Of one shape but for the channels.
    """

    def __init__(self, images: Sequence[Any]) -> None:
        self._images = list(images)
        self.shape: tuple[int, ...] = (sum(image.shape[0] for image in images), *images[0].shape[1:])
        self.dtype = np.result_type(*(image.dtype for image in images))
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (channel for image in self._images for channel in image)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole: np.ndarray = self[...]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int):
            return list(self)[key]
        box, then = box_of(key, self.shape)
        parts, first = [], 0
        for image in self._images:
            n = image.shape[0]
            own = slice(max(0, box[0].start - first), min(n, box[0].stop - first))
            if own.start < own.stop:
                parts.append(np.asarray(image[(own, *box[1:])]))
            first += n
        return np.concatenate(parts).astype(self.dtype, copy=False)[then]


def joined(images: Sequence[Any]) -> Any:
    """Images one after the other along the channels: as numpy does it, where they all are in memory."""
    if len(images) == 1:
        return images[0]
    return np.concatenate(images) if all(isinstance(image, np.ndarray) for image in images) else Joined(images)


class _Layer(Source):
    """What lies in a layer that is neither numpy nor dask, such as a zarr array."""

    def __init__(self, array: Any, where: str, blocks: Sequence[int] | None = None) -> None:
        blocks = getattr(array, "chunks", None) if blocks is None else blocks
        if blocks is None or len(blocks) != len(array.shape) or not all(isinstance(n, int) for n in blocks):
            blocks = [*(1 for _ in array.shape[:-2]), *(512 for _ in array.shape[-2:])]
        super().__init__(array.shape, array.dtype, blocks, where)
        self._array = array

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window."""
        return np.asarray(self._array[window])


class _DaskLayer(_Layer):
    """A dask array: a chunk is kept for a while, which dask would compute anew for each part of it that is read."""

    def __init__(self, array: Any, where: str) -> None:
        super().__init__(array, where, [int(max(sizes)) for sizes in array.chunks])

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window."""
        sides = [part.stop - part.start for part in window]
        if max(math.prod(sides), math.prod(self.blocks)) > MOST_PX:
            return super().read(window)
        out = np.empty(sides, self.stored)
        for index, inner, outer in pieces(window, self.blocks):
            box = chunk_box(index, self.blocks, self.shape)
            out[outer] = self._cached(index, partial(super().read, box))[inner]
        return out


def lazy(array: Any, name: str) -> Any:
    """An array that can be transposed without being read: as it is, or a lazy image of it."""
    if hasattr(array, "dask"):
        return LazyImage.of(_DaskLayer(array, f"The layer {name!r}"))
    return array if hasattr(array, "transpose") else LazyImage.of(_Layer(array, f"The layer {name!r}"))

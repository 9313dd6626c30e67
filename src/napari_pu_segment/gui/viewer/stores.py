"""Results of large images: on disk instead of in memory, shown while they fill, coarse where one looks from afar."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_pu_segment.core.compute.temporary import remove
from napari_pu_segment.io import Output, create_output

from . import scratch
from .boxes import Box, Lazily, box_of, chunk_box, pieces

LARGE_PX = 2**25  # images of more pixels have their results on disk
COARSE_PX = 2048  # the coarsest view of a plane is no longer than that
STEP = 4  # from one view to the next
_CACHED_BYTES = 2**26  # chunks that are kept in memory, of each array


def is_large(shape: Sequence[int]) -> bool:
    """Whether results of an image of that spatial shape go to disk."""
    return math.prod(shape) > LARGE_PX


class Coarse:
    """Coarse copies of the planes of an array, on disk, which follow what is told of it; each takes every fourth pixel.

    Parameters
    ----------
    folder : Path
    shape : tuple of int, ([T,] [Z,] Y, X)
        Of the array.
    dtype : dtype

    Attributes
    ----------
    factors : list of int
        How many pixels of the array one of a copy stands for, along rows and columns.
    levels : list of ndarray
        Each at most as long as the one before by `STEP`; none where the planes are small.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: Any) -> None:
        self.factors = _factors(shape)
        self.levels: list[np.ndarray] = []
        for factor in self.factors:
            coarse = (*shape[:-2], *(_coarse(n, factor) for n in shape[-2:]))
            self.levels.append(scratch.new_array(folder / f"coarse{factor}", coarse, dtype))

    def put(self, box: Box, block: np.ndarray) -> None:
        """Take over a part of the array."""
        for factor, level in zip(self.factors, self.levels, strict=True):
            rows, columns = (_sampled(part, factor) for part in box[-2:])
            level[(*box[:-2], rows[0], columns[0])] = block[..., rows[1], columns[1]]


class LargeArray(Lazily):
    """An array on disk, ([T,] [Z,] Y, X), zero where it has not been written.

    It is an OME-Zarr image in a temporary folder, which goes with the last reference to it. Beside it lie coarse copies
    of its planes, which follow what is written, and from which napari draws where one has zoomed out.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype
    what : str
        What it is, as the beginning of a sentence for errors.

    Raises
    ------
    InputError
        If there is no room for it.
    """

    def __init__(self, shape: Sequence[int], dtype: Any, what: str) -> None:
        self.shape, self.dtype = tuple(int(n) for n in shape), np.dtype(dtype)
        folder = scratch.new_folder(math.prod(self.shape) * self.dtype.itemsize, what)
        weakref.finalize(self, remove, folder)
        self._output = create_output(folder / "result.ome.zarr", self.shape, self.dtype)
        self.chunks = tuple(self._output.block_px)
        self._coarse = Coarse(folder, self.shape, self.dtype)
        self.written: set[tuple[int, ...]] = set()  # chunks
        self._versions: dict[tuple[int, ...], int] = {}
        kept = max(1, _CACHED_BYTES // (math.prod(self.chunks) * self.dtype.itemsize))
        self._chunk = lru_cache(kept)(partial(_read, self._output))

    @property
    def levels(self) -> list[Any]:
        """The array and its coarse copies."""
        return [self, *self._coarse.levels]

    @property
    def factors(self) -> list[int]:
        """How many pixels one of each level stands for."""
        return [1, *self._coarse.factors]

    def __getitem__(self, key: Any) -> Any:
        box, then = box_of(key, self.shape)
        out = np.zeros([part.stop - part.start for part in box], self.dtype)
        for index, inner, outer in pieces(box, self.chunks):
            if index in self.written:
                out[outer] = self._chunk(index, self._versions.get(index, 0))[inner]
        return out[then]

    def __setitem__(self, key: Any, value: Any) -> None:
        box, then = box_of(key, self.shape)
        if any(part != slice(None, None, 1) for part in then):
            raise IndexError("A large array is written in boxes.")
        sides = [part.stop - part.start for part in box]
        block = np.broadcast_to(np.asarray(value, self.dtype), sides)
        self._output[box] = block
        for index, _, _ in pieces(box, self.chunks):
            self._versions[index] = self._versions.get(index, 0) + 1
            self.written.add(index)
        self._coarse.put(box, block)


class Stacked(Lazily):
    """Large arrays of one form beside each other, (K, [T,] [Z,] Y, X): of each class one.

    Parameters
    ----------
    parts : sequence of LargeArray, or of their coarse copies
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = list(parts)
        self.shape, self.dtype = (len(self.parts), *self.parts[0].shape), self.parts[0].dtype

    @property
    def levels(self) -> list[Any]:
        """The stack, and those of coarse copies."""
        return [self, *map(Stacked, zip(*(part.levels[1:] for part in self.parts), strict=True))]

    @property
    def factors(self) -> list[int]:
        """How many pixels one of each level stands for."""
        return list(self.parts[0].factors)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Of one part."""
        return tuple(self.parts[0].chunks)

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, slice):
            return np.stack([np.asarray(part[tuple(rest)]) for part in self.parts[first]])
        return self.parts[first][tuple(rest)]

    def __setitem__(self, key: Any, values: Any) -> None:
        first, *rest = key
        for part, block in zip(self.parts[first], values, strict=True):
            part[tuple(rest)] = block


def _read(output: Output, index: tuple[int, ...], _version: int) -> np.ndarray:
    return output[chunk_box(index, output.block_px, output.shape)]


def _factors(shape: tuple[int, ...]) -> list[int]:
    found, factor = [], 1
    while max(shape[-2:]) / factor > COARSE_PX:
        factor *= STEP
        found.append(factor)
    return found


def _coarse(n: int, factor: int) -> int:
    return max(1, -(-(n - factor // 2) // factor))


def _sampled(part: slice, factor: int) -> tuple[slice, slice]:
    """Which coarse pixels have their middle in a part of an axis, and where in the part these middles are."""
    first, end = (-(-(place - factor // 2) // factor) for place in (part.start, part.stop))
    first = max(first, 0)
    begin = first * factor + factor // 2 - part.start
    return slice(first, max(first, end)), slice(begin, begin + factor * max(0, end - first), factor)

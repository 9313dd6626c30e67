"""Strokes on images too large for an array of their own: only the chunks that were painted on are held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .boxes import Box, Lazily, box_of, chunk_box, pieces

CHUNK_PX = 512


class SparseLabels(Lazily):
    """An array of uint8 that napari paints on as on any other, zero where nobody painted.

    A dab of the brush takes as long as on a numpy array; on a zarr array, of which napari writes whole chunks, it takes
    twenty times as long. Copies share their chunks with the original until one of them is painted on, so that a
    snapshot of a large layer costs no more than a dictionary.

    Parameters
    ----------
    shape : sequence of int, ([T,] [Z,] Y, X)

    Attributes
    ----------
    version : int
        Rises with every change.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.version = 0
        self._chunk = (*(1 for _ in self.shape[:-2]), CHUNK_PX, CHUNK_PX)
        self._chunks: dict[tuple[int, ...], np.ndarray] = {}
        self._shared: set[tuple[int, ...]] = set()  # chunks that a copy holds too: replaced, not written

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole: np.ndarray = self[...]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        if (points := _points(key, self.shape)) is not None:
            return self._read_points(points)
        box, then = box_of(key, self.shape)
        out = np.zeros([part.stop - part.start for part in box], np.uint8)
        for chunk, inner, outer in pieces(box, self._chunk):
            if chunk in self._chunks:
                out[outer] = self._chunks[chunk][inner]
        return out[then]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.version += 1
        if (points := _points(key, self.shape)) is not None:
            self._write_points(points, np.asarray(value, np.uint8))
            return
        box, then = box_of(key, self.shape)
        block = self[box]
        block[then] = value
        for chunk, inner, outer in pieces(box, self._chunk):
            piece = block[outer]
            if chunk in self._chunks or piece.any():
                self._own(chunk)[inner] = piece

    def copy(self) -> SparseLabels:
        """A copy that later painting does not change, nor it the original."""
        twin = SparseLabels(self.shape)
        twin.version, twin._chunks = self.version, dict(self._chunks)
        twin._shared = set(twin._chunks)
        self._shared = set(self._chunks)
        return twin

    def any(self) -> bool:
        """Whether anything is painted."""
        return any(chunk.any() for chunk in self._chunks.values())

    def blocks(self) -> Iterator[tuple[Box, np.ndarray]]:
        """Painted parts: where they lie, and what is there; each within the array and not empty."""
        for index, chunk in sorted(self._chunks.items()):
            box = chunk_box(index, self._chunk, self.shape)
            block = chunk[tuple(slice(0, part.stop - part.start) for part in box)]
            if block.any():
                yield box, block

    def same(self, other: SparseLabels) -> bool:
        """Whether the same is painted."""
        if self.shape != other.shape:
            return False
        empty = np.zeros(self._chunk, np.uint8)
        return all(
            (mine := self._chunks.get(index, empty)) is (its := other._chunks.get(index, empty))
            or np.array_equal(mine, its)
            for index in {*self._chunks, *other._chunks}
        )

    def _own(self, index: tuple[int, ...]) -> np.ndarray:
        """A chunk that may be written to."""
        if index not in self._chunks:
            self._chunks[index] = np.zeros(self._chunk, np.uint8)
        elif index in self._shared:
            self._chunks[index] = self._chunks[index].copy()
        self._shared.discard(index)
        return self._chunks[index]

    def _groups(self, points: np.ndarray) -> Iterator[tuple[tuple[int, ...], tuple[np.ndarray, ...], np.ndarray]]:
        """Points (axes, n) by chunk: its index, where in it they lie, and which of them these are."""
        side = np.array(self._chunk)[:, None]
        chunks, which = np.unique(points // side, axis=1, return_inverse=True)
        for number, index in enumerate(chunks.T):
            mine = np.flatnonzero(which.ravel() == number)
            yield tuple(int(i) for i in index), tuple(points[:, mine] % side), mine

    def _read_points(self, points: np.ndarray) -> np.ndarray:
        out = np.zeros(points.shape[1:], np.uint8)
        flat = out.reshape(-1)
        for index, inside, mine in self._groups(points.reshape(self.ndim, -1)):
            if index in self._chunks:
                flat[mine] = self._chunks[index][inside]
        return out

    def _write_points(self, points: np.ndarray, value: np.ndarray) -> None:
        values = np.broadcast_to(value, points.shape[1:]).reshape(-1)
        for index, inside, mine in self._groups(points.reshape(self.ndim, -1)):
            self._own(index)[inside] = values[mine]


def _points(key: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Points (axes, ...) that a key of an index array for each axis names; None for any other key."""
    parts = key if isinstance(key, tuple) else (key,)
    if not any(isinstance(part, np.ndarray | list) for part in parts):
        return None
    if len(parts) != len(shape) or any(isinstance(part, slice) or part is None for part in parts):
        raise IndexError("Strokes on a large image take slices, or an index array for each axis.")
    points = np.stack(np.broadcast_arrays(*parts))
    if points.dtype.kind not in "iu":
        raise IndexError("Strokes on a large image take whole numbers as indices.")
    sides = np.array(shape).reshape(-1, *(1 for _ in points.shape[1:]))
    if ((points < -sides) | (points >= sides)).any():
        raise IndexError(f"A point lies outside an array of shape {shape}.")
    return np.asarray(points % sides)

"""Images that are read where one looks: what a slice covers, in the thread that asks, and no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .source import Source, Window, basic

_CHUNK_BYTES = 2**24


class LazyImage:
    """A source, or a box of it, with its axes in any order. Slices are lazy, too; `np.asarray` reads.

    It can be sent to another process, and read by several threads at once.

    Parameters
    ----------
    source : Source
    box : sequence of range or int
        What is seen of each axis of the source; an integer leaves the axis out.
    order : sequence of int or None
        For each axis seen, the axis of the source; None for a new axis of length 1.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    chunks : tuple of tuple of int
        Parts that are good to read one after the other, as dask would say it: the lengths along each axis.
    """

    def __init__(self, source: Source, box: Sequence[range | int], order: Sequence[int | None]) -> None:
        self._source, self._box, self._order = source, tuple(box), tuple(order)
        self.dtype = source.dtype
        self.shape = tuple(1 if axis is None else self._range(axis).__len__() for axis in order)

    @classmethod
    def of(cls, source: Source) -> LazyImage:
        """All of a source."""
        return cls(source, [range(n) for n in source.shape], range(source.ndim))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return self.size * int(self.dtype.itemsize)

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """See the class."""
        sides = [1 if axis is None else self._source.blocks[axis] for axis in self._order]
        sides = [min(side, n) for side, n in zip(sides, self.shape, strict=True)]
        for axis in (-1, -2):  # blocks side by side in rows and columns, until they hold enough
            free = max(1, _CHUNK_BYTES // (math.prod(sides) * int(self.dtype.itemsize)))
            sides[axis] = min(self.shape[axis], sides[axis] * (free if axis == -2 else max(1, math.isqrt(free))))
        return tuple(
            tuple(min(side, n - at) for at in range(0, n, side)) for side, n in zip(sides, self.shape, strict=True)
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[LazyImage]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"LazyImage(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, key: Any) -> LazyImage:
        if key is None:
            return LazyImage(self._source, self._box, (None, *self._order))
        window, rest = basic(key, self.shape)
        box, order = list(self._box), list[int | None]()
        for axis, part, left in zip(self._order, window, rest, strict=True):
            if axis is not None:
                seen = self._range(axis)
                box[axis] = seen[part.start] if isinstance(left, int) else seen[part][left]
            if not isinstance(left, int):
                order.append(axis)
        return LazyImage(self._source, box, order)

    def transpose(self, order: Sequence[int]) -> LazyImage:
        """The same with its axes in another order."""
        return LazyImage(self._source, self._box, [self._order[i] for i in order])

    def compute(self) -> np.ndarray:
        """The pixels."""
        return self.__array__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if not self.size:
            return np.empty(self.shape, dtype or self.dtype)
        pixels = self._source[tuple(part if isinstance(part, int) else _slice(part) for part in self._box)]
        kept = [i for i, part in enumerate(self._box) if not isinstance(part, int)]
        pixels = pixels.transpose([kept.index(axis) for axis in self._order if axis is not None])
        pixels = pixels[tuple(np.newaxis if axis is None else slice(None) for axis in self._order)]
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def _range(self, axis: int) -> range:
        seen = self._box[axis]
        assert isinstance(seen, range)  # an axis that is left out is not in the order
        return seen


class Mapped(Source):
    """What a function makes of a lazy image, window by window: (C, ...) -> (...), or of each channel one."""

    def __init__(
        self,
        image: LazyImage,
        function: Callable[[np.ndarray], np.ndarray],
        dtype: Any,
        where: str,
        *,
        each: bool = False,
    ) -> None:
        self._all = () if each else (slice(None),)
        blocks = [sizes[0] for sizes in image.chunks[len(self._all) :]]
        super().__init__(image.shape[len(self._all) :], dtype, blocks, where)
        self._image, self._function = image, function
        self.dtype = self.stored  # bool stays bool

    def read(self, window: Window) -> np.ndarray:
        """The result in a window."""
        return self._function(np.asarray(self._image[(*self._all, *window)]))


def _slice(part: range) -> slice:
    return slice(part.start, part.stop if part.stop >= 0 else None, part.step)

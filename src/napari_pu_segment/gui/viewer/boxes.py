"""Boxes of pixels, for arrays that are kept in chunks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from napari_pu_segment.core.errors import InputError

WHOLE_PX = 2**28  # of more, an array is never read whole

Box: TypeAlias = tuple[slice, ...]


def box_of(key: Any, shape: tuple[int, ...]) -> tuple[Box, tuple[Any, ...]]:
    """The box of pixels that a key lies in, and what to take of it.

    Parameters
    ----------
    key : integer, slice, Ellipsis, or a tuple of these
        As numpy takes it.
    shape : tuple of int
        Of the array.

    Raises
    ------
    IndexError
        If the key does not fit the shape.
    """
    parts = list(key if isinstance(key, tuple) else (key,))
    if any(part is Ellipsis for part in parts):
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    if len(parts) > len(shape):
        raise IndexError(f"Too many indices for an array of {len(shape)} axes.")
    box: list[slice] = []
    then: list[Any] = []
    for part, n in zip(parts, shape, strict=True):
        if isinstance(part, slice):
            places = range(n)[part]
            low, high = (min(places[0], places[-1]), max(places[0], places[-1]) + 1) if places else (0, 0)
            box.append(slice(low, high))
            then.append(slice(None, None, places.step))
        else:
            place = range(n)[int(part)]
            box.append(slice(place, place + 1))
            then.append(0)
    return tuple(box), tuple(then)


def pieces(box: Box, sides: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Box, Box]]:
    """The chunks of given sides that a box touches: the index of each, the part of the chunk, the part of the box."""
    ranges = [range(part.start // side, -(-part.stop // side)) for part, side in zip(box, sides, strict=True)]
    for index in itertools.product(*ranges):
        starts = [i * side for i, side in zip(index, sides, strict=True)]
        low = [max(part.start, start) for part, start in zip(box, starts, strict=True)]
        high = [min(part.stop, start + side) for part, start, side in zip(box, starts, sides, strict=True)]
        inner = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, starts, strict=True))
        outer = tuple(slice(a - part.start, b - part.start) for a, b, part in zip(low, high, box, strict=True))
        yield index, inner, outer


def chunk_box(index: Sequence[int], sides: Sequence[int], shape: Sequence[int]) -> Box:
    """Where a chunk lies, within an array of that shape."""
    return tuple(slice(i * side, min((i + 1) * side, n)) for i, side, n in zip(index, sides, shape, strict=True))


def meets(one: Box, other: Box) -> bool:
    """Whether two boxes of as many axes share a pixel."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


class Lazily:
    """What an array has that gives boxes of pixels when it is asked, ``array[key]``, and has a shape and a dtype."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return whole(self, dtype)

    def copy(self) -> Any:
        """All of it, in memory."""
        return whole(self)


def whole(array: Any, dtype: Any = None) -> np.ndarray:
    """All of an array, in memory.

    Raises
    ------
    InputError
        If it is too large for that.
    """
    if math.prod(array.shape) > WHOLE_PX:
        raise InputError(
            f"An image of {math.prod(array.shape) / 1e6:,.0f} million pixels is too large for this here, as it "
            "would have to be held in memory. Use a part of the image, or a coarser level of it."
        )
    found: np.ndarray = array[...]
    return found if dtype is None else found.astype(dtype, copy=False)

"""Pixels on disk that are read window by window: what every lazy image stands on."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..core.errors import InputError, OutOfMemoryError, PuSegmentError

Window: TypeAlias = tuple[slice, ...]  # one slice for each axis, whole numbers, step 1

LAZY_BYTES = 2**28  # an image of more decoded bytes is read window by window
MAX_BLOCK_BYTES = 2**28  # one compressed block (strip, tile, chunk) may hold no more: it is decoded as a whole
_CACHE_BYTES = 2**26  # decoded blocks that one image keeps: a row of tiles reads each strip once
_BOMB_BYTES, _BOMB_RATIO = 2**31, 500  # more than this, and so much more than what is stored, is no image


class Source:
    """An array on disk. `source[slices]` reads a window; nothing stays open and no page of the file stays mapped.

    Any number of threads may read at once. A source can be sent to another process: it holds the path and what the
    header told.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        As it is stored. The pixels come in the computer's byte order, bool as uint8, long floats as float64; their
        type is the attribute `dtype`.
    blocks : tuple of int
        What is read at once: a strip, a tile or a chunk.
    where : str
        Start of the sentence in an error.
    """

    def __init__(self, shape: Sequence[int], dtype: Any, blocks: Sequence[int], where: str) -> None:
        self.shape, self.stored, self.where = tuple(map(int, shape)), np.dtype(dtype), where
        self.dtype = _plain(self.stored)
        self.blocks = tuple(max(1, min(int(block), n)) for block, n in zip(blocks, self.shape, strict=True))
        self._cache: dict[Hashable, np.ndarray] = {}

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array when decoded."""
        return math.prod(self.shape) * int(self.dtype.itemsize)

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window, of the type as it is stored; what each format does."""
        raise NotImplementedError

    def whole(self) -> np.ndarray:
        """All pixels."""
        return self[...]

    def __getitem__(self, key: Any) -> np.ndarray:
        window, rest = basic(key, self.shape)
        pixels: np.ndarray = guarded(lambda: self.read(window)[rest], self.where)
        return pixels.astype(self.dtype, copy=False)

    def _cached(self, key: Hashable, load: Callable[[], np.ndarray]) -> np.ndarray:
        block = self._cache.pop(key, None)
        block = load() if block is None else block
        self._cache[key] = block  # the latest stands last
        while len(self._cache) > 1 and sum(b.nbytes for b in list(self._cache.values())) > _CACHE_BYTES:
            self._cache.pop(next(iter(list(self._cache)), None), None)  # `list` in one go: other threads read, too
        return block

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}


def _plain(stored: np.dtype[Any]) -> np.dtype[Any]:
    if stored.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float64) if stored.kind == "f" and stored.itemsize > 8 else stored.newbyteorder("=")


def basic(key: Any, shape: tuple[int, ...]) -> tuple[Window, tuple[Any, ...]]:
    """A basic index of an array as the window to read, and the index into that window that is left.

    Raises
    ------
    IndexError
        If there are too many indices or one is out of range; TypeError for anything but integers and slices.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys[at : at + 1] = [slice(None)] * (len(shape) - len(keys) + (at < len(keys)))
    if len(keys) != len(shape):
        raise IndexError(f"too many indices for an array of shape {shape}")
    window: list[slice] = []
    rest: list[Any] = []
    for k, n in zip(keys, shape, strict=True):
        if isinstance(k, slice):
            steps = range(*k.indices(n))
            low, high = (min(steps[0], steps[-1]), max(steps[0], steps[-1]) + 1) if steps else (0, 0)
            window.append(slice(low, high))
            rest.append(slice(None, None, steps.step))
        else:
            i = range(n)[k]
            window.append(slice(i, i + 1))
            rest.append(0)
    return tuple(window), tuple(rest)


def guarded(read: Callable[[], Any], where: str) -> Any:
    """The result of a reader; whatever it raises becomes one sentence of ours."""
    try:
        return read()
    except PuSegmentError:
        raise
    except MemoryError:
        raise OutOfMemoryError(f"{where} does not fit into memory. Cut it, or save it as tiled TIFF.") from None
    except OSError as error:
        if error.strerror:
            raise InputError(f"{where} cannot be read: {error.strerror}. Check the path.") from None
        raise InputError(f"{where} is damaged or cut short ({_short(error)}). Export it again.") from None
    except Exception as error:  # decoders raise anything at all on damaged data
        raise InputError(f"{where} is damaged or cut short ({_short(error)}). Export it again.") from None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def check_claim(n_bytes: int, stored_bytes: int, where: str, floor: int = _BOMB_BYTES) -> None:
    """Refuse a header that promises far more than what is stored can hold.

    Raises
    ------
    InputError
        If more than `floor` bytes are promised, and 500 times as many as are stored.
    """
    if n_bytes > floor and n_bytes > _BOMB_RATIO * stored_bytes:
        raise InputError(
            f"{where} promises {n_bytes / 1e9:.1f} GB when decoded but stores {stored_bytes / 1e6:.2g} MB. "
            "It is not read: export it again, in a simpler compression if it is right."
        )


def check_block(n_bytes: int, where: str) -> None:
    """Refuse a compressed block that is too large to be decoded as a whole.

    Raises
    ------
    InputError
        If it holds more than `MAX_BLOCK_BYTES`.
    """
    if n_bytes > MAX_BLOCK_BYTES:
        raise InputError(
            f"{where} is stored in blocks of {n_bytes / 1e9:.1f} GB, which must be decoded whole. "
            "Save it in tiles, or uncompressed."
        )

"""The codecs of zarr chunks, by an allow-list: what a chunk's bytes must be, and their way into an array and back.

Nothing here depends on what a file says beyond numbers that were checked: no codec is looked up by a name in a file.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

COMPRESSORS = ("zstd", "blosc", "gzip", "zlib", "lz4")
ZSTD_LEVEL = 1
# zstd's own checksum is of the pixels; a flipped bit of the frame's header that does not change them is seen by crc32c
WRITTEN_CODECS = (
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": True}},
    {"name": "crc32c"},
)
_MISSING = 2**64 - 1  # offset and length of a chunk that a shard does not hold


@dataclass(frozen=True)
class Shard:
    """Chunks inside a chunk: an index of offsets and lengths, at one end of the file."""

    inner: Chunk
    n_inner: tuple[int, ...]
    at_end: bool
    index_crc: bool

    @property
    def index_bytes(self) -> int:
        """Length of the index."""
        return 16 * math.prod(self.n_inner) + 4 * self.index_crc


@dataclass(frozen=True)
class Chunk:
    """How one chunk is stored.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        With the byte order of the file.
    order : tuple of int
        The axes in the order in which they are stored.
    codecs : tuple of str
        What was done to the bytes, in the order of writing; at most one compressor, of `COMPRESSORS`, and "crc32c".
    shard : Shard, optional
        Instead of `codecs`, if the chunk holds chunks.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: tuple[int, ...]
    codecs: tuple[str, ...] = ()
    shard: Shard | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded chunk."""
        return math.prod(self.shape) * self.dtype.itemsize


def decode_chunk(data: bytes, chunk: Chunk) -> np.ndarray:
    """The array of a chunk without shards. No more memory is taken than the chunk holds.

    Raises
    ------
    ValueError
        If a checksum or a length is wrong.
    """
    expected = chunk.nbytes
    sizes = [expected]  # of the bytes before each codec, from the first one on
    for codec in chunk.codecs:
        sizes.append(sizes[-1] + 4 if codec == "crc32c" else -1)
    for i in reversed(range(len(chunk.codecs))):
        data = _check_crc(data) if chunk.codecs[i] == "crc32c" else _expand(chunk.codecs[i], data, sizes[i])
    if len(data) != expected:
        raise ValueError(f"a chunk holds {len(data)} bytes instead of {expected}")
    stored = tuple(chunk.shape[axis] for axis in chunk.order)
    array = np.frombuffer(data, chunk.dtype).reshape(stored)
    return array.transpose(np.argsort(chunk.order))


def encode_chunk(array: np.ndarray, level: int = ZSTD_LEVEL) -> bytes:
    """The bytes of a chunk as this package writes it: see `WRITTEN_CODECS`."""
    from google_crc32c import value
    from numcodecs.zstd import compress

    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = bytes(compress(plain.reshape(-1).view(np.uint8), level, True))
    return data + int(value(data)).to_bytes(4, "little")


def shard_index(data: bytes, shard: Shard) -> np.ndarray:
    """Offsets and lengths (..., 2) of the chunks in a shard; see `in_shard` for a missing one."""
    data = _check_crc(data) if shard.index_crc else data
    return np.frombuffer(data, "<u8").reshape(*shard.n_inner, 2)


def in_shard(entry: np.ndarray) -> tuple[int, int] | None:
    """Offset and length of a chunk in its shard, or None if it was never written."""
    offset, length = int(entry[0]), int(entry[1])
    return None if offset == length == _MISSING else (offset, length)


def _expand(codec: str, data: bytes, size: int) -> bytes:
    """Undo a compressor; `size` is known, so that nothing larger can come of it."""
    if codec in ("gzip", "zlib"):
        inflate = zlib.decompressobj(31 if codec == "gzip" else 15)
        data = inflate.decompress(data, size + 1)  # reads on to the checksum behind the last byte
        if len(data) != size or not inflate.eof:
            raise ValueError(f"a chunk does not hold {size} bytes")
        return data
    out = np.empty(size, np.uint8)
    if codec == "blosc":
        from numcodecs import blosc

        told = [int.from_bytes(data[at : at + 4], "little") for at in (4, 12)]  # decoded and stored
        if len(data) < 16 or told != [size, len(data)]:
            raise ValueError(f"a chunk does not hold {size} bytes")
        blosc.decompress(data, out)
    elif codec == "lz4":
        from numcodecs import lz4

        if int.from_bytes(data[:4], "little") != size:
            raise ValueError(f"a chunk does not hold {size} bytes")
        lz4.decompress(data, out)
    else:
        from numcodecs import zstd

        if _zstd_size(data) not in (size, None):
            raise ValueError(f"a chunk does not hold {size} bytes")
        zstd.decompress(data, out)  # where the frame does not tell its size, this refuses any other
    return out.tobytes()


def _zstd_size(data: bytes) -> int | None:
    """The size that a zstd frame promises (RFC 8878, section 3.1.1.1), or None where it does not tell."""
    if len(data) < 6 or bytes(data[:4]) != b"\x28\xb5\x2f\xfd":
        raise ValueError("a chunk is not zstd")
    flags = data[4]
    single = flags >> 5 & 1
    start = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    n_bytes = (single, 2, 4, 8)[flags >> 6]
    size = int.from_bytes(data[start : start + n_bytes], "little") + 256 * (n_bytes == 2)
    return size if n_bytes else None


def _check_crc(data: bytes) -> bytes:
    from google_crc32c import value

    if len(data) < 4 or value(bytes(data[:-4])) != int.from_bytes(data[-4:], "little"):
        raise ValueError("a checksum is wrong")
    return data[:-4]

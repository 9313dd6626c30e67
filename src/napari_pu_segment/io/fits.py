"""FITS images (Pence et al. 2010, A&A 524:A42): headers through astropy, if it is installed; pixels by plain reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..core.errors import InputError
from .raw import RawSource, Stack
from .source import Source, Window

FITS_MAGIC = b"SIMPLE  "
FITS_SUFFIXES = (".fits", ".fit", ".fts")
_BLOCK = 2880  # bytes; headers and data fill whole ones
_MOST_BLOCKS, _MOST_PARTS = 400, 1000  # of a header, of a file
_MOST_BANDS = 32  # more along a third axis are planes
_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_SCIENCE = "SCI"  # name of the images where errors and masks stand beside them


@dataclass(frozen=True)
class _Part:
    """A header, where its data begin, and their axes, the slowest first; none where they are no image."""

    header: Any
    offset: int
    shape: tuple[int, ...]


class Scaled(Source):
    """Numbers as a FITS header says they are meant: stored * scale + zero, NaN where the header calls them blank.

    Unsigned numbers, which are stored with half their range taken away, stay whole; all others become float32, of 32 or
    64 bits float64.
    """

    def __init__(self, source: Source, scale: float, zero: float, blank: int | None) -> None:
        kind, size = source.stored.kind, source.stored.itemsize
        self.unsigned = kind == "i" and scale == 1 and zero == 2.0 ** (8 * size - 1) and blank is None
        dtype = f"u{size}" if self.unsigned else "f8" if size > 2 else "f4"
        dtype = source.stored.newbyteorder("=").str if kind == "f" else dtype
        super().__init__(source.shape, dtype, source.blocks, source.where)
        self.source, self.scale, self.zero, self.blank = source, scale, zero, blank

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window."""
        raw = self.source.read(window)
        if self.unsigned:
            native = raw.astype(raw.dtype.newbyteorder("="))
            return np.asarray(native.view(self.stored) ^ self.stored.type(1 << (8 * self.stored.itemsize - 1)))
        values = raw.astype(np.float64) * self.scale + self.zero
        if self.blank is not None:
            values[raw == self.blank] = np.nan
        return np.asarray(values.astype(self.stored))


def open_fits(path: Path, where: str) -> tuple[Source, str, tuple[str, ...]]:
    """The pixels of a file, their axes, and the names of its bands.

    Images of one size, in several parts of the file, are bands; where some are called SCI, these alone. A third axis of
    at most 32 holds bands, a longer one planes. Axes of length one are left out. The first row is the first in the
    file, which other programs show at the bottom.

    Raises
    ------
    InputError
        If astropy is not installed, or the file holds no image, compressed ones, or images of several sizes.
    """
    parts = _parts(path, where)
    images = [part for part in parts if len(part.shape) >= 2]
    images = [part for part in images if part.header.get("EXTNAME") == _SCIENCE] or images
    if not images:
        packed = any(part.header.get("ZIMAGE") for part in parts)
        how = "Its images are compressed: unpack them with funpack." if packed else "Give a file with an image."
        raise InputError(f"{where} holds no plain image. {how}")
    if len({part.shape for part in images}) > 1:
        raise InputError(f"{where} holds images of several sizes. Save the one to use on its own.")
    sources = [_source(part, path, where) for part in images]
    ndim = sources[0].ndim
    if ndim > 3 or (ndim == 3 and len(sources) > 1):
        raise InputError(f"{where} has {ndim + (len(sources) > 1)} axes; an image has two, and bands or planes.")
    if len(sources) == 1:
        third = "C" if sources[0].shape[0] <= _MOST_BANDS else "Z"
        return sources[0], "YX" if ndim == 2 else f"{third}YX", ()
    if len({source.stored for source in sources}) > 1:
        raise InputError(f"{where} holds images of several types. Save them with one type, such as float32.")
    names = [str(part.header.get("FILTER") or part.header.get("EXTNAME") or "") for part in images]
    distinct = len(set(names)) == len(names)
    return Stack((len(sources),), sources), "CYX", tuple(names) if distinct else ()


def _parts(path: Path, where: str) -> list[_Part]:
    """All headers of a file; the data are skipped."""
    found: list[_Part] = []
    end = path.stat().st_size
    with open(path, "rb") as handle:
        while (at := handle.tell()) < end and len(found) < _MOST_PARTS:
            header = _header(handle, where)
            if header is None:
                if not found:
                    raise InputError(f"{where} has a FITS header without an end. Export it again.")
                break  # what follows the last part may be anything
            sizes = [int(header.get(f"NAXIS{i}", 0)) for i in range(int(header.get("NAXIS", 0)), 0, -1)]
            n_bytes = abs(int(header.get("BITPIX", 8))) // 8 * int(header.get("GCOUNT", 1))
            n_bytes *= (math.prod(sizes) if sizes else 0) + int(header.get("PCOUNT", 0))
            if min([n_bytes, *sizes], default=0) < 0 or len(sizes) > 9:
                raise InputError(f"{where} has sizes in its header that cannot be. Export it again.")
            plain = at == 0 or str(header.get("XTENSION", "")).strip() == "IMAGE"
            shape = tuple(n for n in sizes if n != 1) if plain and n_bytes else ()
            start = handle.tell()
            if start + n_bytes > end:
                raise InputError(f"{where} is cut short: its pixels lie beyond its end. Export it again.")
            found.append(_Part(header, start, shape))
            handle.seek(start + -(-n_bytes // _BLOCK) * _BLOCK)
    return found


def _header(handle: BinaryIO, where: str) -> Any:
    """The header that begins here, or None if there is none; the file then stands at the data."""
    try:
        from astropy.io import fits
    except ImportError:
        raise InputError(f"{where} needs astropy. Run `pip install 'napari-pu-segment[formats]'`.") from None
    text = b""
    for _ in range(_MOST_BLOCKS):
        block = handle.read(_BLOCK)
        text += block
        cards = [block[i : i + 80] for i in range(0, len(block), 80)]
        if any(card.rstrip() == b"END" for card in cards):
            return fits.Header.fromstring(text.decode("ascii", "replace"))
        if len(block) < _BLOCK:
            break
    return None


def _source(part: _Part, path: Path, where: str) -> Source:
    header = part.header
    kind = _TYPES.get(int(header.get("BITPIX", 0)))
    if kind is None:
        raise InputError(f"{where} has pixels of a type that FITS does not know. Export it again.")
    blocks = [512 if n > 4 else n for n in part.shape]
    raw = RawSource(path, part.offset, part.shape, np.dtype(kind), blocks, where)
    scale, zero = float(header.get("BSCALE", 1)), float(header.get("BZERO", 0))
    blank = header.get("BLANK") if raw.stored.kind != "f" else None
    if (scale, zero, blank) == (1, 0, None):
        return raw
    return Scaled(raw, scale, zero, None if blank is None else int(blank))

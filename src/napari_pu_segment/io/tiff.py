"""TIFF: plain, tiled, striped, compressed, BigTIFF, ImageJ and OME, with pyramids; every size is checked first."""

from __future__ import annotations

import itertools
import logging
import math
import os
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageSequence

from ..core.errors import InputError
from .raw import RawSource, Stack
from .source import LAZY_BYTES, Source, Window, check_block, check_claim

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BLOCKS = {"Y": 512, "X": 512, "S": 4}  # of plain pixels, which can be read anywhere
_DEFLATE, _DEFLATE_RATIO = (8, 32946), 1032

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it reports damaged files on stderr; we raise


class TiffSource(Stack):
    """The pixels of one level of a TIFF series."""

    def __init__(self, path: Path, level: int, lead: Sequence[int], pages: Sequence[Source], decodable: str) -> None:
        super().__init__(lead, pages)
        self.path, self.level, self._needs = path, level, decodable

    def whole(self) -> np.ndarray:
        """All pixels; Pillow helps with compressions that tifffile does not decode on its own."""
        if self._needs and self.level == 0 and self.nbytes <= LAZY_BYTES:
            return _with_pillow(self.path, self)
        return self[...]

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window."""
        if self._needs:
            raise _codec_missing(self._needs, self.where)
        return super().read(window)


class _Format:
    """What the pages of a series share: how one of their segments is decoded."""

    def __init__(self, path: Path, level: int, keyframe: Any) -> None:
        self.path, self.level, self._keyframe = path, level, keyframe

    def decode(self, data: bytes, index: int) -> np.ndarray:
        """The segment (depth, row, column, sample) that stands behind some bytes."""
        if self._keyframe is None:  # sent from another process
            with tifffile.TiffFile(self.path, _multifile=False) as tif:
                self._keyframe = tif.series[0].levels[self.level].keyframe
        page, tables = self._keyframe, {}
        if page.jpegtables is not None:
            tables["jpegtables"] = page.jpegtables
        if page.jpegheader is not None:
            tables["jpegheader"] = page.jpegheader
        return np.asarray(page.decode(data, index, **tables)[0])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_keyframe": None}


class _Page(Source):
    """One page whose strips or tiles are read one by one."""

    def __init__(self, form: _Format, keyframe: Any, offsets: Sequence[int], counts: Sequence[int], where: str) -> None:
        axes, samples = keyframe.axes, (keyframe.planarconfig == 1 and keyframe.samplesperpixel) or 1
        rows = keyframe.tilelength if keyframe.is_tiled else keyframe.rowsperstrip
        columns = keyframe.tilewidth if keyframe.is_tiled else keyframe.imagewidth
        depth = keyframe.tiledepth if keyframe.is_tiled else 1
        self._full = tuple(keyframe.shaped)  # (separate sample, depth, row, column, sample)
        self._segment = (1, depth, min(rows, self._full[2]) if not keyframe.is_tiled else rows, columns, samples)
        self._places = tuple(_place(axis, i, axes, samples) for i, axis in enumerate(axes))
        self._form, self._offsets, self._counts = form, offsets, counts
        self._deflate = int(keyframe.compression) in _DEFLATE
        super().__init__(keyframe.shape, keyframe.dtype, [self._segment[p] for p in self._places], where)
        self._bytes = math.prod(self._segment) * int(self.stored.itemsize)
        check_block(self._bytes, where)

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window."""
        box = [slice(0, n) for n in self._full]
        for place, part in zip(self._places, window, strict=True):
            box[place] = part
        out = np.empty([b.stop - b.start for b in box], self.stored)
        grid = [-(-n // m) for n, m in zip(self._full, self._segment, strict=True)]
        ranges = [range(b.start // m, -(-b.stop // m)) for b, m in zip(box, self._segment, strict=True)]
        for at in itertools.product(*ranges):
            index = int(np.ravel_multi_index(at, grid))
            segment = self._cached(index, lambda index=index: self._load(index))  # type: ignore[misc]
            origin = [i * m for i, m in zip(at, self._segment, strict=True)]
            parts = [(max(b.start, o), min(b.stop, o + m)) for b, o, m in zip(box, origin, self._segment, strict=True)]
            inside = tuple(slice(a - o, e - o) for (a, e), o in zip(parts, origin, strict=True))
            out[tuple(slice(a - b.start, e - b.start) for (a, e), b in zip(parts, box, strict=True))] = segment[inside]
        return out.reshape([w.stop - w.start for w in window])

    def _load(self, index: int) -> np.ndarray:
        offset, count = self._offsets[index], self._counts[index]
        if count > self._bytes * 5 // 4 + 2**16:
            raise ValueError("a block is longer than its pixels")
        with open(self._form.path, "rb") as handle:
            handle.seek(offset)
            data = handle.read(count)
        if len(data) != count or not count:
            raise ValueError("pixels are missing")
        if self._deflate and count * _DEFLATE_RATIO > 8 * self._bytes + 2**24:
            inflated = zlib.decompressobj().decompress(data, self._bytes + 2**16 + 1)
            if len(inflated) > self._bytes + 2**16:
                raise ValueError("a block holds more than its header says")
        return self._form.decode(data, index)[None]


def _place(axis: str, at: int, axes: str, samples: int) -> int:
    """Which of (separate sample, depth, row, column, sample) an axis of a page is."""
    if axis == "S":
        return 0 if at == 0 and samples == 1 and len(axes) > 1 else 4
    return {"Z": 1, "Y": 2, "X": 3}[axis]


def open_levels(tif: tifffile.TiffFile, path: Path, where: str) -> list[Source]:
    """The levels of the first series of a file, the finest first.

    Raises
    ------
    InputError
        If there are several images, pixels are missing, or the header promises too much.
    """
    series = tif.series[0]
    others = [other for other in tif.series[1:] if not other.keyframe.is_reduced]
    if others:
        raise InputError(f"{where} holds {len(others) + 1} separate images. Save the one to use on its own.")
    size = os.path.getsize(path)
    if _holes(series, size):
        raise InputError(f"{where} is cut short: pixels that its header promises are missing. Export it again.")
    check_claim(series.nbytes, size, where)
    return [_level(tif, level, i, path, where) for i, level in enumerate(series.levels)]


def _level(tif: tifffile.TiffFile, series: Any, level: int, path: Path, where: str) -> Source:
    page, dtype = series.keyframe, series.dtype.newbyteorder(tif.byteorder)
    blocks = [_BLOCKS.get(axis, 1) for axis in series.axes]
    if series.dataoffset is not None:
        return RawSource(path, series.dataoffset, series.shape, dtype, blocks, where)
    n_lead = len(series.shape) - len(page.shape)
    lead = series.shape[:n_lead]
    if series.shape[n_lead:] != page.shape or math.prod(lead) != len(series.pages):
        raise InputError(f"{where} has pages that do not make one stack. Save it as a plain stack.")
    if page.is_contiguous:
        offsets = [p.dataoffsets[0] for p in series.pages]
        return Stack(lead, [RawSource(path, o, page.shape, dtype, blocks[n_lead:], where) for o in offsets])
    form = _Format(path, level, page)
    pages = [_Page(form, page, p.dataoffsets, p.databytecounts, where) for p in series.pages]
    return TiffSource(path, level, lead, pages, tifffile.COMPRESSION(page.compression).name if _lacks(page) else "")


def _lacks(page: Any) -> bool:
    """Whether the codec of a page is not installed."""
    return page.decode.__name__ in ("decode_raise_compression", "decode_raise_predictor")


def _holes(series: Any, file_bytes: int) -> bool:
    """Whether pixels lie beyond the end of the file, or are absent, which would read as zeros."""
    if series.dataoffset is not None:
        return bool(series.dataoffset + series.nbytes > file_bytes)
    pages = [page for page in series.pages if page is not None]
    segments = [pair for page in pages for pair in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(pages) < len(series.pages) or not segments:
        return True
    return any(count == 0 or offset + count > file_bytes for offset, count in segments)


def _with_pillow(path: Path, source: TiffSource) -> np.ndarray:
    """All pixels of a small file whose compression (LZW, JPEG) tifffile does not decode on its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged headers; what cannot be decoded raises
        with Image.open(path, formats=("TIFF",)) as picture:
            if getattr(picture, "n_frames", 1) != len(source.pages):
                raise _codec_missing(source._needs, source.where)
            frames = [_decoded(frame, source) for frame in ImageSequence.Iterator(picture)]
    array = np.squeeze(np.stack(frames))
    if array.dtype.newbyteorder("=") != source.dtype.newbyteorder("=") or array.size != math.prod(source.shape):
        raise _codec_missing(source._needs, source.where)
    return array.reshape(source.shape)


def _decoded(frame: Image.Image, source: TiffSource) -> np.ndarray:
    if frame.width * frame.height > math.prod(source.pages[0].shape):  # it is another picture, which may be a bomb
        raise _codec_missing(source._needs, source.where)
    return np.array(frame)


def _codec_missing(kind: str, where: str) -> InputError:
    return InputError(f"{where} is compressed with {kind}. Run `pip install imagecodecs`, or save it uncompressed.")

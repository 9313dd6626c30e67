"""TIFF as results are written: the same pixels give the same bytes."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile

from ..core.progress import Progress, Ticker, Work
from ..core.samples import Array
from .source import LAZY_BYTES
from .units import clean_unit

TIFF_TYPES = ("uint8", "uint16", "float32", "uint32", "int32")
_IMAGEJ_TYPES = TIFF_TYPES[:3]  # what ImageJ's form of TIFF can hold
_TILE_PX = 512
_BAND_PX = 1024  # rows that are written at once
_FLUSH_BYTES = 2**27  # so many at a time go to the disk, as to wait for gigabytes takes seconds
_OME_TYPES = {"float32": "float"}


def write_tiff(
    name: str,
    array: Array,
    pixel_size: tuple[float, ...],
    pixel_unit: str,
    axes: str = "",
    channel_names: Sequence[str] = (),
) -> Work[None]:
    """Write a TIFF in ImageJ's form; an image of more than `LAZY_BYTES` as tiled BigTIFF with OME metadata.

    All but the pixels is written first, so that the pixels can follow piece by piece.

    Parameters
    ----------
    name : str
    array : array, `([C,] [T,] [Z,] Y, X)`, of one of `TIFF_TYPES`
        Numpy or lazy; a large one is read tile by tile.
    pixel_size : tuple of float, ([Z,] Y, X), or empty
        The last axes count.
    pixel_unit : str
    axes : str
        Such as "TYX"; by default planes, or time and planes.
    channel_names : sequence of str
        Of the axis C, where there is one.
    """
    axes = axes or "TZYX"[-len(array.shape) :]
    n_bytes = int(np.prod(array.shape, dtype=object)) * np.dtype(array.dtype).itemsize
    size = dict(zip("XYZ", reversed(pixel_size), strict=False))
    if n_bytes > LAZY_BYTES or np.dtype(array.dtype).name not in _IMAGEJ_TYPES:
        _reserve_tiles(name, array, size, clean_unit(pixel_unit), axes, channel_names)
        yield from _fill(name, array, _tiles, range(len(axes)))
        return
    unit = clean_unit(pixel_unit).encode("ascii", "ignore").decode() or "px"  # ImageJ's form is ASCII
    metadata: dict[str, Any] = {"axes": axes}
    if size:
        metadata |= {"unit": unit} | ({"spacing": size.get("Z", 1.0)} if "Z" in axes else {})
    order = [axes.index(axis) for axis in "TZCYX" if axis in axes]  # as ImageJ wants them
    if channel_names:
        n_planes = math.prod(array.shape[:-2]) // len(channel_names)
        metadata |= {"axes": "".join(axes[i] for i in order), "Labels": list(channel_names) * n_planes}
    resolution = (1 / size.get("X", 1.0), 1 / size.get("Y", 1.0))
    form: dict[str, Any] = {"resolution": resolution, "metadata": metadata, "imagej": True}
    tifffile.imwrite(name, shape=tuple(array.shape[i] for i in order), dtype=array.dtype, **form)
    yield from _fill(name, array, _bands, order)


def _reserve_tiles(name: str, array: Array, size: dict[str, float], unit: str, axes: str, names: Sequence[str]) -> None:
    with _Holes(name, _TILE_PX**2 * np.dtype(array.dtype).itemsize) as handle:
        tifffile.imwrite(
            handle,
            shape=tuple(array.shape),
            dtype=array.dtype,
            tile=(_TILE_PX, _TILE_PX),
            bigtiff=True,
            photometric="minisblack",
            description=_ome_xml(array, size, unit, axes, names),
            metadata=None,
            software=False,
        )


class _Holes(io.BufferedRandom):
    """A file in which blocks of zeros, of a certain length, are left out instead of written, and read as zeros."""

    def __init__(self, name: str, n_bytes: int) -> None:
        super().__init__(io.FileIO(name, "w+"))
        self._zeros = bytes(n_bytes)

    def write(self, data: Any) -> int:
        """Write bytes, or step over them."""
        if len(data) != len(self._zeros) or bytes(data) != self._zeros:
            return super().write(data)
        self.seek(len(data) - 1, os.SEEK_CUR)
        super().write(b"\0")
        return len(data)


def _fill(
    name: str, array: Array, cut: Callable[[Array, tuple[int, ...]], Iterator[np.ndarray]], order: Sequence[int]
) -> Work[None]:
    """Write the pixels of a TIFF that is complete but for them.

    `cut` gives those of a plane in the file's order; `order` is that of the array's axes in the file.
    """
    with tifffile.TiffFile(name) as tiff:
        dtype = np.dtype(array.dtype).newbyteorder(tiff.byteorder)
        starts = [page.dataoffsets[0] for page in tiff.pages]
    ticker, done, waiting, total = Ticker(waits=True), 0, 0, int(np.prod(array.shape, dtype=object)) * dtype.itemsize
    with open(name, "rb+") as handle:
        lead = list(order)[:-2]
        for place, start in zip(np.ndindex(*(array.shape[axis] for axis in lead)), starts, strict=True):
            plane = tuple(place[lead.index(axis)] for axis in range(len(lead)))
            handle.seek(start)
            for piece in cut(array, plane):
                n_bytes = handle.write(piece.astype(dtype, copy=False).tobytes())
                done, waiting = done + n_bytes, waiting + n_bytes
                if waiting > _FLUSH_BYTES:
                    os.fsync(handle.fileno())
                    waiting = 0
                if ticker.due():
                    yield Progress(min(done, total), total, "Writing")


def _bands(array: Array, plane: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The rows of a plane, some at a time."""
    rows = array.shape[-2]
    for y in range(0, rows, _BAND_PX):
        yield np.asarray(array[(*plane, slice(y, min(y + _BAND_PX, rows)))])


def _tiles(array: Array, plane: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The tiles of a plane, a row of tiles at a time; those at the border are made whole with zeros."""
    rows, columns = array.shape[-2:]
    for y in range(0, rows, _TILE_PX):
        row = np.asarray(array[(*plane, slice(y, min(y + _TILE_PX, rows)))])
        for x in range(0, columns, _TILE_PX):
            tile = row[:, x : x + _TILE_PX]
            lacks = [(0, _TILE_PX - n) for n in tile.shape]
            yield np.pad(tile, lacks) if any(b for _, b in lacks) else tile


def _ome_xml(array: Array, size: dict[str, float], unit: str, axes: str, channel_names: Sequence[str]) -> str:
    """The header of OME (2016-06) for planes in the order of the pages; without any time or random number."""
    sides = dict(zip(axes, array.shape, strict=True))
    sizes = " ".join(f'Size{axis}="{sides.get(axis, 1)}"' for axis in "XYZCT")
    told = "".join(
        f' PhysicalSize{axis}="{size[axis]!r}" PhysicalSize{axis}Unit={quoteattr("µm" if unit == "um" else unit)}'
        for axis in "XYZ"
        if axis in size and axis in axes and unit != "px"
    )
    names = [f" Name={quoteattr(name)}" for name in channel_names] or [""]
    channels = "".join(f'<Channel ID="Channel:0:{i}"{name} SamplesPerPixel="1"/>' for i, name in enumerate(names))
    kind = _OME_TYPES.get(np.dtype(array.dtype).name, np.dtype(array.dtype).name)
    order = "XYZTC" if channel_names else "XYZCT"
    return (
        (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
            f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="{kind}" {sizes}'
            f"{told}>{channels}<TiffData/></Pixels></Image></OME>"
        )
        .encode("ascii", "xmlcharrefreplace")
        .decode()
    )

"""Results as TIFF, and pictures to look at as PNG; whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..core.errors import InputError
from ..core.files import write_atomically
from ..core.progress import run
from ..core.samples import Array
from .tiff_write import TIFF_TYPES, write_tiff


def storable(array: np.ndarray) -> np.ndarray:
    """Objects (int32) as a type that ImageJ reads: 16 bits, or float32, which counts exactly to 16 million.

    Arrays of another type are given back as they are.
    """
    if array.dtype != np.int32:
        return array
    return array.astype(np.uint16 if array.max(initial=0) < 2**16 else np.float32)


def write_image(
    path: str | Path,
    array: Array,
    pixel_size: tuple[float, ...] = (),
    pixel_unit: str = "px",
    axes: str = "",
    channel_names: Sequence[str] = (),
) -> None:
    """Write a TIFF, whole or not at all. The same array gives the same bytes: there is no time stamp.

    Parameters
    ----------
    path : path
        With the suffix .tif or .tiff.
    array : array, `([T,] [Z,] Y, X)`, of bool, uint8, uint16, uint32, int32 or float32
        With `channel_names`, `(C, [T,] [Z,] Y, X)`. Numpy or lazy; a large one is read tile by tile.
    pixel_size : tuple of float, ([Z,] Y, X)
        Size of a pixel in `pixel_unit`, or empty; the last axes count.
    pixel_unit : str
    axes : str
        Such as "TYX"; by default three axes are planes, rows and columns.
    channel_names : sequence of str
        Of the axis C, which `axes` then begins with.

    Raises
    ------
    InputError
        If the name, the type or the shape does not fit, or the file cannot be written.
    """
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"Cannot write {str(path)!r}: results are TIFF files. Give a name that ends with .tif.")
    array = array.astype(np.uint8) if array.dtype == bool else array
    if np.dtype(array.dtype).name not in TIFF_TYPES or len(array.shape) - bool(channel_names) not in (2, 3, 4):
        raise InputError(f"Cannot write {str(path)!r}: {array.dtype} values of shape {array.shape} are not a result.")
    told = (pixel_size, pixel_unit, axes, channel_names)
    write_atomically(path, lambda name: run(write_tiff(name, array, *told)))


def write_picture(path: str | Path, array: np.ndarray) -> None:
    """Write a PNG, grey (Y, X) or RGB (Y, X, 3), uint8, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array, np.uint8)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())

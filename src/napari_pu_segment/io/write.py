"""Results as TIFF, and pictures to look at as PNG; whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from ..core.errors import InputError
from ..core.files import write_atomically
from .formats import TIFF_TYPES, write_tiff


def write_image(
    path: str | Path, array: np.ndarray, pixel_size: tuple[float, ...] = (), pixel_unit: str = "px"
) -> None:
    """Write a TIFF, whole or not at all. The same array gives the same bytes: there is no time stamp.

    Parameters
    ----------
    path : path
        With the suffix .tif or .tiff.
    array : ndarray, ([Z,] Y, X), of bool, uint8, uint16 or float32
    pixel_size : tuple of float, ([Z,] Y, X)
        Size of a pixel in `pixel_unit`, or empty.

    Raises
    ------
    InputError
        If the name, the type or the shape does not fit, or the file cannot be written.
    """
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"Cannot write {str(path)!r}: results are TIFF files. Give a name that ends with .tif.")
    array = array.astype(np.uint8) if array.dtype == bool else np.ascontiguousarray(array)
    if array.dtype.name not in TIFF_TYPES or array.ndim not in (2, 3):
        raise InputError(f"Cannot write {str(path)!r}: {array.dtype} values of shape {array.shape} are not a result.")
    size = pixel_size if len(pixel_size) == array.ndim else ()
    write_atomically(path, lambda name: write_tiff(name, array, size, pixel_unit))


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

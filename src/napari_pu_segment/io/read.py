"""Images, label codes, masks and probabilities from files, in the package's one axis order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.samples import Array, Sample, canonical_axes, check_labels, to_channels_first
from .formats import Stored, open_file
from .source import LAZY_BYTES, guarded
from .units import clean_unit


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image that was read.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
        Real numbers as they are stored; an alpha channel is dropped. An ndarray, or a lazy dask array if it holds more
        than `LAZY_BYTES`.
    channel_names : tuple of str
        One for each channel, or empty.
    pixel_size : tuple of float, ([Z,] Y, X)
        Size of a pixel in `pixel_unit`, or empty where it is not told. Planes without a known distance get 1.
    pixel_unit : str
    axes : {"CYX", "CZYX", "CTYX", "CTZYX"}
        What the axes of `image` are.
    """

    image: Array
    channel_names: tuple[str, ...] = ()
    pixel_size: tuple[float, ...] = ()
    pixel_unit: str = "px"
    axes: str = ""

    def sample(self, name: str, labels: np.ndarray | None = None) -> Sample:
        """The image as a `Sample`, with strokes where they are known; `name` is for messages."""
        told = (self.channel_names, self.pixel_size, self.pixel_unit, self.axes)
        return Sample(self.image, labels, "scribble", name, *told)


@dataclass(frozen=True)
class Header:
    """What the header of an image file tells of the image that `read_image` gives.

    Parameters
    ----------
    axes : {"CYX", "CZYX", "CTYX", "CTZYX"}
    shape : tuple of int, (C, [T,] [Z,] Y, X)
    dtype : str
        Such as "uint16".
    channel_names, pixel_size, pixel_unit
        See `ImageFile`.
    format : str
        "npy", "picture", "tiff" or "zarr".
    n_levels : int
        1, or more for a pyramid.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: str
    channel_names: tuple[str, ...]
    pixel_size: tuple[float, ...]
    pixel_unit: str
    format: str
    n_levels: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the decoded image."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def lazy(self) -> bool:
        """Whether `read_image` gives a lazy array."""
        return self.n_bytes > LAZY_BYTES


def probe(path: str | Path) -> Header:
    """What an image file is, from its header alone: within a second and 100 MB, whatever the file says.

    Raises
    ------
    InputError
        If the file cannot be used; the sentence that `read_image` would say.
    """
    where = f"Image file {str(path)!r}"
    stored = open_file(Path(path), where)
    source = stored.levels[0]
    axes, dtype = _axes(stored, where), source.dtype
    shape = to_channels_first(np.broadcast_to(np.uint8(0), source.shape), stored.axes).shape
    name = "uint8" if dtype.kind == "b" else "float64" if dtype.itemsize > 8 else dtype.name
    told = _names(stored, shape[0]), *_pixel_size(stored, axes)
    return Header(axes, shape, name, *told, stored.format, len(stored.levels))


def read_image(path: str | Path, level: int = 0) -> ImageFile:
    """Read an image; see `formats.plain_axes` for arrays that do not tell their axes.

    Parameters
    ----------
    path : path
        A file, or the folder of an OME-Zarr image.
    level : int
        Of a pyramid: 0 is the finest.

    Raises
    ------
    InputError
        If the file cannot be used; one sentence that names it and says what to do.
    """
    where = f"Image file {str(path)!r}"
    stored = open_file(Path(path), where)
    if not 0 <= level < len(stored.levels):
        raise InputError(f"{where} has no level {level}; it has {len(stored.levels)}, counted from 0.")
    image = _canonical(_pixels(stored, level), stored, where)
    if isinstance(image, np.ndarray) and image.dtype.kind == "f" and not np.isfinite(image).any():
        raise InputError(f"{where} holds no finite value: every pixel is NaN or infinite. Check how it was saved.")
    axes = _axes(stored, where)
    size, unit = _pixel_size(stored, axes)
    if level and size:
        finest, this = (dict(zip(stored.axes, stored.levels[i].shape, strict=True)) for i in (0, level))
        letters = [axis for axis in axes if axis in "ZYX"]
        size = tuple(s * finest[axis] / this[axis] for s, axis in zip(size, letters, strict=True))
    return ImageFile(image, _names(stored, image.shape[0]), size, unit, axes)


def read_levels(path: str | Path) -> list[Array]:
    """The levels of an image, (C, [T,] [Z,] Y, X) each, as lazy dask arrays; the finest first.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    where = f"Image file {str(path)!r}"
    stored = open_file(Path(path), where)
    return [_canonical(source.lazy(), stored, where) for source in stored.levels]


def read_labels(path: str | Path) -> Array:
    """Read label codes ([T,] [Z,] Y, X) uint8: 0 unlabelled, 1 positive, 2 negative, 3 ignore.

    Of a large file the codes come lazily, and other values are refused when they are read.

    Raises
    ------
    InputError
        If the file cannot be read or holds other values.
    """
    where = f"Label file {str(path)!r}"
    labels = _single_channel(_open_exact(path, where), where)
    return _checked(labels, partial(_codes, where=where), np.uint8)


def read_mask(path: str | Path) -> Array:
    """Read a mask ([T,] [Z,] Y, X) bool: True where any colour is not zero (and what has alpha is not transparent).

    Of a large file it comes lazily.

    Raises
    ------
    InputError
        If the file cannot be read, or holds fractions, as a probability does.
    """
    where = f"Mask file {str(path)!r}"
    stored = _open_exact(path, where)
    pixels = _pixels(stored, 0)
    values = _checked(_canonical(pixels, stored, where), partial(_whole_numbers, where=where), None)
    painted = (values != 0).any(axis=0)
    at = stored.axes.find("S")
    if at >= 0 and pixels.shape[at] in (2, 4):
        alpha = pixels[(slice(None),) * at + (-1,)]
        painted &= to_channels_first(alpha, stored.axes.replace("S", ""))[0] != 0
    return painted


def read_probability(path: str | Path) -> Array:
    """Read probabilities ([T,] [Z,] Y, X) float32.

    Of a large file they come lazily, and other values are refused when they are read.

    Raises
    ------
    InputError
        If the file cannot be read, is not of a float type, or has a value that is not in 0..1.
    """
    where = f"Probability file {str(path)!r}"
    probability = _single_channel(open_file(Path(path), where), where)
    return _checked(probability, partial(_fractions, where=where), np.float32)


def _codes(labels: np.ndarray, where: str) -> np.ndarray:
    return check_labels(labels, labels.shape, where)


def _whole_numbers(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        raise InputError(f"{where} holds fractions, not a mask. Give an image that is zero where nothing is painted.")
    return values


def _fractions(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind != "f" or not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"{where} has values that are not fractions from 0 to 1. Give an output of `predict`.")
    return np.ascontiguousarray(values, dtype=np.float32)


def _checked(values: Array, check: Callable[[np.ndarray], np.ndarray], dtype: Any) -> Array:
    """Values that a check has seen; of lazy ones each block, when it is read."""
    if isinstance(values, np.ndarray):
        return check(values)
    check(np.zeros((1,) * values.ndim, values.dtype))  # the type is known now
    dtype = np.dtype(dtype or values.dtype)
    return values.map_blocks(check, dtype=dtype, meta=np.empty((0,) * values.ndim, dtype))


def _open_exact(path: str | Path, where: str) -> Stored:
    stored = open_file(Path(path), where, indexed=True)
    if stored.lossy:
        raise InputError(f"{where} is a JPEG, which changes values near edges. Save it as PNG or TIFF.")
    return stored


def _pixels(stored: Stored, level: int) -> Array:
    """The pixels as they are stored: an ndarray, or a dask array if they are many."""
    source = stored.levels[level]
    return source.lazy() if source.nbytes > LAZY_BYTES else guarded(source.whole, source.where)


def _canonical(pixels: Array, stored: Stored, where: str) -> Array:
    try:
        image = to_channels_first(pixels, stored.axes)
    except InputError as error:
        raise InputError(f"{where} cannot be used. {error}") from None
    kind = np.dtype(image.dtype)
    if kind.kind == "b":
        return image.astype(np.uint8)
    return image.astype(np.float64 if kind.itemsize > 8 else kind.newbyteorder("="), copy=False)


def _single_channel(stored: Stored, where: str) -> Array:
    image = _canonical(_pixels(stored, 0), stored, where)
    lazy = not isinstance(image, np.ndarray)
    if any(lazy or not np.array_equal(image[0], channel) for channel in image[1:]):  # grey saved as RGB is fine
        raise InputError(f"{where} has {image.shape[0]} channels that differ. Save it with one channel.")
    return image[0]


def _names(stored: Stored, n_channels: int) -> tuple[str, ...]:
    names = stored.channel_names
    if "S" in stored.axes and n_channels == 3:
        names = ("red", "green", "blue")
    return names if len(names) == n_channels and all(names) else ()


def _axes(stored: Stored, where: str) -> str:
    try:
        return canonical_axes(stored.axes, stored.levels[0].shape)
    except InputError as error:
        raise InputError(f"{where} cannot be used. {error}") from None


def _pixel_size(stored: Stored, axes: str) -> tuple[tuple[float, ...], str]:
    size = tuple(stored.spacing.get(axis, 0.0) for axis in axes if axis in "ZYX")
    known = [isinstance(value, (int, float)) and math.isfinite(value) and value > 0 for value in size]
    if not all(known[-2:]):
        return (), "px"
    numbers = tuple(float(value) if ok else 1.0 for value, ok in zip(size, known, strict=True))
    return numbers, clean_unit(stored.unit)

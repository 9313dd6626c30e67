"""Images, label codes, masks and probabilities from files, in the package's one axis order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.axes import canonical_axes, to_channels_first
from ..core.errors import InputError
from ..core.samples import MAX_CLASSES, Array, Sample, check_labels
from .formats import Stored, open_file
from .lazy import LazyImage, Mapped
from .source import LAZY_BYTES, guarded
from .units import clean_unit


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image that was read.

    Parameters
    ----------
    image : array, `(C, [T,] [Z,] Y, X)`
        Real numbers as they are stored; an alpha channel is dropped. An ndarray, or a `LazyImage` if it holds more
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
    shape : tuple of int, `(C, [T,] [Z,] Y, X)`
    dtype : str
        Such as "uint16".
    channel_names, pixel_size, pixel_unit
        See `ImageFile`.
    format : str
        "npy", "picture", "tiff", "zarr", "fits" or "bioio".
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
    axes, shape = _axes(stored, where), to_channels_first(LazyImage.of(source), stored.axes).shape
    told = _names(stored, shape[0]), *_pixel_size(stored, axes)
    return Header(axes, shape, source.dtype.name, *told, stored.format, len(stored.levels))


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
    """The levels of an image, `(C, [T,] [Z,] Y, X)` each, lazy; the finest first.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    where = f"Image file {str(path)!r}"
    stored = open_file(Path(path), where)
    return [_canonical(LazyImage.of(source), stored, where) for source in stored.levels]


def read_labels(path: str | Path) -> Array:
    """Read label codes `([T,] [Z,] Y, X)` uint8: 0 unlabelled, 1 positive, 2 negative, 3 ignore, 4... further classes.

    Of a large file the codes come lazily, and other values are refused when they are read.

    Raises
    ------
    InputError
        If the file cannot be read or holds other values.
    """
    where = f"Label file {str(path)!r}"
    return _made(_open_exact(path, where), partial(_codes, where=where), np.uint8, where)


def read_numbers(path: str | Path) -> Array:
    """Read numbers of classes `([T,] [Z,] Y, X)` uint8: whole numbers from 0 to `MAX_CLASSES`.

    Raises
    ------
    InputError
        If the file cannot be read or holds other values.
    """
    where = f"Mask file {str(path)!r}"
    return _made(_open_exact(path, where), partial(_numbers, where=where), np.uint8, where)


def read_mask(path: str | Path) -> Array:
    """Read a mask `([T,] [Z,] Y, X)` bool: True where any colour is not zero (and what has alpha is not transparent).

    Of a large file it comes lazily.

    Raises
    ------
    InputError
        If the file cannot be read, or holds fractions, as a probability does.
    """
    where = f"Mask file {str(path)!r}"
    stored = _open_exact(path, where)
    at = stored.axes.find("S")
    alpha = at >= 0 and "C" not in stored.axes and stored.levels[0].shape[at] in (2, 4)
    axes = stored.axes.replace("S", "C") if alpha else stored.axes  # so that alpha is kept
    return _made(replace(stored, axes=axes), partial(_painted, alpha=alpha, where=where), np.bool_, where)


def read_probability(path: str | Path) -> Array:
    """Read probabilities `([T,] [Z,] Y, X)` float32, or of several classes `(K, [T,] [Z,] Y, X)`.

    Of a large file they come lazily, and other values are refused when they are read.

    Raises
    ------
    InputError
        If the file cannot be read, is not of a float type, or has a value that is not in 0..1.
    """
    where = f"Probability file {str(path)!r}"
    stored = open_file(Path(path), where)
    if "C" in stored.axes:
        image = _canonical(_pixels(stored, 0), stored, where)
        if len(image) > 1:
            check, lazy = partial(_checked_fractions, where=where), not isinstance(image, np.ndarray)
            return LazyImage.of(Mapped(image, check, np.float32, where, each=True)) if lazy else check(image)
    return _made(stored, partial(_fractions, where=where), np.float32, where)


def _made(stored: Stored, function: Callable[[np.ndarray], np.ndarray], dtype: Any, where: str) -> Array:
    """What a function makes of the channels (C, ...); of a large file lazily, after a look at its first pixel."""
    image = _canonical(_pixels(stored, 0), stored, where)
    if isinstance(image, np.ndarray):
        return function(image)
    function(np.zeros((image.shape[0], *(1 for _ in image.shape[1:])), image.dtype))  # refuses a wrong type at once
    return LazyImage.of(Mapped(image, function, dtype, where))


def _single_channel(image: np.ndarray, where: str) -> np.ndarray:
    if any(not np.array_equal(image[0], channel) for channel in image[1:]):  # grey saved as RGB is fine
        raise InputError(f"{where} has {image.shape[0]} channels that differ. Save it with one channel.")
    return np.asarray(image[0])


def _codes(image: np.ndarray, where: str) -> np.ndarray:
    labels = _single_channel(image, where)
    return check_labels(labels, labels.shape, where, MAX_CLASSES)


def _numbers(image: np.ndarray, where: str) -> np.ndarray:
    values = _single_channel(image, where)
    if values.dtype.kind not in "bui" or not ((values >= 0) & (values <= MAX_CLASSES)).all():
        raise InputError(f"{where} holds other values than the numbers of classes, 0 to {MAX_CLASSES}.")
    return values.astype(np.uint8)


def _painted(image: np.ndarray, alpha: bool, where: str) -> np.ndarray:
    if image.dtype.kind == "f" and not np.array_equal(image, np.round(image)):
        raise InputError(f"{where} holds fractions, not a mask. Give an image that is zero where nothing is painted.")
    painted = (image[:-1] != 0).any(axis=0) & (image[-1] != 0) if alpha else (image != 0).any(axis=0)
    return np.asarray(painted)


def _fractions(image: np.ndarray, where: str) -> np.ndarray:
    return _checked_fractions(_single_channel(image, where), where)


def _checked_fractions(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind != "f" or not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"{where} has values that are not fractions from 0 to 1. Give an output of `predict`.")
    return np.ascontiguousarray(values, dtype=np.float32)


def _open_exact(path: str | Path, where: str) -> Stored:
    stored = open_file(Path(path), where, indexed=True)
    if stored.lossy:
        raise InputError(f"{where} is a JPEG, which changes values near edges. Save it as PNG or TIFF.")
    return stored


def _pixels(stored: Stored, level: int) -> Array:
    """The pixels in the order of the file: an ndarray, or a lazy image if they are many."""
    source = stored.levels[level]
    return LazyImage.of(source) if source.nbytes > LAZY_BYTES else guarded(source.whole, source.where)


def _canonical(pixels: Array, stored: Stored, where: str) -> Array:
    try:
        return to_channels_first(pixels, stored.axes)
    except InputError as error:
        raise InputError(f"{where} cannot be used. {error}") from None


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

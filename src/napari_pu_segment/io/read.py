"""Images, label codes, masks and probabilities from files, in the package's one axis order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..core.samples import Array, Sample, check_labels, to_channels_first
from .formats import Decoded, decode


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image that was read.

    Parameters
    ----------
    image : array, (C, [Z,] Y, X)
        Real numbers as they are stored; an alpha channel is dropped. Memory-mapped where it is very large.
    channel_names : tuple of str
        One for each channel, or empty.
    pixel_size : tuple of float, ([Z,] Y, X)
        Size of a pixel in `pixel_unit`, or empty where it is not told. Planes without a known distance get 1.
    pixel_unit : str
    """

    image: Array
    channel_names: tuple[str, ...] = ()
    pixel_size: tuple[float, ...] = ()
    pixel_unit: str = "px"

    def sample(self, name: str, labels: np.ndarray | None = None) -> Sample:
        """The image as a `Sample`, with strokes where they are known; `name` is for messages."""
        return Sample(self.image, labels, "scribble", name, self.channel_names, self.pixel_size, self.pixel_unit)


def read_image(path: str | Path) -> ImageFile:
    """Read an image. Time is taken as planes; see `io_formats.plain_axes` for arrays that do not tell their axes.

    Raises
    ------
    InputError
        If the file cannot be used; one sentence that names it and says what to do.
    """
    where = f"Image file {str(path)!r}"
    decoded = decode(Path(path), where)
    image = _canonical(decoded, where)
    if image.dtype.kind == "f" and image.nbytes < 2**31 and not np.isfinite(image).any():
        raise InputError(f"{where} holds no finite value: every pixel is NaN or infinite. Check how it was saved.")
    names = decoded.channel_names
    if "S" in decoded.axes and image.shape[0] == 3:
        names = ("red", "green", "blue")
    if len(names) != image.shape[0] or not all(names):
        names = ()
    size, unit = _pixel_size(decoded, image.ndim - 1)
    return ImageFile(image, names, size, unit)


def read_labels(path: str | Path) -> np.ndarray:
    """Read label codes ([Z,] Y, X) uint8: 0 unlabelled, 1 positive, 2 negative, 3 ignore.

    Raises
    ------
    InputError
        If the file cannot be read or holds other values.
    """
    where = f"Label file {str(path)!r}"
    labels = _single_channel(_decode_exact(path, where), where)
    return check_labels(labels, labels.shape, where)


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask ([Z,] Y, X) bool: True where any colour is not zero (and, with an alpha channel, not transparent).

    Raises
    ------
    InputError
        If the file cannot be read, or holds fractions, as a probability does.
    """
    where = f"Mask file {str(path)!r}"
    decoded = _decode_exact(path, where)
    if decoded.array.dtype.kind == "f" and not np.array_equal(decoded.array, np.round(decoded.array)):
        raise InputError(f"{where} holds fractions, not a mask. Give an image that is zero where nothing is painted.")
    painted = (_canonical(decoded, where) != 0).any(axis=0)
    if "S" in decoded.axes and decoded.array.shape[decoded.axes.index("S")] in (2, 4):
        alpha = decoded.array.take(-1, decoded.axes.index("S"))
        visible = to_channels_first(alpha, decoded.axes.replace("S", ""))
        painted &= visible[0] != 0
    return np.asarray(painted)


def read_probability(path: str | Path) -> np.ndarray:
    """Read probabilities ([Z,] Y, X) float32.

    Raises
    ------
    InputError
        If the file cannot be read, is not of a float type, or has a value that is not in 0..1.
    """
    where = f"Probability file {str(path)!r}"
    probability = _single_channel(decode(Path(path), where), where)
    if probability.dtype.kind != "f" or not ((probability >= 0) & (probability <= 1)).all():
        raise InputError(f"{where} has values that are not fractions from 0 to 1. Give an output of `predict`.")
    return np.ascontiguousarray(probability, dtype=np.float32)


def _decode_exact(path: str | Path, where: str) -> Decoded:
    decoded = decode(Path(path), where, indexed=True)
    if decoded.lossy:
        raise InputError(f"{where} is a JPEG, which changes values near edges. Save it as PNG or TIFF.")
    return decoded


def _canonical(decoded: Decoded, where: str) -> np.ndarray:
    try:
        image = to_channels_first(decoded.array, decoded.axes)
    except InputError as error:
        raise InputError(f"{where} cannot be used. {error}") from None
    if image.dtype.itemsize > 8:
        return np.asarray(image, dtype=np.float64)
    if image.dtype.byteorder not in "=|" or image.dtype == bool:
        return np.asarray(image, dtype=np.uint8 if image.dtype == bool else image.dtype.newbyteorder("="))
    return np.asarray(image)


def _single_channel(decoded: Decoded, where: str) -> np.ndarray:
    image = _canonical(decoded, where)
    if any(not np.array_equal(image[0], channel) for channel in image[1:]):  # grey saved as RGB is fine
        raise InputError(f"{where} has {image.shape[0]} channels that differ. Save it with one channel.")
    return np.asarray(image[0])


def _pixel_size(decoded: Decoded, ndim: int) -> tuple[tuple[float, ...], str]:
    size = tuple(decoded.spacing.get(axis, 0.0) for axis in "ZYX"[-ndim:])
    known = [isinstance(value, (int, float)) and math.isfinite(value) and value > 0 for value in size]
    if not all(known[-2:]):
        return (), "px"
    return tuple(float(value) if ok else 1.0 for value, ok in zip(size, known, strict=True)), decoded.unit

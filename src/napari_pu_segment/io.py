"""Images, strokes and results on disk: the only place that knows file formats (its decoders are in `io_formats`).

Read: PNG, JPEG and BMP; TIFF with 8 or 16 bits or float, RGB(A), channels, planes or time, with the axes, channel
names and pixel size of ImageJ and OME; .npy without pickled objects. Written: TIFF, and PNG for pictures to look at.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .core.errors import InputError
from .core.files import write_atomically
from .core.samples import IGNORE, NEGATIVE, POSITIVE, Array, Sample, check_labels, codes_from_masks, to_channels_first
from .core.strokes_file import MAX_BYTES, from_geojson, to_geojson
from .io_formats import TIFF_TYPES, Decoded, decode, write_tiff
from .io_formats import clean_unit as clean_unit

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy")
GEOJSON_SUFFIXES = (".geojson", ".json")
_CODES = {"positive": POSITIVE, "negative": NEGATIVE, "ignore": IGNORE}
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}
_MAX_NAME_BYTES = 150


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


def read_strokes(path: str | Path, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Read strokes on an image of a shape ([Z,] Y, X): GeoJSON, or an image of label codes.

    Returns
    -------
    dict of str to ndarray of bool, ([Z,] Y, X)
        By role: "positive", "negative", "ignore".

    Raises
    ------
    InputError
        If the file cannot be used, or is of another shape.
    """
    path, where = Path(path), f"Stroke file {str(path)!r}"
    if path.suffix.lower() not in GEOJSON_SUFFIXES:
        labels = check_labels(read_labels(path), shape, "The image")
        return {role: labels == code for role, code in _CODES.items()}
    try:
        if path.stat().st_size > MAX_BYTES or not path.is_file():
            raise InputError(f"{where} is no GeoJSON file, or it is too large. Give an image of label codes.")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return from_geojson(content, shape, where=where)


def write_strokes(
    path: str | Path, strokes: Mapping[str, np.ndarray], pixel_size: tuple[float, ...] = (), pixel_unit: str = "px"
) -> None:
    """Write strokes, masks ([Z,] Y, X) by role, as GeoJSON or as a TIFF of label codes, as the suffix says.

    In a TIFF a pixel has one code: what is painted both positive and negative is ignored, as it is in training.

    Raises
    ------
    InputError
        If the suffix is another one, or the file cannot be written.
    """
    if Path(path).suffix.lower() in GEOJSON_SUFFIXES:
        write_atomically(path, to_geojson(strokes))
    else:
        write_image(path, codes_from_masks(**strokes), pixel_size, pixel_unit)


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


def list_images(folder: str | Path) -> list[Path]:
    """The image files of a folder (not of its folders), by name; links that lead out of the folder are left out.

    Raises
    ------
    InputError
        If the folder cannot be read or has no image.
    """
    folder = Path(folder)
    try:
        root = folder.resolve()
        found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES]
        found = [path for path in found if not path.name.startswith(".") and path.is_file()]
        found = [path for path in found if path.resolve().is_relative_to(root)]
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Folder {str(folder)!r} cannot be read: {reason}. Check the path.") from None
    if not found:
        raise InputError(f"Folder {str(folder)!r} has no images ({', '.join(IMAGE_SUFFIXES)}).")
    return found


def sanitise_name(name: str) -> str:
    """A file name without suffix that every system accepts and that stays in its folder.

    Separators, control characters and characters that Windows forbids become "_"; reserved names get a "_" in front;
    a name of more than 150 bytes is cut and ends with a hash of the whole, so that different names stay different.
    """
    clean = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]', "_", name).strip(" ").rstrip(". ").lstrip(".")
    if clean.split(".")[0].lower() in _RESERVED:
        clean = "_" + clean
    if len(clean.encode()) > _MAX_NAME_BYTES:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        clean = clean.encode()[:_MAX_NAME_BYTES].decode("utf-8", "ignore") + "-" + digest
    return clean or "unnamed"


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

"""Which format a file is, and its header: nothing here decodes a pixel of more than a picture's palette."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from ..core.errors import InputError
from .bio import BIO_SUFFIXES, open_bio
from .fits import FITS_MAGIC, open_fits
from .raw import RawSource, Reversed
from .source import Source, Window, check_claim, guarded
from .tiff import TIFF_MAGIC, open_levels
from .tiff_chain import check_chain
from .tiff_meta import stored_axes, told_by
from .zarr_read import is_zarr, open_zarr

NPY_MAGIC = b"\x93NUMPY"
_PICTURE_BYTES = 2**28  # a picture of more must not be compressed too well: it is decoded as a whole


@dataclass(frozen=True, eq=False)
class Stored:
    """What the header of an image file tells, and the way to its pixels as they are stored.

    Parameters
    ----------
    levels : tuple of Source
        The image, and smaller ones of the same if the file has them.
    axes : str
        One letter for each axis, of C, S (RGB sample), Z, T, Y and X.
    format : str
        "npy", "picture", "tiff", "zarr", "fits" or "bioio".
    channel_names : tuple of str
        One for each channel, or empty.
    spacing : mapping
        Size of a pixel along an axis, by its letter; axes that are not told are left out.
    unit : str
        Unit of `spacing`; "px" where it is not told.
    lossy : bool
        Whether the compression changes values.
    """

    levels: tuple[Source, ...]
    axes: str
    format: str
    channel_names: tuple[str, ...] = ()
    spacing: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "px"
    lossy: bool = False


def open_file(path: Path, where: str, *, indexed: bool = False) -> Stored:
    """Read the header of an image; the format is known from the first bytes, not from the name.

    Parameters
    ----------
    path : Path
        A file, or the folder of a zarr image.
    where : str
        Start of the sentence in an error.
    indexed : bool
        Give the indices into a colour table instead of the colours.

    Raises
    ------
    InputError
        If the file is missing, foreign, damaged, cut short, promises too much, or holds something else than real
        numbers.
    OutOfMemoryError
        If the computer has not enough memory for it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large images; the limits here decide
        stored: Stored = guarded(lambda: _open(path, where, indexed), where)
    source = stored.levels[0]
    if source.stored.kind not in "buif":  # complex128, str32, void16
        raise InputError(
            f"{where} holds {source.stored.name} values; only real numbers can be used. "
            "Save real numbers, one per channel."
        )
    if 0 in source.shape:
        raise InputError(f"{where} is empty: its shape is {source.shape}. Give an image with at least one pixel.")
    return stored


def _open(path: Path, where: str, indexed: bool) -> Stored:
    magic = _first_bytes(path, where)
    if magic is None:
        image = open_zarr(path, where)
        axes = image.axes or plain_axes(image.levels[0].shape, image.levels[0].dtype, where)
        return Stored(image.levels, axes, "zarr", image.channel_names, image.spacing, image.unit)
    if magic.startswith(NPY_MAGIC):
        return _npy(path, where)
    if magic.startswith(TIFF_MAGIC):
        return _tiff(path, where)
    if magic.startswith(FITS_MAGIC):
        pixels, axes, names = open_fits(path, where)
        return Stored((pixels,), axes, "fits", names)
    if path.suffix.lower() in BIO_SUFFIXES:
        source, axes, names, spacing = open_bio(path, where)
        return Stored((source,), axes, "bioio", names, spacing, "um")
    return _picture(path, where, indexed)


def _first_bytes(path: Path, where: str) -> bytes | None:
    """The first bytes of a file, or None for the folder of a zarr image."""
    try:
        if path.is_dir():
            if is_zarr(path):
                return None
            raise InputError(f"{where} is a folder. Give an image file.")
        if path.exists() and not path.is_file():
            raise InputError(f"{where} is not an ordinary file. Give an image file.")
        with open(path, "rb") as handle:
            magic = handle.read(8)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{where} cannot be read: {reason}. Check the path.") from None
    if not magic:
        raise InputError(f"{where} is empty (0 bytes). Export it again.")
    return magic


def plain_axes(shape: Sequence[int], dtype: np.dtype[Any], where: str) -> str:
    """Axes of an array that does not tell them.

    A last axis of 3 or 4 values of uint8 or uint16 is taken for RGB(A); otherwise three axes are planes, rows and
    columns, and four are channels, planes, rows and columns.

    Raises
    ------
    InputError
        If there are fewer than two or more than four axes.
    """
    rgb = len(shape) in (3, 4) and shape[-1] in (3, 4) and dtype in (np.uint8, np.uint16)
    axes = {2: "YX", 3: "YXS" if rgb else "ZYX", 4: "ZYXS" if rgb else "CZYX"}.get(len(shape))
    if axes is None:
        raise InputError(
            f"{where} has shape {tuple(shape)}; an image needs two to four axes: ([channel,] [plane,] row, column)."
        )
    return axes


def _npy(path: Path, where: str) -> Stored:
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # refuses objects, and a header that promises too much
    axes = plain_axes(mapped.shape, mapped.dtype, where)
    fortran = mapped.flags.f_contiguous and not mapped.flags.c_contiguous
    shape = mapped.shape[::-1] if fortran else mapped.shape
    blocks = [512 if n > 4 else n for n in shape]
    source: Source = RawSource(path, mapped.offset, shape, mapped.dtype, blocks, where)
    return Stored((Reversed(source) if fortran else source,), axes, "npy")


class _Picture(Source):
    """A PNG, JPEG or BMP, decoded as a whole when it is read."""

    def __init__(self, path: Path, picture: Image.Image, mode: str, where: str) -> None:
        self.path, self.mode = path, mode
        probe = np.asarray(Image.new(mode, (1, 1)))
        shape = (picture.height, picture.width, *probe.shape[2:])
        super().__init__(shape, probe.dtype, shape, where)

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window."""
        with Image.open(self.path, formats=("PNG", "JPEG", "BMP")) as file:
            picture: Image.Image = file
            if self.mode != picture.mode:
                picture = picture.convert(self.mode)
            return np.array(picture)[window]


def _picture(path: Path, where: str, indexed: bool) -> Stored:
    try:
        opened = Image.open(path, formats=("PNG", "JPEG", "BMP"))
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise InputError(f"{where} is larger than {limit} megapixels. Save it as an uncompressed TIFF.") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{where} is not an image this plugin reads. Save it as PNG, JPEG, BMP, TIFF, .npy or OME-Zarr."
        ) from None
    with opened as picture:
        if picture.format == "PNG" and getattr(picture, "n_frames", 1) > 1:
            raise InputError(f"{where} is an animation. Save the frames as a TIFF stack.")
        if picture.mode in ("RGB", "RGBA", "LA") and any("16" in str(tile[3]) for tile in picture.tile):
            raise InputError(f"{where} has 16 bits per colour, which PNG readers cut to 8. Save it as TIFF.")
        mode = picture.mode
        if mode in ("P", "PA") and not indexed:
            mode = "RGBA" if "transparency" in picture.info or mode == "PA" else "RGB"
        elif mode not in ("1", "L", "LA", "P", "I", "F", "RGB", "RGBA") and "I;16" not in mode:
            mode = "RGB"
        source = _Picture(path, picture, mode, where)
        check_claim(source.nbytes, path.stat().st_size, where, _PICTURE_BYTES)
        axes = "YX" if source.ndim == 2 else "YXS"
        return Stored((source,), axes, "picture", lossy=picture.format in ("JPEG", "MPO"))


def _tiff(path: Path, where: str) -> Stored:
    check_chain(path, where)
    with tifffile.TiffFile(path, _multifile=False) as tif:  # no other file that OME may name is opened
        levels = open_levels(tif, path, where)
        series = tif.series[0]
        axes = stored_axes(series)
        if axes is None:
            raise InputError(
                f"{where} has axes {series.axes!r}, which this plugin does not know. "
                "Save one image or one stack of planes."
            )
        axes = axes or plain_axes(series.shape, series.dtype, where)
        names, spacing, unit = told_by(tif, axes)
        lossy = int(series.keyframe.compression) in (6, 7)
        return Stored(tuple(levels), axes, "tiff", names, spacing, unit, lossy)

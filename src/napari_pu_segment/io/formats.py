"""The file formats behind `io`; every decoder checks the header before it decodes a pixel."""

from __future__ import annotations

import logging
import math
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import tifffile
from PIL import Image, ImageSequence, UnidentifiedImageError

from ..core.errors import InputError, OutOfMemoryError

MAX_DECODED_BYTES = 2**31  # of a compressed TIFF; plain ones and .npy files beyond it are memory-mapped instead
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NPY_MAGIC = b"\x93NUMPY"
TIFF_TYPES = ("uint8", "uint16", "float32")  # what ImageJ's form of TIFF can hold
_BYTE_ORDER: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}
_IMAGEJ_BYTES = 2**32 - 2**20  # ImageJ's form cannot be longer than 4 GiB
_UNITS = {"micron": "um", "microns": "um", "micrometer": "um", "µm": "um", "μm": "um", "\\u00b5m": "um", "pixel": "px"}

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it reports damaged files on stderr; we raise


@dataclass(frozen=True, eq=False)
class Decoded:
    """The pixels of a file as they are stored, and what the file tells about them.

    Parameters
    ----------
    array : ndarray
    axes : str
        One letter for each axis, of C, S (RGB sample), Z, T, Y and X.
    channel_names : tuple of str
        One for each channel, or empty.
    spacing : dict
        Size of a pixel along an axis, by its letter; axes that are not told are left out.
    unit : str
        Unit of `spacing`; "px" where it is not told.
    lossy : bool
        Whether the compression changes values.
    """

    array: np.ndarray
    axes: str
    channel_names: tuple[str, ...] = ()
    spacing: dict[str, float] = field(default_factory=dict)
    unit: str = "px"
    lossy: bool = False


def decode(path: Path, where: str, *, indexed: bool = False) -> Decoded:
    """Decode an image file; the format is known from its first bytes, not from its name.

    Parameters
    ----------
    path : Path
    where : str
        Start of the sentence in an error.
    indexed : bool
        Give the indices into a colour table instead of the colours.

    Raises
    ------
    InputError
        If the file is missing, foreign, damaged, cut short, too large, or holds something else than real numbers.
    OutOfMemoryError
        If the computer has not enough memory for it.
    """
    magic = _first_bytes(path, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the limits here decide
            if magic.startswith(NPY_MAGIC):
                decoded = _npy(path, where)
            elif magic.startswith(TIFF_MAGIC):
                decoded = _tiff(path, where)
            else:
                decoded = _picture(path, where, indexed)
    except InputError:
        raise
    except MemoryError:
        raise OutOfMemoryError(f"{where} does not fit into memory. Cut it, or save it uncompressed.") from None
    except Exception as error:  # decoders raise anything at all on damaged data
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{where} is damaged or cut short ({reason}). Export it again.") from None
    kind = decoded.array.dtype.name  # complex128, str32, void16
    if decoded.array.dtype.kind not in "buif":
        raise InputError(
            f"{where} holds {kind} values; only real numbers can be used. Save real numbers, one per channel."
        )
    if 0 in decoded.array.shape:
        raise InputError(
            f"{where} is empty: its shape is {decoded.array.shape}. Give an image with at least one pixel."
        )
    return decoded


def _first_bytes(path: Path, where: str) -> bytes:
    try:
        if path.is_dir():
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


def plain_axes(array: np.ndarray, where: str) -> str:
    """Axes of an array that does not tell them.

    A last axis of 3 or 4 values of uint8 or uint16 is taken for RGB(A); otherwise three axes are planes, rows and
    columns, and four are channels, planes, rows and columns.

    Raises
    ------
    InputError
        If there are fewer than two or more than four axes.
    """
    rgb = array.ndim in (3, 4) and array.shape[-1] in (3, 4) and array.dtype in (np.uint8, np.uint16)
    axes = {2: "YX", 3: "YXS" if rgb else "ZYX", 4: "ZYXS" if rgb else "CZYX"}.get(array.ndim)
    if axes is None:
        raise InputError(
            f"{where} has shape {array.shape}; an image needs two to four axes: ([channel,] [plane,] row, column)."
        )
    return axes


def _npy(path: Path, where: str) -> Decoded:
    array = np.load(path, mmap_mode="r", allow_pickle=False)  # refuses objects, and a header that promises too much
    if array.nbytes <= MAX_DECODED_BYTES:
        array = np.array(array)
    return Decoded(array, plain_axes(array, where))


def _picture(path: Path, where: str, indexed: bool) -> Decoded:
    try:
        opened = Image.open(path, formats=("PNG", "JPEG", "BMP"))
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise InputError(f"{where} is larger than {limit} megapixels. Save it as an uncompressed TIFF.") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{where} is not an image this plugin reads. Save it as PNG, JPEG, BMP, TIFF or .npy."
        ) from None
    with opened as file:
        picture: Image.Image = file
        if picture.format == "PNG" and getattr(picture, "n_frames", 1) > 1:
            raise InputError(f"{where} is an animation. Save the frames as a TIFF stack.")
        if picture.mode in ("RGB", "RGBA", "LA") and any("16" in str(tile[3]) for tile in file.tile):
            raise InputError(f"{where} has 16 bits per colour, which PNG readers cut to 8. Save it as TIFF.")
        if picture.mode in ("P", "PA") and not indexed:
            picture = picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")
        elif picture.mode not in ("1", "L", "LA", "P", "I", "F", "RGB", "RGBA") and "I;16" not in picture.mode:
            picture = picture.convert("RGB")
        array = np.array(picture)
        return Decoded(array, "YX" if array.ndim == 2 else "YXS", lossy=file.format in ("JPEG", "MPO"))


def _tiff(path: Path, where: str) -> Decoded:
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        others = [other for other in tif.series[1:] if not other.keyframe.is_reduced]
        if others:
            raise InputError(f"{where} holds {len(others) + 1} separate images. Save the one to use on its own.")
        if _cut_chain(tif) or _holes(series, os.path.getsize(path)):
            raise InputError(f"{where} is cut short: pixels that its header promises are missing. Export it again.")
        if series.nbytes > MAX_DECODED_BYTES:
            if series.dataoffset is None:
                gb = MAX_DECODED_BYTES / 1e9
                raise InputError(f"{where} is larger than {gb:.1f} GB when decoded. Save it uncompressed, or cut it.")
            array: np.ndarray = tifffile.memmap(path, mode="r")
        else:
            array = _tiff_pixels(tif, path, where)
        axes = _tiff_axes(series, array, where)
        names, spacing, unit = _ome(tif) if tif.is_ome else _imagej(tif, axes) if tif.is_imagej else ((), {}, "px")
        return Decoded(array, axes, names, spacing, unit, lossy=int(series.keyframe.compression) in (6, 7))


def _cut_chain(tif: tifffile.TiffFile) -> bool:
    """Whether the chain of pages leads beyond the end of the file; tifffile would leave out the rest."""
    form, handle = tif.tiff, tif.filehandle
    handle.seek(tif.pages[len(tif.pages) - 1].offset)
    n_tags = int.from_bytes(handle.read(form.tagnosize), _BYTE_ORDER[form.byteorder])
    handle.seek(n_tags * form.tagsize, 1)
    return any(handle.read(form.offsetsize))


def _holes(series: Any, file_bytes: int) -> bool:
    """Whether pixels lie beyond the end of the file, or are absent, which would read as zeros."""
    if series.dataoffset is not None:
        return bool(series.dataoffset + series.nbytes > file_bytes)
    pages = [page for page in series.pages if page is not None]
    segments = [pair for page in pages for pair in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(pages) < len(series.pages) or not segments:
        return True
    return any(count == 0 or offset + count > file_bytes for offset, count in segments)


def _tiff_pixels(tif: tifffile.TiffFile, path: Path, where: str) -> np.ndarray:
    series = tif.series[0]
    try:
        return np.asarray(series.asarray(maxworkers=1))
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    with Image.open(path, formats=("TIFF",)) as picture:  # LZW and JPEG, which tifffile does not decode on its own
        frames = [np.array(frame) for frame in ImageSequence.Iterator(picture)]
    array = np.squeeze(np.stack(frames))
    if array.dtype.newbyteorder("=") != series.dtype.newbyteorder("=") or array.size != math.prod(series.shape):
        kind = tifffile.COMPRESSION(series.keyframe.compression).name
        raise InputError(f"{where} is compressed with {kind}. Run `pip install imagecodecs`, or save it uncompressed.")
    return array.reshape(series.shape)


def _tiff_axes(series: Any, array: np.ndarray, where: str) -> str:
    axes = series.axes
    if "C" not in axes and not _has_colour(series.keyframe):
        axes = axes.replace("S", "C")
    unknown = [axis for axis in axes if axis not in "CSZTYX"]
    if not unknown:
        return str(axes)
    if "Q" in axes and not set(axes) - set("QYX"):  # no axes were stored
        return plain_axes(array, where)
    if len(unknown) == 1 and "Z" not in axes:
        return str(axes).replace(unknown[0], "Z")
    raise InputError(
        f"{where} has axes {axes!r}, which this plugin does not know. Save one image or one stack of planes."
    )


def _has_colour(page: Any) -> bool:
    """Whether samples are RGB(A), or grey and alpha, and not any channels."""
    return page.photometric in (2, 6) or bool(set(page.extrasamples or ()) & {1, 2})


def _imagej(tif: tifffile.TiffFile, axes: str) -> tuple[tuple[str, ...], dict[str, float], str]:
    metadata, tags = tif.imagej_metadata or {}, tif.pages.first.tags
    spacing = {}
    for axis, tag in (("X", "XResolution"), ("Y", "YResolution")):
        pixels, units = tags.valueof(tag, default=(1, 1))
        spacing[axis] = units / pixels if pixels else 0.0
    spacing["Z"] = metadata.get("spacing", 0.0)
    labels = metadata.get("Labels", [])
    names = tuple(map(str, labels)) if not set(axes) & set("ZT") else ()
    unit = clean_unit(metadata.get("unit", "px"))
    if unit == "px" and spacing["X"] == spacing["Y"] == 1:
        spacing = {}
    return names, spacing, unit


def _ome(tif: tifffile.TiffFile) -> tuple[tuple[str, ...], dict[str, float], str]:
    pixels = ElementTree.fromstring(tif.ome_metadata or "").find("{*}Image/{*}Pixels")
    if pixels is None:
        return (), {}, "px"
    spacing = {axis: float(pixels.get(f"PhysicalSize{axis}", 0)) for axis in "XYZ"}
    units = {pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "XYZ" if spacing[axis] > 0}
    names = tuple(channel.get("Name", "") for channel in pixels.findall("{*}Channel"))
    if len(units) != 1:  # not told, or different along the axes
        return names, {}, "px"
    return names, spacing, clean_unit(units.pop())


def clean_unit(unit: object) -> str:
    """A unit of length as one short printable word; the many spellings of micrometre become "um"."""
    text = "".join(filter(str.isprintable, str(unit).strip()))[:20]
    return _UNITS.get(text.lower(), text) or "px"


def write_tiff(name: str, array: np.ndarray, pixel_size: tuple[float, ...], pixel_unit: str) -> None:
    """Write a TIFF in ImageJ's form (beyond 4 GiB: BigTIFF), without any time stamp.

    Parameters
    ----------
    name : str
    array : ndarray, ([Z,] Y, X), of one of `TIFF_TYPES`
    pixel_size : tuple of float, ([Z,] Y, X), or empty
    pixel_unit : str
    """
    unit = clean_unit(pixel_unit).encode("ascii", "ignore").decode() or "px"  # ImageJ's form is ASCII
    size = pixel_size or (1.0,) * array.ndim
    metadata: dict[str, Any] = {"axes": "ZYX"[-array.ndim :]}
    if pixel_size:
        metadata |= {"unit": unit} | ({"spacing": size[0]} if array.ndim == 3 else {})
    small = array.nbytes < _IMAGEJ_BYTES
    form: dict[str, Any] = {"imagej": True} if small else {"bigtiff": True, "photometric": "minisblack"}
    tifffile.imwrite(name, array, resolution=(1 / size[-1], 1 / size[-2]), metadata=metadata, **form)

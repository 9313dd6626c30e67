"""Results that are too large to hold: written block by block beside their place, and put there when they are whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError, OutputError, PuSegmentError
from ..core.files import PART
from ..core.progress import Work, run
from .placing import put, writing
from .source import basic
from .tiff_write import TIFF_TYPES, write_tiff
from .zarr_write import (
    ZarrArray,
    build_pyramid,
    n_missing,
    sync,
    sync_tree,
    write_array_json,
    write_image_json,
    write_json,
)

ZARR_SUFFIXES = (".ome.zarr", ".zarr")
OUTPUT_SUFFIXES = (".tif", ".tiff", *ZARR_SUFFIXES)
_TOLD = "output.json"
_AXES = ("YX", "ZYX", "TYX", "TZYX")
_STACKED_AXES = tuple(f"C{axes}" for axes in _AXES)


@dataclass(frozen=True)
class _Told:
    """What an output is to become; kept beside its unfinished pixels."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    axes: str
    pixel_size: tuple[float, ...]
    pixel_unit: str
    labels: bool
    key: str
    channel_names: tuple[str, ...] = ()

    @property
    def stored_axes(self) -> str:
        """As they lie on the disk: OME-Zarr wants time before channels."""
        return self.axes.replace("CT", "TC")


class Output:
    """An image on disk that is being written; made by `create_output`, or by `open_part` in another process.

    `out[slices] = block` writes and `out[slices]` reads, with basic slices of the axes `([C,] [T,] [Z,] Y, X)`; what
    was not written yet reads as zeros. Nothing is seen under the final name before `finish`.

    Parameters
    ----------
    part : Path
        The folder of the unfinished output.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    block_px : tuple of int
        Several processes may write at once if each writes blocks whose borders are multiples of these (or the image's
        border): then each touches its own files.
    path : Path
        Where the finished output will lie.
    path_of_part : Path
        Where the unfinished one lies; for `open_part`.
    """

    def __init__(self, part: Path, resumed: bool = False) -> None:
        told = _read_told(part)
        self._sure = None if not resumed else set[tuple[int, ...]]()  # blocks of an earlier try that were read
        self.path_of_part, self.path, self._told = part, part.parent / told.name, told
        with writing(self.path):
            self._array = ZarrArray(part / "image" / "0", part / "scratch", f"Output {str(self.path)!r}")
        self.shape, self.dtype, self.block_px = told.shape, self._array.dtype, self._turned(self._array.chunk_px)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        window, rest = basic(key, self.shape)
        with writing(self.path):
            pixels = self._array.read(self._turned(window))
        return np.asarray((pixels.swapaxes(0, 1) if self._is_turned else pixels)[rest])

    def __setitem__(self, key: Any, block: Any) -> None:
        window, rest = basic(key, self.shape)
        shape = [w.stop - w.start for w in window]
        if any(r != slice(None, None, 1) and r != 0 for r in rest):
            raise TypeError("an output is written in whole windows, without steps")
        kept = tuple(n for n, r in zip(shape, rest, strict=True) if r != 0)
        with writing(self.path):
            whole = np.broadcast_to(np.asarray(block, self.dtype), kept).reshape(shape)
            self._array.write(self._turned(window), whole.swapaxes(0, 1) if self._is_turned else whole)

    @property
    def _is_turned(self) -> bool:
        return self._told.axes != self._told.stored_axes

    def _turned(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Values for each axis, in the order of the disk, or back again."""
        return (values[1], values[0], *values[2:]) if self._is_turned else values

    def holds(self, key: Any) -> bool:
        """Whether all blocks that a window touches were written; damaged ones of an earlier try are forgotten."""
        window, _ = basic(key, self.shape)
        return all(self._is_whole(index) for index in self._array.indices(self._turned(window)))

    def _is_whole(self, index: tuple[int, ...]) -> bool:
        path = self._array.path_of(index)
        if not path.exists() or self._sure is None or index in self._sure:
            return path.exists()
        try:
            self._array.read(self._array.box_of(index))
        except InputError:  # a power cut may have left it half written
            path.unlink()
            return False
        self._sure.add(index)
        return True

    def finish(self) -> Path:
        """Put the output at its place, and wait for it; see `finishing`."""
        return run(self.finishing())

    def finishing(self) -> Work[Path]:
        """Put the output at its place, whole: with its pyramid and metadata, flushed to the disk. Returns its path.

        Raises
        ------
        OutputError
            If the disk is full or gone; what was written before is kept, and `finish` can be tried again.
        PuSegmentError
            If a block was never written.
        """
        lacks = n_missing(self._array)
        if lacks:
            raise PuSegmentError(f"{str(self.path)!r} cannot be finished: {lacks} of its blocks were not written.")
        with writing(self.path):
            whole = yield from self._zarr() if self.path.name.endswith(ZARR_SUFFIXES) else self._tiff()
            put(whole, self.path, self.path_of_part)
            sync(self.path.parent)
        shutil.rmtree(self.path_of_part, ignore_errors=True)
        return self.path

    def _zarr(self) -> Work[Path]:
        told, image = self._told, self.path_of_part / "image"
        nearest = self.dtype.kind != "f"
        n_levels = len((yield from build_pyramid(image, self._array, told.stored_axes, nearest)))
        name = next(told.name.removesuffix(s) for s in ZARR_SUFFIXES if told.name.endswith(s))
        write_image_json(
            image,
            name,
            told.stored_axes,
            n_levels,
            told.pixel_size,
            told.pixel_unit,
            labels=told.labels,
            nearest=nearest,
            channel_names=told.channel_names,
        )
        yield from sync_tree(image)
        return image

    def _tiff(self) -> Work[Path]:
        told, whole = self._told, self.path_of_part / "image.tif"
        yield from write_tiff(str(whole), self, told.pixel_size, told.pixel_unit, told.axes, told.channel_names)
        sync(whole)
        return whole

    def discard(self) -> None:
        """Throw the unfinished output away."""
        shutil.rmtree(self.path_of_part, ignore_errors=True)


def create_output(
    path: str | Path,
    shape: tuple[int, ...],
    dtype: Any,
    *,
    pixel_size: tuple[float, ...] = (),
    pixel_unit: str = "px",
    axes: str = "",
    labels: bool = False,
    channel_names: Sequence[str] = (),
    key: str = "",
    resume: bool = False,
) -> Output:
    """Begin an output that is written block by block.

    Parameters
    ----------
    path : path
        Ends with .tif, .tiff, .ome.zarr or .zarr; what lies there is replaced when the output is finished.
    shape : tuple of int, `([T,] [Z,] Y, X)`, or `(C, [T,] [Z,] Y, X)` with `channel_names`
    dtype : uint8, uint16, uint32, int32, float32 or bool
    pixel_size : tuple of float, ([Z,] Y, X)
        Size of a pixel in `pixel_unit`, or empty; the last axes count.
    axes : str
        Such as "TYX"; by default three axes are planes, rows and columns. A leading "C" that `shape` does not have is
        left out.
    labels : bool
        Whether the numbers are labels (a mask, objects) and not intensities; told in OME-Zarr.
    channel_names : sequence of str
        Of the axis C.
    key : str
        Names the work, such as a hash of model and image: the unfinished output is found again by it.
    resume : bool
        Go on with an unfinished output of the same path, key and form, if there is one; `holds` tells which of
        its blocks are there and whole.

    Raises
    ------
    OutputError
        If it cannot be written there.
    InputError
        If the name, the type or the shape does not fit.
    """
    path = Path(path)
    dtype = np.dtype(np.uint8 if np.dtype(dtype).kind == "b" else dtype)
    axes = (axes.removeprefix("C") if len(axes) > len(shape) else axes) or "TZYX"[-len(shape) :]
    if not path.name.endswith(OUTPUT_SUFFIXES):
        raise InputError(f"Cannot write {str(path)!r}: give a name that ends with .tif or .ome.zarr.")
    if (
        dtype.name not in TIFF_TYPES
        or axes not in (_STACKED_AXES if channel_names else _AXES)
        or len(axes) != len(shape)
        or 0 in shape
    ):
        raise InputError(f"Cannot write {str(path)!r}: {dtype} values of shape {tuple(shape)} are not a result.")
    size = tuple(map(float, pixel_size))
    names = tuple(channel_names)
    told = _Told(path.name, tuple(map(int, shape)), dtype.name, axes, size, pixel_unit, labels, key, names)
    part = path.parent / _part_name(path.name, key)
    with writing(path):
        if resume and _found(part) == told:
            return Output(part, resumed=True)
        if part.exists():
            shutil.rmtree(part)
        part.mkdir()
        try:
            (part / "scratch").mkdir()
            stored = tuple(dict(zip(axes, told.shape, strict=True))[axis] for axis in told.stored_axes)
            write_array_json(part / "image" / "0", stored, dtype, told.stored_axes)
            write_json(part / _TOLD, asdict(told))  # the last: what has it is complete
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return Output(part)


def open_part(path: str | Path) -> Output:
    """The unfinished output in a folder (`Output.path_of_part`), for another process that writes blocks of it.

    Raises
    ------
    OutputError
        If it is gone.
    """
    return Output(Path(path))


def _part_name(name: str, key: str) -> str:
    return PART + hashlib.sha256(f"{name}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _read_told(part: Path) -> _Told:
    told = _found(part)
    if told is None:
        raise OutputError(f"Cannot write {str(part)!r}: the unfinished output is gone. Start again.")
    return told


def _found(part: Path) -> _Told | None:
    try:
        told = json.loads((part / _TOLD).read_text(encoding="ascii"))
        lists = {name: tuple(told[name]) for name in ("shape", "pixel_size", "channel_names")}
        found = _Told(**{**told, **lists})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if found.name == Path(found.name).name and (part / "image" / "0").is_dir() else None

"""OME-Zarr 0.5 as it is written: the JSON of arrays and images, chunks that appear whole or not at all, pyramids."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.progress import Progress, Ticker, Work
from .source import Window
from .units import ome_unit
from .zarr_codec import WRITTEN_CODECS, encode_chunk
from .zarr_meta import ArrayMeta, array_meta
from .zarr_read import OURS, ZarrSource

CHUNK_PX = 1024


def chunk_of(shape: Sequence[int]) -> tuple[int, ...]:
    """The chunk of an array `([T,] [Z,] Y, X)`: a square of one plane."""
    return (*(1 for _ in shape[:-2]), *(min(n, CHUNK_PX) for n in shape[-2:]))


def write_array_json(folder: Path, shape: Sequence[int], dtype: np.dtype[Any], axes: str) -> None:
    """Make the folder of an array that has no chunks yet."""
    (folder / "c").mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "zarr.json",
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(shape),
            "data_type": dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk_of(shape))}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": list(WRITTEN_CODECS),
            "attributes": {OURS: {"whole": True}},
            "dimension_names": list(axes.lower()),
        },
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file; the same content gives the same bytes."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n", encoding="ascii")


class ZarrArray:
    """An array of ours while it is written, in a folder that exists; unwritten pixels read as zeros.

    Several processes may write at once, as long as each writes chunks of its own.

    Parameters
    ----------
    folder : Path
        Made by `write_array_json`.
    scratch : Path
        An existing folder on the same disk, for files that are not whole yet.
    where : str
        Start of the sentence in an error.
    """

    def __init__(self, folder: Path, scratch: Path, where: str) -> None:
        found = array_meta(folder, where)
        if found is None:
            raise FileNotFoundError(2, "the unfinished output is gone", str(folder))
        self.folder, self.scratch = folder, scratch
        self.meta = ArrayMeta(found.shape, found.chunk, found.fill, found.key)
        self.shape, self.dtype = found.shape, found.chunk.dtype.newbyteorder("=")
        self.chunk_px = found.chunk.shape
        self._where = where

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window as they are now."""
        return ZarrSource(self.folder, self.meta, self._where).read(window)

    def write(self, window: Window, block: np.ndarray) -> None:
        """Write a window; a chunk of which it covers a part is read and written again."""
        block = np.broadcast_to(block, [w.stop - w.start for w in window])
        for index in self.indices(window):
            whole, starts = self.box_of(index), [i * n for i, n in zip(index, self.chunk_px, strict=True)]
            box = [slice(max(w.start, b.start), min(w.stop, b.stop)) for w, b in zip(window, whole, strict=True)]
            source = ZarrSource(self.folder, self.meta, self._where)
            chunk = np.zeros(self.chunk_px, self.dtype) if tuple(box) == whole else np.array(source.chunk(index))
            chunk = chunk.astype(self.dtype, copy=False)
            chunk[_shifted(box, starts)] = block[_shifted(box, [w.start for w in window])]
            self._store(index, chunk)

    def indices(self, window: Window) -> itertools.product[tuple[int, ...]]:
        """The chunks that a window touches."""
        return itertools.product(
            *(range(w.start // n, -(-w.stop // n)) for w, n in zip(window, self.chunk_px, strict=True))
        )

    def box_of(self, index: tuple[int, ...]) -> Window:
        """The pixels of a chunk that lie in the image."""
        return tuple(
            slice(i * n, min((i + 1) * n, m)) for i, n, m in zip(index, self.chunk_px, self.shape, strict=True)
        )

    def path_of(self, index: tuple[int, ...]) -> Path:
        """The file of a chunk."""
        return self.folder / self.meta.file_of(index)

    def _store(self, index: tuple[int, ...], chunk: np.ndarray) -> None:
        path = self.path_of(index)
        data = encode_chunk(chunk)
        descriptor, temporary = tempfile.mkstemp(dir=self.scratch)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
            share(temporary)
            try:
                os.replace(temporary, path)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _shifted(box: Sequence[slice], starts: Sequence[int]) -> Window:
    return tuple(slice(b.start - start, b.stop - start) for b, start in zip(box, starts, strict=True))


def share(path: str | Path) -> None:
    """Give a file made by `mkstemp`, which is private, the usual rights."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)


def build_pyramid(image: Path, finest: ZarrArray, axes: str, nearest: bool) -> Work[list[ZarrArray]]:
    """Write the coarser levels of an image, chunk by chunk: each half as many rows and columns as the one before.

    Parameters
    ----------
    image : Path
        The folder of the image; the finest level is its "0".
    finest : ZarrArray
    axes : str
    nearest : bool
        Take every second pixel, as labels need it, instead of the mean of four.

    Returns
    -------
    list of ZarrArray
        All levels, the finest first.
    """
    levels, ticker = [finest], Ticker(waits=True)
    while max(levels[-1].shape[-2:]) > CHUNK_PX:
        above = levels[-1]
        shape = (*above.shape[:-2], *(-(-n // 2) for n in above.shape[-2:]))
        folder = image / str(len(levels))
        write_array_json(folder, shape, above.dtype, axes)
        level = ZarrArray(folder, finest.scratch, finest._where)
        indices = list(level.indices(tuple(slice(0, n) for n in shape)))
        for i, index in enumerate(indices):
            if ticker.due():
                yield Progress(i, len(indices), f"Building level {len(levels)} of the pyramid")
            box = level.box_of(index)
            wide = [slice(2 * b.start, min(2 * b.stop, m)) for b, m in zip(box[-2:], above.shape[-2:], strict=True)]
            level.write(box, _halved(above.read((*box[:-2], *wide)), nearest))
        levels.append(level)
    return levels


def _halved(pixels: np.ndarray, nearest: bool) -> np.ndarray:
    if nearest:
        return pixels[..., ::2, ::2]
    odd = [(0, 0)] * (pixels.ndim - 2) + [(0, n % 2) for n in pixels.shape[-2:]]
    whole = np.pad(pixels, odd, mode="edge")
    quarter = whole.dtype.type(0.25)
    corners = [whole[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]
    return np.asarray((corners[0] + corners[1] + corners[2] + corners[3]) * quarter)


def write_image_json(
    image: Path,
    name: str,
    axes: str,
    n_levels: int,
    pixel_size: Sequence[float],
    pixel_unit: str,
    *,
    labels: bool,
    nearest: bool,
    channel_names: Sequence[str] = (),
) -> None:
    """Write the metadata of an OME-Zarr 0.5 image, with its size in space and, for labels, that it is one."""
    sizes = dict(zip("XYZ", reversed(pixel_size), strict=False))
    unit = ome_unit(pixel_unit) if sizes else ""
    space = {"type": "space"} | ({"unit": unit} if unit else {})
    kinds = {"T": {"type": "time"}, "C": {"type": "channel"}}
    told = [{"name": axis.lower(), **kinds.get(axis, space)} for axis in axes]
    datasets = []
    for level in range(n_levels):
        factor = [2.0**level if axis in "YX" else 1.0 for axis in axes]
        scale = [sizes.get(axis, 1.0) * f for axis, f in zip(axes, factor, strict=True)]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if level and not nearest:  # the centre of a mean lies between the pixels
            shift = [sizes.get(axis, 1.0) * (f - 1) / 2 for axis, f in zip(axes, factor, strict=True)]
            transforms.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    ome: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"name": name, "axes": told, "datasets": datasets, "type": "nearest" if nearest else "mean"}],
    }
    if labels:
        ome["image-label"] = {"version": "0.5"}
    if channel_names:
        shown = {"color": "FFFFFF", "window": {"min": 0, "max": 1, "start": 0, "end": 1}}
        ome["omero"] = {"channels": [{"label": name, **shown} for name in channel_names]}
    write_json(image / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}})


def n_missing(array: ZarrArray) -> int:
    """How many chunks of an array were not written."""
    return sum(not array.path_of(index).exists() for index in array.indices(tuple(slice(0, n) for n in array.shape)))


def sync_tree(folder: Path) -> Work[None]:
    """Flush a folder, and all in it, to the disk."""
    ticker = Ticker(waits=True)
    for parent, _, files in os.walk(folder):
        for name in files:
            sync(Path(parent, name))
            if ticker.due():
                yield Progress(0, 0, "Writing")
        sync(Path(parent))


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk; systems that cannot flush a folder are let be."""
    if path.is_dir():
        with contextlib.suppress(PermissionError):  # Windows opens no folders
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return
    with open(path, "rb+") as handle:
        os.fsync(handle.fileno())

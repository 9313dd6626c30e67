"""OME-Zarr images (0.4 and 0.5) and plain zarr arrays, read chunk by chunk without opening them in a zarr library."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from .source import Source, Window, check_claim
from .zarr_codec import Shard, decode_chunk, in_shard, shard_index
from .zarr_files import open_inside, stored_bytes
from .zarr_meta import ArrayMeta, array_meta, read_json

OURS = "napari_pu_segment"  # the attribute that marks our own arrays: all of their chunks must be there
_MAX_LEVELS = 32


class ZarrSource(Source):
    """A zarr array in a folder.

    Parameters
    ----------
    folder : Path
    meta : ArrayMeta
        Checked already.
    where : str
        Start of the sentence in an error.
    """

    def __init__(self, folder: Path, meta: ArrayMeta, where: str) -> None:
        self.folder, self.meta = folder, meta
        inner = meta.chunk.shard.inner if meta.chunk.shard else meta.chunk
        super().__init__(meta.shape, meta.chunk.dtype.newbyteorder("="), inner.shape, where)
        self._step = inner.shape

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window; chunks that were never written hold the fill value, except in our own arrays."""
        out = np.empty(tuple(w.stop - w.start for w in window), self.dtype)
        ranges = [range(w.start // n, -(-w.stop // n)) for w, n in zip(window, self._step, strict=True)]
        for index in itertools.product(*ranges):
            box = [
                (max(w.start, i * n), min(w.stop, (i + 1) * n))
                for w, i, n in zip(window, index, self._step, strict=True)
            ]
            chunk = self._cached(index, lambda index=index: self.chunk(index))  # type: ignore[misc]
            inside = tuple(slice(a - i * n, b - i * n) for (a, b), i, n in zip(box, index, self._step, strict=True))
            out[tuple(slice(a - w.start, b - w.start) for (a, b), w in zip(box, window, strict=True))] = chunk[inside]
        return out

    def chunk(self, index: tuple[int, ...]) -> np.ndarray:
        """One decoded chunk; of a shard, one chunk inside it.

        Raises
        ------
        InputError
            If it is damaged, or absent where it must be there.
        """
        chunk = self.meta.chunk
        if chunk.shard:
            inner = chunk.shard.inner
            outer = tuple(i // n for i, n in zip(index, chunk.shard.n_inner, strict=True))
            data = self._in_shard(outer, tuple(i % n for i, n in zip(index, chunk.shard.n_inner, strict=True)))
        else:
            inner, outer, data = chunk, index, self._bytes(index)
        if data is None:
            if OURS in self.meta.attributes:
                raise InputError(f"{self.where} lacks a part of its pixels ({self._name(outer)}). Make it again.")
            return np.full(inner.shape, self.meta.fill, self.dtype)
        try:
            return decode_chunk(data, inner)
        except (ValueError, RuntimeError, TypeError) as error:
            raise InputError(f"{self.where} is damaged in {self._name(outer)} ({error}). Export it again.") from None

    def _name(self, index: tuple[int, ...]) -> str:
        return f"{self.folder.name}/{self.meta.file_of(index)}"

    def _bytes(self, index: tuple[int, ...]) -> bytes | None:
        descriptor = open_inside(self.folder, self.meta.file_of(index), self.where)
        if descriptor is None:
            return None
        most = self.meta.chunk.nbytes * 5 // 4 + 2**16  # no compressor makes it longer than that
        with os.fdopen(descriptor, "rb") as handle:
            size = os.fstat(descriptor).st_size
            if size > most:
                raise InputError(f"{self.where} is damaged: {self._name(index)} is too long. Export it again.")
            return handle.read(size)

    def _in_shard(self, outer: tuple[int, ...], inner: tuple[int, ...]) -> bytes | None:
        shard = self.meta.chunk.shard
        descriptor = open_inside(self.folder, self.meta.file_of(outer), self.where)
        if descriptor is None or shard is None:
            return None
        with os.fdopen(descriptor, "rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - shard.index_bytes) if shard.at_end else 0)
            index = self._index(outer, shard, handle.read(shard.index_bytes))
            entry = in_shard(index[inner])
            if entry is None:
                return None
            offset, length = entry
            if offset + length > size or length > shard.inner.nbytes * 5 // 4 + 2**16:
                raise InputError(f"{self.where} is damaged in {self._name(outer)}. Export it again.")
            handle.seek(offset)
            return handle.read(length)

    def _index(self, outer: tuple[int, ...], shard: Shard, data: bytes) -> np.ndarray:
        try:
            return shard_index(data, shard)
        except ValueError as error:
            raise InputError(f"{self.where} is damaged in {self._name(outer)} ({error}). Export it again.") from None


@dataclass(frozen=True, eq=False)
class ZarrImage:
    """An image of a zarr folder: its levels, the finest first, and what its metadata tell."""

    levels: tuple[ZarrSource, ...]
    axes: str
    channel_names: tuple[str, ...] = ()
    spacing: Mapping[str, float] = field(default_factory=dict)
    unit: str = "px"


def is_zarr(path: Path) -> bool:
    """Whether a folder holds the JSON of a zarr array or group."""
    return path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs", ".zarray"))


def open_zarr(path: Path, where: str) -> ZarrImage:
    """The image in a zarr folder, from its JSON alone.

    Raises
    ------
    InputError
        If the folder is no image, or asks for something that is not read; one sentence.
    """
    meta = array_meta(path, where)
    if meta is not None:
        image = ZarrImage((ZarrSource(path, meta, where),), _plain_axes(meta))
    else:
        try:
            image = _group(path, where)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError) as error:
            text = " ".join(str(error).split())[:80]
            raise InputError(f"{where} is damaged: its metadata cannot be used ({text}). Export it again.") from None
    check_claim(image.levels[0].nbytes, stored_bytes(path), where)
    return image


def _plain_axes(meta: ArrayMeta) -> str:
    """Axes of an array without OME metadata: its dimension names, where they are the letters that we know, or ""."""
    axes = "".join(meta.names).upper()
    return axes if len(axes) == len(meta.shape) and set(axes) <= set("CZTYX") else ""


def _attributes(path: Path, where: str) -> Mapping[str, Any]:
    group = read_json(path, "zarr.json", where)
    if group is not None:
        attributes = group.get("attributes") or {}
        return dict(attributes.get("ome") or attributes)
    return read_json(path, ".zattrs", where) or {}


def _group(path: Path, where: str) -> ZarrImage:
    attributes = _attributes(path, where)
    if "plate" in attributes or "well" in attributes:
        raise InputError(f"{where} is a plate of many images. Give the folder of one image in it.")
    if "multiscales" not in attributes and "bioformats2raw.layout" in attributes:
        if (path / "1").is_dir():
            raise InputError(f"{where} holds several images. Give the folder of one of them, such as {path.name}/0.")
        inner = path / "0"
        if not os.path.realpath(inner).startswith(os.path.realpath(path) + os.sep):
            raise InputError(f"{where} has a link that leads out of its folder ('0'). It is not followed.")
        path = inner
        attributes = _attributes(path, where)
    if "multiscales" not in attributes:
        raise InputError(f"{where} is a zarr folder without an image. Give the folder of an OME-Zarr image or array.")
    scales = attributes["multiscales"]
    if len(scales) != 1:
        raise InputError(f"{where} holds {len(scales)} images. Save the one to use on its own.")
    levels = tuple(_level(path, dataset["path"], where) for dataset in scales[0]["datasets"][:_MAX_LEVELS])
    axes = _axes(scales[0], levels[0], where)
    if any(level.ndim != len(axes) for level in levels) or len({level.dtype for level in levels}) > 1:
        raise InputError(f"{where} is damaged: its levels do not fit together. Export it again.")
    spacing, unit = _spacing(scales[0], axes)
    channels = (attributes.get("omero") or {}).get("channels") or ()
    names = tuple("".join(filter(str.isprintable, str(channel.get("label", ""))))[:200] for channel in channels)
    return ZarrImage(levels, axes, names, spacing, unit)


def _level(path: Path, name: Any, where: str) -> ZarrSource:
    parts = Path(str(name)).parts
    if not isinstance(name, str) or not parts or ".." in parts or Path(name).is_absolute() or "\0" in name:
        raise InputError(f"{where} names a level that lies outside its folder. It is not followed.")
    folder = path / name
    root = os.path.realpath(path)
    if not os.path.realpath(folder).startswith(root + os.sep):
        raise InputError(f"{where} has a link that leads out of its folder ({name[:60]!r}). It is not followed.")
    meta = array_meta(folder, where)
    if meta is None:
        raise InputError(f"{where} lacks its level {name[:60]!r}. Export it again.")
    return ZarrSource(folder, meta, where)


def _axes(scale: Mapping[str, Any], level: ZarrSource, where: str) -> str:
    told = scale.get("axes")
    if told is None:  # before version 0.3
        return "TCZYX"[5 - level.ndim :]
    names = [axis if isinstance(axis, str) else axis["name"] for axis in told]
    axes = "".join(names).upper()
    if len(axes) != len(names) or not set(axes) <= set("TCZYX"):
        raise InputError(f"{where} has axes {names!r:.60}, which this plugin does not know. Use t, c, z, y and x.")
    return axes


def _spacing(scale: Mapping[str, Any], axes: str) -> tuple[dict[str, float], str]:
    """Size of a pixel by axis, and its unit; both scales, of the level and of all levels, count."""
    size = [1.0] * len(axes)
    told = False
    transforms = [*(scale["datasets"][0].get("coordinateTransformations") or ())]
    for transform in [*transforms, *(scale.get("coordinateTransformations") or ())]:
        if transform.get("type") == "scale":
            told = True
            size = [a * float(b) for a, b in zip(size, transform["scale"], strict=True)]
    named = [axis for axis in scale.get("axes") or () if isinstance(axis, dict)]
    units = {str(axis.get("unit") or "px") for axis in named if str(axis.get("name")).upper() in "ZYX"}
    if not told or len(units) > 1 or not all(math.isfinite(value) and value > 0 for value in size):
        return {}, "px"
    unit = units.pop() if units else "px"
    if unit == "px" and all(value == 1 for value in size):
        return {}, "px"
    return dict(zip(axes, size, strict=True)), unit

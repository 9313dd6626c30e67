"""The JSON of zarr arrays, version 2 and 3, checked against an allow-list before a chunk is touched."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from .source import check_block
from .zarr_codec import COMPRESSORS, Chunk, Shard
from .zarr_files import read_small

_NAMES = {"bool", "float16", "float32", "float64", *(f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64))}
_MAX_SIDE, _MAX_NDIM, _MAX_INNER = 2**40, 6, 2**20
_V3_KEYS = {
    *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs"),
    *("attributes", "dimension_names", "storage_transformers", "consolidated_metadata"),
}


@dataclass(frozen=True)
class ArrayMeta:
    """What the JSON of a zarr array tells.

    Parameters
    ----------
    shape : tuple of int
    chunk : Chunk
        How a chunk file is stored, and how many pixels it has along each axis.
    fill : float, int or bool
        The value of chunks that were never written.
    key : tuple of str
        Prefix and separator of the names of chunk files.
    names : tuple of str
        Names of the axes, or empty.
    attributes : dict
    """

    shape: tuple[int, ...]
    chunk: Chunk
    fill: Any
    key: tuple[str, str]
    names: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def file_of(self, index: tuple[int, ...]) -> str:
        """Name of a chunk's file, in the array's folder."""
        prefix, separator = self.key
        return prefix + separator.join(map(str, index)) if index else prefix + "0"


def read_json(folder: Path, name: str, where: str) -> dict[str, Any] | None:
    """A JSON object of a zarr folder, or None if there is no such file.

    Raises
    ------
    InputError
        If it is too large, no JSON object, or a link that leads out of the folder.
    """
    content = read_small(folder, name, where)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{where} is damaged: its {name} is not JSON. Export it again.") from None
    if not isinstance(value, dict):
        raise InputError(f"{where} is damaged: its {name} is not a JSON object. Export it again.")
    return value


def array_meta(folder: Path, where: str) -> ArrayMeta | None:
    """What the zarr array in a folder is, or None if there is none.

    Raises
    ------
    InputError
        If its JSON is damaged, or asks for a type or a codec that is not allowed, or for blocks that are too large.
    """
    try:
        for name, parse in (("zarr.json", _version_3), (".zarray", _version_2)):
            found = read_json(folder, name, where)
            if found is not None and (name == ".zarray" or found.get("node_type") == "array"):
                meta = parse(found, where)
                _check(meta, where)
                return meta
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, IndexError) as error:
        text = " ".join(str(error).split())[:80]
        raise InputError(f"{where} is damaged: its zarr header cannot be used ({text}). Export it again.") from None
    return None


def _check(meta: ArrayMeta, where: str) -> None:
    if len(meta.shape) > _MAX_NDIM or len(meta.chunk.shape) != len(meta.shape):
        raise ValueError(f"{len(meta.shape)} axes")
    block = meta.chunk
    if block.shard:
        inner = block.shard.inner
        if len(inner.shape) != len(meta.shape) or any(n % m for n, m in zip(block.shape, inner.shape, strict=True)):
            raise ValueError("shards that are not made of whole chunks")
        if math.prod(block.shard.n_inner) > _MAX_INNER:
            raise ValueError("too many chunks in a shard")
        block = inner
    check_block(block.nbytes, where)


def _version_3(found: Mapping[str, Any], where: str) -> ArrayMeta:
    unknown = [k for k, v in found.items() if k not in _V3_KEYS and not _may_be_ignored(v)]
    if unknown or found.get("storage_transformers"):
        _refuse("the extension", unknown[0] if unknown else "storage_transformers", where)
    if found["zarr_format"] != 3:
        raise ValueError("unknown version")
    name = found["data_type"]
    if not isinstance(name, str) or name not in _NAMES:
        _refuse("values of type", name, where)
    grid = found["chunk_grid"]
    if grid["name"] != "regular":
        _refuse("the chunk grid", grid["name"], where)
    shape, side = _sides(found["shape"], 0), _sides(grid["configuration"]["chunk_shape"], 1)
    encoding = found["chunk_key_encoding"]
    if encoding["name"] not in ("default", "v2"):
        _refuse("the file names", encoding["name"], where)
    plain = encoding["name"] == "v2"
    separator = _separator(encoding.get("configuration", {}).get("separator", "." if plain else "/"))
    chunk = _chain(found["codecs"], side, np.dtype(name), where)
    fill = _fill(found["fill_value"], chunk.dtype)
    names = found.get("dimension_names") or ()
    key = ("" if plain else "c" + separator, separator)
    return ArrayMeta(shape, chunk, fill, key, tuple(map(str, names)), dict(found.get("attributes") or {}))


def _may_be_ignored(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and value.get("must_understand") is False)


def _version_2(found: Mapping[str, Any], where: str) -> ArrayMeta:
    if found["zarr_format"] != 2:
        raise ValueError("unknown version")
    kind = found["dtype"]
    if not isinstance(kind, str) or not re.fullmatch(r"[<>|](b1|[iu][1248]|f[248])", kind):
        _refuse("values of type", kind, where)
    filters = found.get("filters") or ()
    if filters:
        _refuse("the filter", _name(filters[0], "id"), where)
    compressor = found["compressor"]
    codecs = [] if compressor is None else [_name(compressor, "id")]
    if codecs and codecs[0] not in COMPRESSORS:
        _refuse("the codec", codecs[0], where)
    shape, side = _sides(found["shape"], 0), _sides(found["chunks"], 1)
    if found["order"] not in ("C", "F"):
        raise ValueError("unknown order")
    order = tuple(range(len(side)))[:: 1 if found["order"] == "C" else -1]
    dtype = np.dtype(kind)
    separator = _separator(found.get("dimension_separator", "."))
    return ArrayMeta(
        shape, Chunk(side, dtype, order, tuple(codecs)), _fill(found["fill_value"], dtype), ("", separator)
    )


def _chain(codecs: Any, side: tuple[int, ...], dtype: np.dtype[Any], where: str, depth: int = 0) -> Chunk:
    """The chunk that a list of codecs of version 3 makes."""
    order, steps, shard, seen = tuple(range(len(side))), [], None, False
    for codec in codecs:
        name = _name(codec, "name")
        options = codec.get("configuration") or {} if isinstance(codec, dict) else {}
        if name == "transpose" and not seen:
            step = tuple(options["order"])
            if sorted(step) != list(range(len(side))) or order != tuple(range(len(side))):
                raise ValueError("transpose")
            order = step
        elif name == "bytes" and not seen:
            seen, dtype = True, _ordered(dtype, options.get("endian", "little"))
        elif name == "sharding_indexed" and not seen and depth == 0 and order == tuple(range(len(side))):
            seen, shard = True, _shard(options, side, dtype, where)
        elif name in ("crc32c", *COMPRESSORS) and seen and not shard:
            steps.append(name)
        else:
            _refuse("the codec", name, where)
    if not seen or sum(step in COMPRESSORS for step in steps) > 1 or len(steps) > 3:
        raise ValueError("codecs in this order")
    return Chunk(side, dtype, order, tuple(steps), shard)


def _shard(options: Mapping[str, Any], side: tuple[int, ...], dtype: np.dtype[Any], where: str) -> Shard:
    inner = _chain(options["codecs"], _sides(options["chunk_shape"], 1), dtype, where, depth=1)
    n_inner = tuple(n // m for n, m in zip(side, inner.shape, strict=True))
    index = [_name(codec, "name") for codec in options["index_codecs"]]
    if index not in (["bytes"], ["bytes", "crc32c"]):
        _refuse("the index of a shard stored as", "+".join(map(str, index))[:40], where)
    if (options["index_codecs"][0].get("configuration") or {}).get("endian", "little") != "little":
        _refuse("the index of a shard stored as", "big", where)
    location = options.get("index_location", "end")
    if location not in ("start", "end"):
        raise ValueError("index_location")
    return Shard(inner, n_inner, location == "end", len(index) == 2)


def _ordered(dtype: np.dtype[Any], endian: Any) -> np.dtype[Any]:
    if endian not in ("little", "big"):
        raise ValueError("endian")
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _refuse(what: str, value: Any, where: str) -> None:
    text = "".join(filter(str.isprintable, str(value)))[:40]
    raise InputError(f"{where} has {what} {text!r}, which this plugin does not read. Save it with zstd.")


def _name(codec: Any, key: str) -> str:
    """The name of a codec; a short form of version 3 is the name alone."""
    return str(codec if isinstance(codec, str) else codec[key])


def _sides(values: Any, least: int) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(n) is int and least <= n <= _MAX_SIDE for n in values):
        raise ValueError("a shape that cannot be")
    return tuple(values)


def _separator(value: Any) -> str:
    if value not in (".", "/"):
        raise ValueError("separator")
    return str(value)


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(value, str) and value.startswith("0x"):
        bits = int(value, 16).to_bytes(dtype.itemsize, "big")
        return np.frombuffer(bits, dtype.newbyteorder(">"))[0].item()
    if value is None:
        return dtype.type(0).item()
    if isinstance(value, str) and value not in ("NaN", "Infinity", "-Infinity"):
        raise ValueError("fill_value")
    return np.array(float(value) if dtype.kind == "f" else int(value)).astype(dtype).item()

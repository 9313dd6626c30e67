"""Arrays and models in JSON: small enough for strokes, bounded when they are read; and fingerprints of arrays."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import zlib
from collections.abc import Iterator

import numpy as np

from ..compute.temporary import TemporaryFolder
from ..errors import InputError, ModelFileError
from ..model import Model, load_model, save_model
from ..samples import Array

_BLOCK_PX = 2**22  # pixels that are looked at at a time, so that a lazy image is never read whole
_CORNER_PX = 128


def pack(array: np.ndarray) -> str:
    """A uint8 array of any shape as text: zlib, which makes a thousandth of empty areas, in base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array, np.uint8).data)).decode("ascii")


def unpack(text: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    """The uint8 array that was packed; never more than `shape` says is unpacked.

    Raises
    ------
    InputError
        If the text is damaged, or the array of another size.
    """
    size = math.prod(shape)
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise InputError(f"{where} is damaged: its strokes cannot be unpacked.") from None
    if len(data) != size or not stream.eof or stream.unused_data:
        raise InputError(f"{where} is damaged: its strokes do not fit a shape of {shape}.")
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)


def pack_model(model: Model) -> str:
    """A model as text: its file in base64."""
    with TemporaryFolder() as folder:
        path = folder / "model.safetensors"
        save_model(model, path)
        return base64.b64encode(path.read_bytes()).decode("ascii")


def unpack_model(text: str, where: str) -> Model:
    """The model that was packed.

    Raises
    ------
    InputError
        If it is damaged.
    """
    with TemporaryFolder() as folder:
        path = folder / "model.safetensors"
        try:
            path.write_bytes(base64.b64decode(text, validate=True))
            return load_model(path)
        except (ValueError, ModelFileError):
            raise InputError(f"{where} is damaged: its start model cannot be read.") from None


def sha256(array: Array) -> str:
    """sha256 over type, shape and pixels in C order, in hexadecimal; bool counts as uint8, byte order does not matter.

    A lazy array is read block by block.
    """
    dtype = _dtype(array)
    digest = hashlib.sha256(f"{dtype.name}:{tuple(array.shape)};".encode())
    for block in _blocks(array):
        digest.update(np.ascontiguousarray(block, dtype).data)
    return digest.hexdigest()


def fingerprint(array: Array) -> str:
    """A cheap hash: of type, shape, and squares at the beginning, the middle and the end of an array ([...,] Y, X)."""
    dtype = _dtype(array)
    digest = hashlib.sha256(f"{dtype.name}:{tuple(array.shape)};".encode())
    for part in (0.0, 0.5, 1.0):
        starts = [round(part * max(0, size - _CORNER_PX)) for size in array.shape[-2:]]
        lead = [round(part * (size - 1)) for size in array.shape[:-2]]
        place = (*lead, *(slice(start, start + _CORNER_PX) for start in starts))
        digest.update(np.ascontiguousarray(array[place], dtype).data)
    return digest.hexdigest()


def _dtype(array: Array) -> np.dtype:
    dtype = np.dtype(array.dtype)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("<")


def _blocks(array: Array) -> Iterator[np.ndarray]:
    rows = max(1, _BLOCK_PX // max(1, array.shape[-1]))
    for lead in np.ndindex(*array.shape[:-2]):
        for start in range(0, array.shape[-2], rows):
            yield np.asarray(array[(*lead, slice(start, start + rows))])

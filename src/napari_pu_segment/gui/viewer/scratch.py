"""A temporary folder for results that are too large for memory: one for each run of the program, removed at its end."""

from __future__ import annotations

import atexit
import math
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_pu_segment.core.compute.temporary import TemporaryFolder
from napari_pu_segment.core.errors import InputError

_ROOM = 1.1  # times what a result takes must be free
_PIECE_BYTES = 2**24


def new_folder(n_bytes: int, what: str) -> Path:
    """A new folder, with room for so many bytes.

    Parameters
    ----------
    n_bytes : int
    what : str
        What shall go there, as the beginning of a sentence: "The result of 'slide'".

    Raises
    ------
    InputError
        If there is no room, or the folder cannot be made.
    """
    try:
        root = _root()
        free = shutil.disk_usage(root).free
        if free < _ROOM * n_bytes:
            raise InputError(
                f"{what} takes up to {n_bytes / 1e9:.1f} GB, but {str(root.parent)!r} has {free / 1e9:.1f} GB free. "
                "Make room there, or set the environment variable TMPDIR to a folder on another disk and start napari "
                "again; of an image with a pyramid, you can choose a coarser level."
            )
        return Path(tempfile.mkdtemp(dir=root))
    except OSError as error:
        raise InputError(f"{what} cannot be kept: no temporary folder can be made ({error.strerror}).") from None


def new_array(path: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A new array of zeros in a file, mapped into memory, for which the room on the disk is there.

    Else the system would end the program when the disk is full at a later write.

    Raises
    ------
    InputError
        If there is no room.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        with path.open("wb") as handle:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle.fileno(), 0, n_bytes)
            else:
                for start in range(0, n_bytes, _PIECE_BYTES):
                    handle.write(bytes(min(_PIECE_BYTES, n_bytes - start)))
        return np.memmap(path, dtype, "r+", shape=shape)
    except OSError as error:
        raise InputError(f"{str(path.parent)!r} has no room for {n_bytes / 1e9:.1f} GB ({error.strerror}).") from None


@cache
def _root() -> Path:
    """The folder of this run."""
    folder = TemporaryFolder()
    atexit.register(folder.close)
    return folder.path

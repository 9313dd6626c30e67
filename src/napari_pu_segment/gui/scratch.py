"""A temporary folder for results that are too large for memory: one for each run of the program, removed at its end.

What a run that was killed has left behind is removed by the next one.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_pu_segment.core.errors import InputError

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be deleted: that tells as much
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = "napari-pu-segment-results-", "in-use"
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


def remove(folder: Path) -> None:
    """Delete a folder and all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Remove the folders of runs that have ended without doing so, and tell which.

    Those of others, of running programs and symbolic links are left alone.
    """
    removed = []
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _is_ours(folder) and not _in_use(folder / LOCK):
                remove(folder)
                removed.append(folder)
    return removed


@cache
def _root() -> Path:
    """The folder of this run."""
    parent = Path(tempfile.gettempdir())
    sweep(parent)
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    handle = (root / LOCK).open("w")
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    atexit.register(_close, root, handle)
    return root


def _close(root: Path, handle: IO[str]) -> None:
    for folder in root.iterdir():
        if folder.name != LOCK:
            remove(folder)
    handle.close()
    if [one.name for one in root.iterdir()] == [LOCK]:  # else it is left, with its lock, to the next run
        remove(root)


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user, and no link."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def _in_use(lock: Path) -> bool:
    """Whether the run that a lock file belongs to is still going on; a folder without one is left alone."""
    if not lock.is_file():
        return True
    if fcntl is None:
        try:
            lock.unlink()
        except PermissionError:
            return True
        return False
    with lock.open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False

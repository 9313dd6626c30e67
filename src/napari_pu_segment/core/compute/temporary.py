"""Temporary folders that are removed at their end; those of a run that was killed, by the next one that makes one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be deleted: that tells as much
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = "napari-pu-segment-", "in-use"


class TemporaryFolder:
    """A folder of its own among the system's temporary files, for this user alone.

    A file in it is locked for as long as the process lives, however it ends; so others can tell whether it is in use.

    Attributes
    ----------
    path : Path

    Raises
    ------
    OSError
        If it cannot be made.
    """

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        _sweep_once(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        new = self.path / f"{LOCK}-soon"
        self._handle = new.open("w")
        if fcntl is not None:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(self.path / LOCK)  # there is never a lock file that is not locked
        else:
            self._handle.close()
            self._handle = (self.path / LOCK).open("w")

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove it; what cannot be removed is left, with its lock, to the next run."""
        with contextlib.suppress(OSError):
            for entry in self.path.iterdir():
                if entry.name != LOCK:
                    remove(entry)
        self._handle.close()
        with contextlib.suppress(OSError):
            if [entry.name for entry in self.path.iterdir()] == [LOCK]:
                remove(self.path)


def remove(path: Path) -> None:
    """Delete a file, or a folder and all that is in it, as far as that can be done; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


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
def _sweep_once(parent: Path) -> None:
    sweep(parent)


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user, and no link."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def _in_use(lock: Path) -> bool:
    """Whether the run that a lock file belongs to is still going on; a folder without one is left alone."""
    if lock.is_symlink() or not lock.is_file():
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

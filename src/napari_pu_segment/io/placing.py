"""Putting what was written at its place, and what is said when a disk does not let us."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import OutputError


def put(whole: Path, path: Path, part: Path) -> None:
    """Rename a whole output to its final name; what a folder is to replace is moved out of the way first.

    A file replaces no folder: the system refuses that.
    """
    if whole.is_dir() and path.is_dir() and not path.is_symlink():
        old = part / "old"
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path, old)
    elif whole.is_dir():
        path.unlink(missing_ok=True)
    os.replace(whole, path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make one sentence of whatever a disk says."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or f"not all of it could be written ({error}); the disk may be full"
        raise OutputError(
            f"Cannot write {str(path)!r}: {reason}. Choose a folder that exists and is writable."
        ) from None

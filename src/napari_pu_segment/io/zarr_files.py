"""The files of a zarr folder, opened with care: no link out of the folder, no pipe, nothing longer than it may be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..core.errors import InputError

_MAX_JSON_BYTES = 2**24
_MAX_LOOKED_AT = 2000


def open_inside(folder: Path, name: str, where: str) -> int | None:
    """A descriptor of an ordinary file below a folder, or None if there is none.

    Raises
    ------
    InputError
        If the name leads out of the folder, or to something that is no file.
    """
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, name))
    if path != root and not path.startswith(root + os.sep):
        raise InputError(f"{where} has a link that leads out of its folder ({name[:60]!r}). It is not followed.")
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        if os.path.isdir(path):
            return None
        raise InputError(f"{where} holds {name[:60]!r}, which is not an ordinary file. Export it again.")
    return descriptor


def read_small(folder: Path, name: str, where: str) -> bytes | None:
    """A JSON file below a folder, or None if there is none."""
    descriptor = open_inside(folder, name, where)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as handle:
        size = os.fstat(descriptor).st_size
        if size > _MAX_JSON_BYTES:
            raise InputError(f"{where} has a header of more than {_MAX_JSON_BYTES // 2**20} MB. Export it again.")
        return handle.read(size)


def stored_bytes(folder: Path) -> int:
    """About how much a folder stores: the files that are found first, each at least a block of a disk.

    Looking ends after 2,000 files: a folder of so many is taken to be as large as it says.
    """
    total, looked = 0, 0
    for parent, _, files in os.walk(folder):
        for name in files[:_MAX_LOOKED_AT]:
            looked += 1
            total += max(4096, os.lstat(os.path.join(parent, name)).st_size)
        if looked > _MAX_LOOKED_AT:
            return 2**62
    return total

"""What files are known by again: models, images and results."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import ModelFileError
from ..core.progress import Progress, Ticker, Work
from .settings import Stored, Strict

_READ_BYTES = 2**24  # so much of a result is read at once
_SAMPLE_BYTES = 2**16  # read at both ends of an image to know it again


class Identity(Strict):
    """What an image file is known by again; `sha256` is that of both its ends (of a folder: of names, sizes, times)."""

    n_bytes: int
    mtime_ns: int
    sha256: str


def model_hash(path: Path) -> str:
    """sha256 of a model file.

    Raises
    ------
    ModelFileError
        If it cannot be read.
    """
    try:
        if not path.is_file():
            raise ModelFileError(f"Model file {str(path)!r} is missing, or no file.")
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"Model file {str(path)!r} cannot be read: {reason}.") from None


def identity(path: Path) -> Identity:
    """What an image file, or a folder that is an image, is known by."""
    digest, n_bytes, mtime_ns = hashlib.sha256(), 0, 0
    for name, file in _contents(path):
        status = file.lstat() if path.is_dir() else file.stat()  # in a folder a link is what it is, wherever it leads
        n_bytes, mtime_ns = n_bytes + status.st_size, max(mtime_ns, status.st_mtime_ns)
        if path.is_dir():
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogatepass"))
            continue
        with open(file, "rb") as handle:
            digest.update(handle.read(_SAMPLE_BYTES))
            if status.st_size > 2 * _SAMPLE_BYTES:
                handle.seek(-_SAMPLE_BYTES, os.SEEK_END)
            digest.update(handle.read(_SAMPLE_BYTES))
    return Identity(n_bytes=n_bytes, mtime_ns=mtime_ns, sha256=digest.hexdigest())


def stored(path: Path) -> Work[Stored]:
    """An output as it lies on the disk."""
    if not path.is_dir():
        return Stored(n_bytes=path.stat().st_size, sha256=(yield from _digest(path, Ticker(waits=True))).hex())
    digest, n_bytes, ticker = hashlib.sha256(), 0, Ticker(waits=True)
    for name, file in _contents(path):
        digest.update(f"{name}\0".encode("utf-8", "surrogatepass"))
        digest.update((yield from _digest(file, ticker)))
        n_bytes += file.stat().st_size
    return Stored(n_bytes=n_bytes, sha256=digest.hexdigest())


def _digest(path: Path, ticker: Ticker) -> Work[bytes]:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise OSError(errno.EINVAL, "not an ordinary file", str(path))
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while part := handle.read(_READ_BYTES):
            digest.update(part)
            if ticker.due():
                yield Progress(0, 0, "Checking the results")
    return digest.digest()


def _contents(path: Path) -> Iterator[tuple[str, Path]]:
    """A file itself, or the files of a folder and below, by name; links to folders are not followed."""
    if not path.is_dir():
        yield "", path
        return
    for parent, folders, files in os.walk(path):
        folders.sort()
        for file in sorted(files):
            yield (Path(parent) / file).relative_to(path).as_posix(), Path(parent) / file

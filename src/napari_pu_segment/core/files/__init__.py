"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..errors import OutputError

PART = ".part-"  # how the names of unfinished files begin


def write_atomically(path: str | Path, content: bytes | Callable[[str], None]) -> None:
    """Write a file under a temporary name beside it, flush it to the disk, then rename it.

    Parameters
    ----------
    path : path
    content : bytes, or callable
        A callable gets the temporary path (with the same suffix) and writes there.

    Raises
    ------
    OutputError
        If the folder is missing, not writable or full; nothing is left behind.
    """
    path = Path(path)
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=PART, suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
        if callable(content):
            content(temporary)
        else:
            Path(temporary).write_bytes(content)
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes it private; give it the usual rights
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or f"not all of it could be written ({error}); the disk may be full"
        raise OutputError(
            f"Cannot write {str(path)!r}: {reason}. Choose a folder that exists and is writable."
        ) from None
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)

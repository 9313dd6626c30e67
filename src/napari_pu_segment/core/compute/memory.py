"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


def give_back() -> None:
    """Give memory that was freed back to the system, between two blocks of long work; it takes milliseconds.

    The C library of Linux keeps what it was given for arrays of up to 32 MB, in pieces that later arrays may not fit:
    hundreds of MB beside a process that holds nothing. Other systems have no such call, and nothing happens.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

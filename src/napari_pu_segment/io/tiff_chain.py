"""The chain of pages in a TIFF, walked before anything else reads it: a loop or a million pages would never end."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Literal

from ..core.errors import InputError

MAX_PAGES = 2**16
MAX_SEGMENTS = 2**20  # strips or tiles of all pages: their places are held in memory
_MAX_TAGS = 2**12
_SEGMENTS = (273, 279, 324, 325)  # offsets and lengths of strips and of tiles
_MAX_VALUES = 2**26  # of any other tag


def check_chain(path: Path, where: str) -> None:
    """Follow the pages of a TIFF from one to the next.

    Raises
    ------
    InputError
        If the chain runs in a circle, leads beyond the end of the file, or has more than `MAX_PAGES` pages or
        `MAX_SEGMENTS` strips and tiles.
    """
    with open(path, "rb") as handle:
        head = handle.read(16)
        order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        big = int.from_bytes(head[2:4], order) == 43
        sizes = (8, 20, 8) if big else (2, 12, 4)
        offset, seen, n_segments = int.from_bytes(head[8:16] if big else head[4:8], order), set[int](), 0
        while offset:
            if offset in seen:
                raise InputError(f"{where} is damaged: its pages run in a circle. Export it again.")
            seen.add(offset)
            page = _page(handle, offset, sizes, order)
            if page is None:
                raise InputError(f"{where} is cut short: a page that its header promises is missing. Export it again.")
            offset, more = page
            n_segments += more
            if len(seen) > MAX_PAGES or n_segments > MAX_SEGMENTS:
                raise InputError(
                    f"{where} has more than {MAX_PAGES} pages or {MAX_SEGMENTS} tiles. Save it as OME-Zarr."
                )


def _page(
    handle: BinaryIO, offset: int, sizes: tuple[int, int, int], order: Literal["little", "big"]
) -> tuple[int, int] | None:
    """Where the next page stands, and how many segments this one has; None if it is cut short or cannot be."""
    n_count, n_tag, n_offset = sizes
    handle.seek(offset)
    count = int.from_bytes(handle.read(n_count), order)
    if count > _MAX_TAGS:
        return None
    data = handle.read(count * n_tag + n_offset)
    if len(data) < count * n_tag + n_offset:
        return None
    n_segments = 0
    for at in range(0, count * n_tag, n_tag):
        tag, n_values = (int.from_bytes(data[at + a : at + b], order) for a, b in ((0, 2), (4, 4 + n_offset)))
        if tag in _SEGMENTS:
            n_segments = max(n_segments, n_values)
        elif n_values > _MAX_VALUES:
            return None
    return int.from_bytes(data[count * n_tag :], order), n_segments

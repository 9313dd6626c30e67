"""Plain numbers in a file, one after the other: .npy, and uncompressed TIFF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .source import Source, Window


class RawSource(Source):
    """Numbers in a file, read with plain reads: no page of it is ever mapped into memory.

    Parameters
    ----------
    path : Path
    offset : int
        Where the numbers begin, in bytes.
    shape, dtype, blocks, where
        See `Source`; `dtype` with the byte order of the file.
    """

    def __init__(
        self, path: Path, offset: int, shape: Sequence[int], dtype: Any, blocks: Sequence[int], where: str
    ) -> None:
        super().__init__(shape, dtype, blocks, where)
        self.path, self.offset = path, offset

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window, run by run of neighbouring numbers."""
        out = np.empty(tuple(w.stop - w.start for w in window), self.stored)
        if not out.size:
            return out
        whole = [w.stop - w.start == n for w, n in zip(window, self.shape, strict=True)]
        axis = max((i for i, full in enumerate(whole) if not full), default=0)  # behind it, all is read
        steps = [math.prod(self.shape[i + 1 :]) for i in range(self.ndim)]
        runs = out.reshape(*out.shape[:axis], -1) if self.ndim else out.reshape(1)
        first = window[axis].start * steps[axis] if self.ndim else 0
        with open(self.path, "rb", buffering=0) as handle:
            for index in np.ndindex(out.shape[:axis]):
                start = first + sum((i + w.start) * step for i, w, step in zip(index, window, steps, strict=False))
                handle.seek(self.offset + start * self.stored.itemsize)
                _fill(handle, runs[index].reshape(-1).view(np.uint8).data)
        return out


def _fill(handle: Any, view: memoryview) -> None:
    while view.nbytes:
        n_read = handle.readinto(view)
        if not n_read:
            raise ValueError("the file ends too early")
        view = view[n_read:]


class Reversed(Source):
    """A source whose axes come in the opposite order: arrays in Fortran's order."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.shape[::-1], source.stored, source.blocks[::-1], source.where)
        self.source = source

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window."""
        return self.source.read(window[::-1]).transpose()


class Stack(Source):
    """Sources of one shape, one after the other along leading axes: the pages of a TIFF, the frames of a folder.

    Parameters
    ----------
    lead : tuple of int
        Shape of the leading axes.
    pages : sequence of Source
        In C order of the leading axes.
    """

    def __init__(self, lead: Sequence[int], pages: Sequence[Source]) -> None:
        first = pages[0]
        super().__init__((*lead, *first.shape), first.stored, (*(1 for _ in lead), *first.blocks), first.where)
        self.lead, self.pages = tuple(lead), pages

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window, page by page."""
        n_lead = len(self.lead)
        out = np.empty(tuple(w.stop - w.start for w in window), self.stored)
        for index in np.ndindex(out.shape[:n_lead]):
            at = tuple(i + w.start for i, w in zip(index, window, strict=False))
            page = self.pages[int(np.ravel_multi_index(at, self.lead)) if self.lead else 0]
            out[index] = page.read(window[n_lead:])
        return out

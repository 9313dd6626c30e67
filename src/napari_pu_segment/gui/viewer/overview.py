"""Images that are too large to be shown at once: coarse copies of them, made in the background."""

from __future__ import annotations

import itertools
import math
import weakref
from typing import Any

import numpy as np

from napari_pu_segment.core.compute.temporary import remove
from napari_pu_segment.core.progress import Progress, Ticker, Work

from . import scratch
from .stores import COARSE_PX, STEP, Coarse


class Overview:
    """A lazy image, (C, [T,] [Z,] Y, X), with coarse copies that napari draws when one has zoomed out.

    They lie in a temporary folder, and are filled by `fill`; until then they are dark.

    Parameters
    ----------
    image : dask array
    name : str

    Attributes
    ----------
    levels : list of array
        The image, and the copies.
    """

    def __init__(self, image: Any, name: str) -> None:
        self._image = image
        n_bytes = sum(math.prod(image.shape) // STEP ** (2 * power) for power in (1, 2, 3)) * image.dtype.itemsize
        folder = scratch.new_folder(n_bytes, f"The overview of {name!r}")
        weakref.finalize(self, remove, folder)
        self._coarse = Coarse(folder, tuple(image.shape), image.dtype)
        self.levels: list[Any] = [image, *self._coarse.levels]

    def fill(self) -> Work[None]:
        """Read the image once, chunk by chunk; each `Progress` means that there is more to be seen."""
        bounds = [np.cumsum([0, *sizes]) for sizes in self._image.chunks]
        parts = [[slice(int(a), int(b)) for a, b in itertools.pairwise(edge)] for edge in bounds]
        boxes = list(itertools.product(*parts))
        ticker = Ticker(0.5)
        for step, box in enumerate(boxes):
            self._coarse.put(box, np.asarray(self._image[box]))
            if ticker.due():
                yield Progress(step + 1, len(boxes), "Making an overview")

    def limits(self, channel: int) -> tuple[float, float]:
        """The lowest and the highest value of a channel's coarsest copy, of a plane in the middle, for a contrast."""
        coarse = self._coarse.levels[-1][channel]
        return contrast(np.asarray(coarse[tuple(n // 2 for n in coarse.shape[:-2])]))


def needs_overview(shape: tuple[int, ...]) -> bool:
    """Whether planes of that shape are too large to be read at once."""
    return max(shape[-2:]) > COARSE_PX


def first_limits(image: Any) -> tuple[float, float]:
    """A contrast for a lazy image ([T,] [Z,] Y, X), from a part in its middle."""
    middle = tuple(n // 2 for n in image.shape)
    rows, columns = (slice(max(0, at - COARSE_PX // 4), at + COARSE_PX // 4) for at in middle[-2:])
    return contrast(np.asarray(image[(*middle[:-2], rows, columns)]))


def contrast(pixels: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest finite value; two values that differ."""
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1)

"""How a large image is cut into the blocks that are worked on one at a time, and written one at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

Slices = tuple[slice, ...]

PLANE_BLOCK_PX = (2048, 2048)
"""Sides of a block of a plane."""

VOLUME_BLOCK_PX = (64, 512, 512)
"""Sides of a block of a volume."""


def regions(shape: Sequence[int], sides: Sequence[int]) -> list[Slices]:
    """Blocks that cover `shape` ([T,] [Z,] Y, X), in reading order; each begins at multiples of `sides`."""
    along = [[slice(a, min(a + side, n)) for a in range(0, n, side)] for n, side in zip(shape, sides, strict=True)]
    return list(itertools.product(*along))


def block_sides(shape: Sequence[int], n_own: int, *grids: Sequence[int]) -> list[int]:
    """Sides of the blocks of an image of `shape` ([T,] [Z,] Y, X).

    Parameters
    ----------
    n_own : int
        How many leading axes are each on their own.
    grids : sequence of int, one for each axis, or empty
        Sides that a block must be made up of whole: of chunks on disk that are written at once, of tiles.
    """
    usual = PLANE_BLOCK_PX if len(shape) - n_own == 2 else VOLUME_BLOCK_PX
    sides = [1] * n_own + list(usual)
    for i, n in enumerate(shape):
        whole = math.lcm(*(grid[i] for grid in grids if grid))
        sides[i] = min(n, -(-sides[i] // whole) * whole)
    return sides


def grown(region: Slices, by_px: Sequence[int], shape: Sequence[int]) -> Slices:
    """A region with so much beside it along each axis, but not beyond the image."""
    pairs = zip(region, by_px, shape, strict=True)
    return tuple(slice(max(0, part.start - by), min(part.stop + by, n)) for part, by, n in pairs)

"""map_tiles: the only tiling. Memory is bounded by the tile, and the result does not depend on it, bit for bit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, OutOfMemoryError, is_out_of_memory
from ..model import Model
from ..networks import Network, Reach
from ..progress import Progress, Result, Ticker, Work
from ..samples import Array
from .runtime import set_threads

_TILE_VALUES = 2**25  # float32 values of features that a tile may hold when its size is automatic: 128 MB
_SMALLEST_TILE_PX = 32


@dataclass(frozen=True)
class Tile:
    """One tile: `inner` is where its result goes, `outer` what is read for it, `pad` edge pixels added to that."""

    inner: tuple[slice, ...]
    outer: tuple[slice, ...]
    pad: tuple[tuple[int, int], ...]

    def read(self, image: Array) -> np.ndarray:
        """The outer window (C, [T,] [Z,] Y, X) of an image."""
        window = np.asarray(image[(slice(None), *self.outer)])
        if any(before or after for before, after in self.pad):
            window = np.pad(window, ((0, 0), *self.pad), mode="edge")
        return window

    def cut(self, result: np.ndarray) -> np.ndarray:
        """The inner part of a result (K, [T,] [Z,] Y, X) of the outer window."""
        starts = [i.start - o.start + p[0] for i, o, p in zip(self.inner, self.outer, self.pad, strict=True)]
        return result[(slice(None), *(slice(a, a + i.stop - i.start) for a, i in zip(starts, self.inner, strict=True)))]


def tiles(shape: Sequence[int], sides: Sequence[int], network: Network, n_own: int) -> Iterator[Tile]:
    """Tiles that cover an image of `shape` ([T,] [Z,] Y, X), in reading order; the first `n_own` axes are on their own.

    A tile reads the network's halo beside its `sides`, but not beyond the image: at the border the network's own edge
    rule holds, tiled or not. Where the network wants windows of one size, the missing part is made up of repeated edge
    pixels.
    """
    reaches = network.along(len(shape), n_own)
    steps = [range(0, n, side) for n, side in zip(shape, sides, strict=True)]
    for starts in itertools.product(*steps):
        inner = [slice(a, min(a + side, n)) for a, side, n in zip(starts, sides, shape, strict=True)]
        yield tile_at(inner, shape, sides, reaches)


def tile_at(inner: Sequence[slice], shape: Sequence[int], sides: Sequence[int], reaches: Sequence[Reach]) -> Tile:
    """The tile for one part of an image; it begins at a multiple of each axis' stride, and is at most `sides` large."""
    axes = [_axis(*axis) for axis in zip(inner, shape, sides, reaches, strict=True)]
    outer, pad = zip(*axes, strict=True)
    return Tile(tuple(inner), outer, pad)


def _axis(inner: slice, n: int, side: int, reach: Reach) -> tuple[slice, tuple[int, int]]:
    fixed = reach.window_px and side < n
    begin, end = inner.start - reach.halo_px, (inner.start + side if fixed else inner.stop) + reach.halo_px
    outer = slice(max(begin, 0), min(end, n))
    pad = (outer.start - begin, end - outer.stop) if fixed else (0, -(outer.stop - outer.start) % reach.stride_px)
    return outer, pad


def sides_of(network: Network, n_values: int, shape: Sequence[int], n_own: int, tile_px: int) -> list[int]:
    """Side of a tile along each axis of `shape` ([T,] [Z,] Y, X).

    Parameters
    ----------
    n_values : int
        Values that the network holds for each pixel; bounds the automatic side.
    n_own : int
        How many leading axes are on their own: time, and planes to a network for planes.
    tile_px : int
        Side asked for, or 0 for automatic. Networks with windows of one size (`Network.window_px`) keep to that size.
    """
    reaches, sides = network.along(len(shape), n_own)[n_own:], []
    budget = _TILE_VALUES / n_values
    for i, (n, reach) in enumerate(zip(shape[n_own:], reaches, strict=True)):
        if reach.window_px:  # an axis that fits into one window and its halo is taken whole
            sides.append(n if n <= reach.window_px + 2 * reach.halo_px else reach.window_px)
        else:
            side = tile_px or max(64, int(budget ** (1 / (len(reaches) - i))) // 32 * 32)
            sides.append(min(n, max(reach.stride_px, side // reach.stride_px * reach.stride_px)))
        budget /= sides[-1]  # a stack of few planes leaves the more to its rows and columns
    return [1] * n_own + sides


def map_blocks(
    function: Callable[[np.ndarray], np.ndarray],
    image: Array,
    out: Array,
    network: Network,
    sides: Sequence[int],
    n_own: int,
) -> Work[Array]:
    """Fill `out` (K, [T,] [Z,] Y, X) with `function` of every tile of `image` (C, [T,] [Z,] Y, X)."""
    shape = image.shape[1:]
    total = math.prod(-(-n // side) for n, side in zip(shape, sides, strict=True))
    ticker = Ticker()
    for step, tile in enumerate(tiles(shape, sides, network, n_own)):
        if ticker.due():
            yield Progress(step, total, "Predicting")
        out[(slice(None), *tile.inner)] = tile.cut(function(tile.read(image)))
    return out


def map_tiles(
    model: Model, image: Array, *, tile_px: int = 0, name: str = "The image", axes: str = "", out: Array | None = None
) -> Work[Array]:
    """Probabilities of a whole image, tile by tile.

    Parameters
    ----------
    model : Model
    image : array, (C, [T,] [Z,] Y, X)
        Numpy or lazy; read tile by tile.
    tile_px : int
        Side of a tile, or 0 for automatic. The result does not depend on it. When memory runs out, an automatic side
        is halved and the work begins again, and a `Progress` says so; a given one is respected.
    name : str
        Of the image, for messages.
    axes : str
        What the axes of the image are; see `Sample.axes`. Time points are predicted each on its own.
    out : array, (K, [T,] [Z,] Y, X), optional
        What to write to, block by block: anything that takes ``out[slices] = block``. Default: a new ndarray.

    Returns
    -------
    `out`, or a new ndarray, (K, [T,] [Z,] Y, X), float32 in [0, 1]

    Raises
    ------
    InputError
        If the model cannot see such an image, `out` has another shape, or `tile_px` is negative.
    OutOfMemoryError
        If memory runs out at a given or at the smallest tile size.
    """
    model.check_image(tuple(image.shape), name, axes=axes)
    if tile_px < 0:
        raise InputError(f"A tile of {tile_px} px cannot be. Give its side in pixels, or 0 for automatic.")
    set_threads(int(model.card.settings.get("threads", 0)))
    model = yield from model.for_image(image)
    shape, network = tuple(image.shape[1:]), model.network
    wanted, n_own = (len(model.classes), *shape), model.n_own(len(shape))
    if out is not None and tuple(out.shape) != wanted:
        raise InputError(f"The probabilities of {name} have shape {wanted}; they cannot be written to {out.shape}.")
    sides = sides_of(network, model.n_values, shape, n_own, tile_px)

    def predicted(sides: Sequence[int]) -> Work[Array]:
        target = np.empty(wanted, np.float32) if out is None else out
        return (yield from map_blocks(model.predict, image, target, network, sides, n_own))

    return (yield from halving(predicted, sides, fixed=bool(tile_px or network.window_px)))


def halving(predicted: Callable[[Sequence[int]], Work[Result]], sides: Sequence[int], *, fixed: bool) -> Work[Result]:
    """Work on tiles, begun again with half their sides whenever memory runs out.

    Parameters
    ----------
    predicted : callable
        The work, for sides of tiles.
    sides : sequence of int
        To begin with.
    fixed : bool
        The sides may not be changed.

    Raises
    ------
    OutOfMemoryError
        If memory runs out at fixed sides, or at the smallest.
    """
    while True:
        try:
            return (yield from predicted(sides))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if fixed or max(sides) <= _SMALLEST_TILE_PX:
                raise OutOfMemoryError(f"Memory ran out while predicting tiles of {max(sides)} px.") from error
        sides = [max(1, side // 2) if side > _SMALLEST_TILE_PX else side for side in sides]
        yield Progress(0, 0, f"Memory ran out; trying again with tiles of {max(sides)} px")

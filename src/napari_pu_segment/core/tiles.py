"""map_tiles: the only tiling. Memory is bounded by the tile, and the result does not depend on it, bit for bit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import InputError, OutOfMemoryError, is_out_of_memory
from .model import Model
from .networks import Network
from .progress import Progress, Ticker, Work
from .runtime import set_threads
from .samples import Array

_TILE_VALUES = 2**25  # float32 values of features that a tile may hold when its size is automatic: 128 MB
_SMALLEST_TILE_PX = 32


@dataclass(frozen=True)
class Tile:
    """One tile: `inner` is where its result goes, `outer` what is read for it, `pad` edge pixels added to that."""

    inner: tuple[slice, ...]
    outer: tuple[slice, ...]
    pad: tuple[tuple[int, int], ...]

    def read(self, image: Array) -> np.ndarray:
        """The outer window (C, [Z,] Y, X) of an image."""
        window = np.asarray(image[(slice(None), *self.outer)])
        if any(before or after for before, after in self.pad):
            window = np.pad(window, ((0, 0), *self.pad), mode="edge")
        return window

    def cut(self, result: np.ndarray) -> np.ndarray:
        """The inner part of a result (K, [Z,] Y, X) of the outer window."""
        starts = [i.start - o.start + p[0] for i, o, p in zip(self.inner, self.outer, self.pad, strict=True)]
        return result[(slice(None), *(slice(a, a + i.stop - i.start) for a, i in zip(starts, self.inner, strict=True)))]


def tiles(shape: Sequence[int], sides: Sequence[int], halos: Sequence[int], network: Network) -> Iterator[Tile]:
    """Tiles that cover an image of spatial `shape`, in reading order.

    A tile reads `halos` beside its `sides`, but not beyond the image: at the border the network's own edge rule holds,
    tiled or not. Where the network wants windows of one size, the missing part is made up of repeated edge pixels.
    """
    steps = [range(0, n, side) for n, side in zip(shape, sides, strict=True)]
    for starts in itertools.product(*steps):
        axes = [_axis(n, a, side, halo, network) for n, a, side, halo in zip(shape, starts, sides, halos, strict=True)]
        inner, outer, pad = zip(*axes, strict=True)
        yield Tile(inner, outer, pad)


def _axis(n: int, start: int, side: int, halo: int, network: Network) -> tuple[slice, slice, tuple[int, int]]:
    stop = min(start + side, n)
    fixed = network.window_px and side < n
    begin, end = start - halo, (start + side if fixed else stop) + halo
    outer = slice(max(begin, 0), min(end, n))
    pad = (outer.start - begin, end - outer.stop) if fixed else (0, -(outer.stop - outer.start) % network.stride_px)
    return slice(start, stop), outer, pad


def sides_of(network: Network, n_values: int, shape: Sequence[int], planewise: bool, tile_px: int) -> list[int]:
    """Side of a tile along each spatial axis of `shape`.

    Parameters
    ----------
    n_values : int
        Values that the network holds for each pixel; bounds the automatic side.
    planewise : bool
        Whether each plane of a stack is on its own.
    tile_px : int
        Side asked for, or 0 for automatic. Networks with windows of one size (`Network.window_px`) keep to that size.
    """
    ndim = len(shape) - planewise
    if network.window_px:
        # an axis that fits into one window and its halo is taken whole
        window = network.window_px if ndim == 2 else network.window_px // 4
        sides = [n if n <= window + 2 * network.halo_px else window for n in shape]
    else:
        side = tile_px or max(64, int((_TILE_VALUES / n_values) ** (1 / ndim)) // 64 * 64)
        side = max(network.stride_px, side // network.stride_px * network.stride_px)
        sides = [min(n, side) for n in shape]
    return [1, *sides[1:]] if planewise else sides


def map_blocks(
    function: Callable[[np.ndarray], np.ndarray],
    image: Array,
    out: np.ndarray,
    network: Network,
    sides: Sequence[int],
    planewise: bool,
) -> Work[np.ndarray]:
    """Fill `out` (K, [Z,] Y, X) with `function` of every tile of `image` (C, [Z,] Y, X)."""
    shape = image.shape[1:]
    halos = [network.halo_px] * len(shape)
    if planewise:
        halos[0] = 0
    total = math.prod(-(-n // side) for n, side in zip(shape, sides, strict=True))
    ticker = Ticker()
    for step, tile in enumerate(tiles(shape, sides, halos, network)):
        if ticker.due():
            yield Progress(step, total, "Predicting")
        out[(slice(None), *tile.inner)] = tile.cut(function(tile.read(image)))
    return out


def map_tiles(model: Model, image: Array, *, tile_px: int = 0, name: str = "The image") -> Work[np.ndarray]:
    """Probabilities of a whole image, tile by tile.

    Parameters
    ----------
    model : Model
    image : array, (C, [Z,] Y, X)
        Numpy or lazy; read tile by tile.
    tile_px : int
        Side of a tile, or 0 for automatic. The result does not depend on it. When memory runs out, an automatic side
        is halved and the work begins again, and a `Progress` says so; a given one is respected.
    name : str
        Of the image, for messages.

    Returns
    -------
    ndarray, (K, [Z,] Y, X), float32 in [0, 1]

    Raises
    ------
    InputError
        If the model cannot see such an image, or `tile_px` is negative.
    OutOfMemoryError
        If memory runs out at a given or at the smallest tile size.
    """
    model.check_image(tuple(image.shape), name)
    if tile_px < 0:
        raise InputError(f"A tile of {tile_px} px cannot be. Give its side in pixels, or 0 for automatic.")
    set_threads(int(model.card.settings.get("threads", 0)))
    shape, network = tuple(image.shape[1:]), model.network
    planewise = model.card.network.ndim == 2 and len(shape) == 3
    sides = sides_of(network, model.n_values, shape, planewise, tile_px)
    while True:
        try:
            out = np.empty((len(model.classes), *shape), np.float32)
            return (yield from map_blocks(model.predict, image, out, network, sides, planewise))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if tile_px or network.window_px or max(sides) <= _SMALLEST_TILE_PX:
                raise OutOfMemoryError(f"Memory ran out while predicting tiles of {max(sides)} px.") from error
        sides = [max(1, side // 2) if side > _SMALLEST_TILE_PX else side for side in sides]
        yield Progress(0, 0, f"Memory ran out; trying again with tiles of {max(sides)} px")

"""Rows of features at chosen pixels, computed once and kept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..compute.tiles import map_blocks, sides_of, tile_at
from ..images.intensity import ChannelStats, normalise
from ..images.sampling import is_large
from ..networks import Network, NetworkSpec, Reach, stacked
from ..progress import Progress, Ticker, Work
from ..samples import Sample
from ..training.fit import FeatureCache

_MAP_BYTES = 2**28  # larger feature maps are neither kept nor made: only what is asked for and its surroundings
_CELL_PX = 128  # of a large image: small, for little of it is asked for


def gather(
    sample: Sample,
    rows: Sequence[np.ndarray],
    network: Network,
    spec: NetworkSpec,
    stats: Sequence[ChannelStats],
    n_values: int,
    cache: FeatureCache | None,
) -> Work[list[torch.Tensor]]:
    """Features of the network's stem at chosen pixels of an image.

    Parameters
    ----------
    sample : Sample
    rows : sequence of ndarray of int
        Flat indices into the image, one array for each wanted tensor.
    n_values : int
        Number F of features.
    cache : FeatureCache or None
        Where feature maps are kept, as float16 (the rows are float16 numbers with or without a cache).

    Returns
    -------
    list of Tensor, each (len(rows[i]), F), float32
    """
    shape = sample.spatial_shape
    small = _is_small(shape, n_values)
    key = _fingerprint(sample, spec, stats) if small and cache is not None else ""
    maps = cache.get(key) if cache is not None and key else None
    n_own = len(shape) - spec.ndim
    sides = sides_of(network, 2 * n_values, shape, n_own, _CELL_PX if is_large(shape) else 0)
    stem = _stem(network, stats, n_own)
    if not small:
        pixels = np.concatenate(rows)
        found = yield from _around(pixels, sample, stem, sides, network.along(len(shape), n_own), n_values)
        return list(torch.split(torch.from_numpy(found).float(), [len(part) for part in rows]))
    if maps is None:
        out = np.empty((n_values, *shape), np.float16)
        yield from map_blocks(stem, sample.image, out, network, sides, n_own)
        maps = torch.from_numpy(out)
        if cache is not None:
            cache.put(key, maps)
    flat = maps.reshape(n_values, -1)
    return [_picked(flat, index) for index in rows]


def _picked(flat: torch.Tensor, index: np.ndarray) -> torch.Tensor:
    """Features (n, F), float32, of maps (F, pixels), read map by map in the order of the pixels: thrice as fast."""
    order = np.argsort(index, kind="stable")
    places = torch.from_numpy(index[order])
    found = torch.empty(len(index), len(flat))
    found[torch.from_numpy(order)] = torch.stack([one[places] for one in flat], 1).float()
    return found


def _around(
    pixels: np.ndarray,
    sample: Sample,
    stem: Callable[[np.ndarray], np.ndarray],
    sides: Sequence[int],
    reaches: Sequence[Reach],
    n_values: int,
) -> Work[np.ndarray]:
    """Rows (n, F), float16, at flat indices (n,): each part of the image that has some is read with its halo."""
    shape = sample.spatial_shape
    places = np.stack(np.unravel_index(pixels, shape))
    cells = places // np.array(sides)[:, None]
    numbers = np.ravel_multi_index(cells, [-(-n // side) for n, side in zip(shape, sides, strict=True)])
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(pixels) else []
    rows, ticker = np.empty((len(pixels), n_values), np.float16), Ticker()
    for step, group in enumerate(groups):
        if ticker.due():
            yield Progress(step, len(groups), "Looking at the image")
        inside = places[:, group]
        box = [slice(int(at.min()), int(at.max()) + 1) for at in inside]
        tile = tile_at(box, shape, sides, reaches)
        maps = tile.cut(stem(tile.read(sample.image)))
        rows[group] = maps[(slice(None), *(inside - np.array([[part.start] for part in box])))].T
    return rows


def kept(sample: Sample, spec: NetworkSpec, stats: Sequence[ChannelStats], cache: FeatureCache) -> torch.Tensor | None:
    """The feature maps (F, [T,] [Z,] Y, X), float16, that a training left in the cache, if it did."""
    if not spec.filters or not _is_small(sample.spatial_shape, spec.n_features):
        return None
    return cache.get(_fingerprint(sample, spec, stats))


def _is_small(shape: tuple[int, ...], n_values: int) -> bool:
    return math.prod(shape) * n_values * 2 <= _MAP_BYTES


def _stem(network: Network, stats: Sequence[ChannelStats], n_own: int) -> Callable[[np.ndarray], np.ndarray]:
    device = next(network.parameters()).device

    def features(tile: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(normalise(tile, stats)).to(device)
        with torch.inference_mode():
            maps = network.stem(stacked(x, n_own)).half()  # (N, F, [Z,] Y, X)
        return maps.transpose(0, 1).reshape(-1, *tile.shape[1:]).cpu().numpy()

    return features


def _fingerprint(sample: Sample, spec: NetworkSpec, stats: Sequence[ChannelStats]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((spec, tuple(stats), sample.image.shape, str(sample.image.dtype))).encode())
    digest.update(np.ascontiguousarray(sample.image).tobytes())
    return digest.hexdigest()

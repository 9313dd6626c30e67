"""Rows of features at chosen pixels, computed once and kept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .filters import count
from .fit import FeatureCache
from .intensity import ChannelStats, normalise
from .networks import Network, NetworkSpec, stacked
from .progress import Work
from .samples import Sample
from .tiles import map_blocks, sides_of

_MAP_BYTES = 2**28  # larger feature maps are not kept: only the rows that are asked for


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
    if maps is None:
        out: Any = np.empty((n_values, *shape), np.float16) if small else _Picker(rows, shape, n_values)
        n_own = len(shape) - spec.ndim
        sides = sides_of(network, 2 * n_values, shape, n_own, 0)
        yield from map_blocks(_stem(network, stats, n_own), sample.image, out, network, sides, n_own)
        if not small:
            return [torch.from_numpy(picked).float() for picked in out.rows]
        maps = torch.from_numpy(out)
        if cache is not None:
            cache.put(key, maps)
    flat = maps.reshape(n_values, -1)
    return [flat[:, torch.from_numpy(index)].T.float().contiguous() for index in rows]


def kept(sample: Sample, spec: NetworkSpec, stats: Sequence[ChannelStats], cache: FeatureCache) -> torch.Tensor | None:
    """The feature maps (F, [T,] [Z,] Y, X), float16, that a training left in the cache, if it did."""
    if not spec.filters or not _is_small(
        sample.spatial_shape, count(spec.in_channels, spec.ndim, spec.filters, spec.sigmas_px)
    ):
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


class _Picker:
    """Stands in for the output array of `map_blocks`, and keeps only the wanted pixels of what is written to it."""

    def __init__(self, rows: Sequence[np.ndarray], shape: tuple[int, ...], n_values: int) -> None:
        self.rows = [np.empty((len(index), n_values), np.float16) for index in rows]
        self._places = [np.stack(np.unravel_index(index, shape)) for index in rows]

    def __setitem__(self, where: tuple[slice, ...], block: np.ndarray) -> None:
        starts = np.array([part.start for part in where[1:]])[:, None]
        stops = np.array([part.stop for part in where[1:]])[:, None]
        for kept, places in zip(self.rows, self._places, strict=True):
            inside = ((places >= starts) & (places < stops)).all(0)
            kept[inside] = block[(slice(None), *(places[:, inside] - starts))].T

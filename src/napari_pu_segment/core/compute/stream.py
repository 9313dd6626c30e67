"""Prediction from where one looks outwards: the same bits as `tiles.map_tiles`, in another order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..classes import alone_or_stacked, leading
from ..filters.features import kept
from ..model import Model
from ..progress import Progress, Ticker, Work
from ..samples import Array, Sample
from ..training.fit import FeatureCache
from .runtime import set_threads
from .tiles import Tile, sides_of, tiles

SIDE_PX = 256  # small enough to be shown soon and cancelled soon, large enough for its halo not to weigh


def stream(
    model: Model,
    sample: Sample,
    out: Array,
    *,
    window: tuple[slice, ...] | None = None,
    cache: FeatureCache | None = None,
    side_px: int = SIDE_PX,
) -> Work[None]:
    """Fill `out` with the probability of an image, tile by tile, those nearest to the middle of a window first.

    Parameters
    ----------
    model : Model
    sample : Sample
        Its image is predicted, in tiles, so that neither a part nor the whole needs memory beyond them.
    out : array, ([T,] [Z,] Y, X), float32; of K > 1 classes (K, [T,] [Z,] Y, X)
        Every value that is written is final, and that of `map_tiles`.
    window : tuple of slice, ([T,] [Z,] Y, X), optional
        What is looked at; default: all.
    cache : FeatureCache, optional
        Where a training on the same image left its features; several times faster then.
    side_px : int
        Side of a tile, where the network leaves the choice.

    Yields
    ------
    Progress
        With the `parts` of `out` that were filled since the last one; the last of all is told too.

    Raises
    ------
    InputError
        If the model cannot see such an image.
    """
    model.check_image(tuple(sample.image.shape), f"The image {sample.name!r}", sample.channel_names, sample.axes)
    set_threads(int(model.card.settings.get("threads", 0)))
    model = yield from model.for_image(sample.image)
    shape, network = sample.spatial_shape, model.network
    n_own = model.n_own(len(shape))
    sides = sides_of(network, model.n_values, shape, n_own, side_px)
    order = sorted(tiles(shape, sides, network, n_own), key=_distance(window or tuple(slice(0, n) for n in shape)))
    maps = None if cache is None else kept(sample, model.card.network, model.card.intensity, cache)
    ticker, parts = Ticker(), []
    for step, tile in enumerate(order):
        out[(*leading(model.threshold), *tile.inner)] = alone_or_stacked(_predict(model, sample, maps, tile))
        parts.append(tile.inner)
        if ticker.due() or step + 1 == len(order):
            yield Progress(step + 1, len(order), "Predicting", parts=tuple(parts))
            parts = []


def _predict(model: Model, sample: Sample, maps: torch.Tensor | None, tile: Tile) -> np.ndarray:
    if maps is None:
        return tile.cut(model.predict(tile.read(sample.image)))
    return model.predict_features(maps[(slice(None), *tile.inner)])


def _distance(window: tuple[slice, ...]) -> Callable[[Tile], float]:
    """How far a tile's middle is from that of the window; another plane or time is farther than all of this one."""
    middle = np.array([(part.start + part.stop) / 2 for part in window])
    weights = np.array([1e6] * (len(window) - 2) + [1.0, 1.0])

    def distance(tile: Tile) -> float:
        own = np.array([(part.start + part.stop) / 2 for part in tile.inner])
        return float((((own - middle) * weights) ** 2).sum())

    return distance

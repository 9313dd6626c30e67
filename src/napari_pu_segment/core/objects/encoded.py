"""What an encoder tells of objects: the means of its maps."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..compute.runtime import set_threads
from ..compute.tiles import sides_of, tiles
from ..errors import InputError
from ..images.intensity import normalise
from ..model import Model
from ..networks import Encoder, stacked
from ..progress import Progress, Ticker, Work
from ..samples import Array


def map_means(
    encoder: Model, image: Array, places: np.ndarray, n: int, name: str = "The image", axes: str = ""
) -> Work[np.ndarray]:
    """Mean of each map of an encoder over the pixels of each of n objects, (n, n_maps), tile by tile.

    Parameters
    ----------
    encoder : Model
    image : array, (C, [T,] [Z,] Y, X)
        In memory or lazy; only tiles with objects are read.
    places : ndarray of integers, ([T,] [Z,] Y, X)
        1..n where an object lies, 0 elsewhere.
    n : int
    name, axes : str
        Of the image; see `Sample`.

    Raises
    ------
    InputError
        If the model is no encoder, or cannot see such an image.
    """
    network = encoder.network
    if not encoder.is_encoder or not isinstance(network, Encoder):
        raise InputError("Objects are described by an encoder, but this model is none. Make one by pretraining.")
    encoder.check_seen(tuple(image.shape), name, axes=axes)
    set_threads(int(encoder.card.settings.get("threads", 0)))
    encoder = yield from encoder.for_image(image)
    shape, n_own = tuple(image.shape[1:]), encoder.n_own(len(image.shape) - 1)
    sides = sides_of(network, encoder.n_values, shape, n_own, 0)
    total = math.prod(-(-size // side) for size, side in zip(shape, sides, strict=True))
    sums, counts, ticker = np.zeros((n, network.n_maps)), np.zeros(n), Ticker()
    for step, tile in enumerate(tiles(shape, sides, network, n_own)):
        if ticker.due():
            yield Progress(step, total, "Looking at objects")
        here = places[tile.inner]
        inside = here > 0
        if not inside.any():
            continue
        rows = here[inside] - 1
        counts += np.bincount(rows, minlength=n)
        for k, values in enumerate(tile.cut(_maps(encoder, network, tile.read(image)))):
            sums[:, k] += np.bincount(rows, values[inside], n)
    return np.asarray(sums / np.maximum(counts, 1)[:, None])


def _maps(encoder: Model, network: Encoder, tile: np.ndarray) -> np.ndarray:
    """The maps (n_maps, [T,] [Z,] Y, X) of a tile (C, [T,] [Z,] Y, X)."""
    x = torch.from_numpy(normalise(tile, encoder.card.intensity))
    with torch.inference_mode():
        found = network.maps(stacked(x, encoder.n_own(x.ndim - 1)).to(encoder.device)).transpose(0, 1)
    return np.asarray(found.reshape(-1, *x.shape[1:]).cpu().numpy())

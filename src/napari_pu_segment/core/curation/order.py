"""ORDERS: which images to annotate next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..classes import object_or_not
from ..compute.tiles import map_tiles
from ..errors import pick
from ..model import Model
from ..progress import Progress, Work
from ..samples import Array
from ..suggest.uncertainty import uncertainty

_NEIGHBOURS = 20
_LEAST = 1e-3
_MOST_CLUSTERS = 200

Choose = Callable[[np.ndarray, Sequence[int], np.ndarray, int, int], Work[list[int]]]


@dataclass(frozen=True)
class Order:
    """One row of the table of orders.

    Parameters
    ----------
    title : str
    choose : callable
        ``choose(vectors, annotated, weights, n, seed)``: numbers of the next `n` images, the most informative first.
        Images of weight 0 are left out.
    """

    title: str
    choose: Choose


def _cover(vectors: np.ndarray, annotated: Sequence[int], weights: np.ndarray, n: int, seed: int) -> Work[list[int]]:
    """k-centre greedy (Gonzalez 1985; as core-set: Sener & Savarese 2018, arXiv:1708.00489).

    Next comes the image with the largest distance to the nearest one that is annotated or chosen, times its weight; at
    first, the most typical.
    """
    chosen: list[int] = []
    away = np.full(len(vectors), np.inf)
    for i in annotated:
        away = np.minimum(away, np.linalg.norm(vectors - vectors[i], axis=1))
    for step in range(n):
        yield Progress(step, n, "Choosing images")
        value = np.where(np.isinf(away), _typicality(vectors, np.arange(len(vectors))), away) * weights
        if not value.max() > 0:
            break
        chosen.append(int(value.argmax()))
        away = np.minimum(away, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1))
    return chosen


def _typical(vectors: np.ndarray, annotated: Sequence[int], weights: np.ndarray, n: int, seed: int) -> Work[list[int]]:
    """TypiClust (Hacohen, Dekel & Weinshall 2022, arXiv:2202.02794), times the weight.

    In rounds, each of as many images as there were annotated and chosen before it (one at least), so that the first
    ones are good whatever `n` is: the set falls into as many clusters as images are annotated, chosen and to be chosen
    in the round. Of the largest one without any of these comes next the most typical: with the smallest mean distance
    to its nearest neighbours in it.
    """
    n_free, n_kinds, chosen = int((weights > 0).sum()), len(np.unique(vectors, axis=0)), list[int]()
    while len(chosen) < min(n, n_free):
        yield Progress(len(chosen), n, "Choosing images")
        known = [*annotated, *chosen]
        n_more = min(max(1, len(known)), min(n, n_free) - len(chosen))
        n_clusters = min(len(known) + n_more, _MOST_CLUSTERS, n_kinds)
        chosen += _round(vectors, known, weights, n_more, n_clusters, seed)
    return chosen


def _round(
    vectors: np.ndarray, known: Sequence[int], weights: np.ndarray, n: int, n_clusters: int, seed: int
) -> list[int]:
    from sklearn.cluster import KMeans

    labels = KMeans(n_clusters, n_init=2, random_state=seed).fit_predict(vectors)
    typical, taken = np.zeros(len(vectors)), np.bincount(labels[list(known)], minlength=n_clusters)
    for label in range(n_clusters):
        members = np.flatnonzero(labels == label)
        typical[members] = _typicality(vectors, members)
    sizes, chosen = np.bincount(labels, minlength=n_clusters), list[int]()
    left = set(np.flatnonzero(weights > 0).tolist()) - set(known)
    for _ in range(n):
        # the least annotated clusters, of these the largest, of it the image that counts most
        first = min(sorted(left), key=lambda i: (taken[labels[i]], -sizes[labels[i]], -typical[i] * weights[i]))
        chosen.append(first)
        left.remove(first)
        taken[labels[first]] += 1
    return chosen


def _random(vectors: np.ndarray, annotated: Sequence[int], weights: np.ndarray, n: int, seed: int) -> Work[list[int]]:
    """Any that may be chosen, in an order by chance."""
    yield Progress(0, n, "Choosing images")
    return [int(i) for i in np.random.default_rng(seed).permutation(np.flatnonzero(weights > 0))[:n]]


def _typicality(vectors: np.ndarray, members: np.ndarray) -> np.ndarray:
    """1 / the mean distance of each member to its 20 nearest neighbours among them."""
    from sklearn.neighbors import NearestNeighbors

    n = min(_NEIGHBOURS, len(members) - 1)
    if n < 1:
        return np.ones(len(members))
    away, _ = NearestNeighbors(n_neighbors=n).fit(vectors[members]).kneighbors()
    return np.asarray(1 / (away.mean(1) + _LEAST))


ORDERS: dict[str, Order] = {
    "typical": Order("Typical of what is not annotated", _typical),
    "cover": Order("Far from what is annotated", _cover),
    "random": Order("By chance", _random),
}


def next_images(
    vectors: np.ndarray,
    order: str,
    n: int,
    *,
    annotated: Sequence[int] = (),
    left_out: Sequence[int] = (),
    doubt: np.ndarray | None = None,
    seed: int = 0,
) -> Work[list[int]]:
    """The images to annotate next, the most informative first.

    Parameters
    ----------
    vectors : ndarray, (N, D)
    order : str
        A row of `ORDERS`.
    n : int
    annotated, left_out : sequence of int
        Images that have their annotation, and others that are not to be chosen.
    doubt : ndarray, (N,), 0..1
        How uncertain a model is about each; NaN where it was not asked. The order's measure is multiplied by it.
    seed : int

    Raises
    ------
    InputError
        If there is no such order.
    """
    row = pick(ORDERS, order, "order")
    weights = np.ones(len(vectors))
    if doubt is not None and np.isfinite(doubt).any():
        weights = np.where(np.isfinite(doubt), doubt, np.nanmedian(doubt)) + _LEAST
    weights[[*annotated, *left_out]] = 0
    if not weights.any() or not n:
        return []
    return (yield from row.choose(vectors, annotated, weights, min(n, int((weights > 0).sum())), seed))


def doubt_of(model: Model, image: Array, axes: str, name: str) -> Work[float]:
    """How uncertain a model is about an image: the mean of `uncertainty.uncertainty` over it, in bits, 0..1.

    Of a large image the middle stands for it: one time, 8 planes, 1024 x 1024 pixels.

    Raises
    ------
    InputError
        If the model cannot see such an image.
    """
    most = {"T": 1, "Z": 8, "Y": 1024, "X": 1024}
    sides = [min(n, most.get(axis, n)) for n, axis in zip(image.shape, axes, strict=True)]
    part = tuple(slice((n - side) // 2, (n + side) // 2) for n, side in zip(image.shape, sides, strict=True))
    probability = yield from map_tiles(model, np.asarray(image[part]), name=name, axes=axes)
    if isinstance(model.threshold, tuple):
        return float(uncertainty(object_or_not(probability, model.threshold), 0.5).mean())
    return float(uncertainty(probability[0], model.threshold).mean())

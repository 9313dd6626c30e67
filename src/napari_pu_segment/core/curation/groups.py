"""Groups of images that look alike, whether they are in balance, and weights that bring them into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import pick
from ..progress import Progress, Work

_MOST_GROUPS, _LEAST_MEMBERS = 16, 4
_SEEN = 2000  # vectors that the silhouette is computed of
_LEAST_SILHOUETTE = 0.1  # below it there are no groups to be told apart
OVER, UNDER = 2.0, 0.5  # times an even share


@dataclass(frozen=True)
class Grouper:
    """One row of the table of groupers.

    Parameters
    ----------
    title : str
    make : callable
        ``make(n_groups, seed)``: a scikit-learn clusterer with `fit_predict`.
    """

    title: str
    make: Callable[[int, int], Any]


def _kmeans(n: int, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(n, n_init=4, random_state=seed)


def _mixture(n: int, seed: int) -> Any:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(n, covariance_type="diag", reg_covar=1e-3, n_init=2, random_state=seed)


GROUPERS: dict[str, Grouper] = {"kmeans": Grouper("K-means", _kmeans), "mixture": Grouper("Gaussian mixture", _mixture)}


def grouping(vectors: np.ndarray, grouper: str, n_groups: int, seed: int) -> Work[np.ndarray]:
    """The group of each image, numbered from 0 by size, the largest first.

    Parameters
    ----------
    vectors : ndarray, (N, D)
    grouper : str
        A row of `GROUPERS`.
    n_groups : int
        0: the number from 2 to 16 with the largest mean silhouette (Rousseeuw 1987, of at most 2,000 vectors), or one
        group where that is below 0.1.

    Returns
    -------
    ndarray of int, (N,)

    Raises
    ------
    InputError
        If there is no such grouper.
    """
    from sklearn.metrics import silhouette_score

    row, n = pick(GROUPERS, grouper, "grouper"), len(vectors)
    most = min(_MOST_GROUPS, n // _LEAST_MEMBERS)
    tried = [min(n_groups, n)] if n_groups else list(range(2, most + 1))
    best, best_score = np.zeros(n, int), _LEAST_SILHOUETTE if not n_groups else -np.inf
    for step, count in enumerate(tried):
        yield Progress(step, len(tried), "Finding groups")
        labels = np.asarray(row.make(count, seed).fit_predict(vectors)) if count > 1 else np.zeros(n, int)
        told_apart = 1 < len(np.unique(labels)) < n
        kept = np.random.default_rng(seed).permutation(n)[:_SEEN]
        several = told_apart and 1 < len(np.unique(labels[kept])) < len(kept)
        score = float(silhouette_score(vectors[kept], labels[kept])) if several else -1.0
        if score > best_score:
            best, best_score = labels, score
    return _by_size(best)


def _by_size(labels: np.ndarray) -> np.ndarray:
    names, firsts, counts = np.unique(labels, return_index=True, return_counts=True)
    order = sorted(range(len(names)), key=lambda i: (-counts[i], firsts[i]))
    new = {names[i]: number for number, i in enumerate(order)}
    return np.array([new[label] for label in labels], dtype=int)


@dataclass(frozen=True)
class Group:
    """A group of images.

    Parameters
    ----------
    members : tuple of int
        Numbers of its images, the most typical first: nearest to their mean.
    share : float
        Of the set, 0..1.
    balance : str
        "over-represented" with twice an even share and more, "under-represented" with half of it and less, else "".
    """

    members: tuple[int, ...]
    share: float
    balance: str


def groups_of(vectors: np.ndarray, labels: np.ndarray) -> list[Group]:
    """The groups, by number; see `grouping`."""
    found = []
    n_groups = int(labels.max()) + 1
    for number in range(n_groups):
        members = np.flatnonzero(labels == number)
        away = np.linalg.norm(vectors[members] - vectors[members].mean(0), axis=1)
        share = len(members) / len(labels)
        balance = "over-represented" if share * n_groups >= OVER else ""
        balance = "under-represented" if share * n_groups <= UNDER else balance
        found.append(Group(tuple(int(i) for i in members[np.argsort(away, kind="stable")]), share, balance))
    return found


def balancing(labels: np.ndarray, alike: Sequence[Sequence[int]]) -> np.ndarray:
    """Weights (N,) for drawing images so that all groups come up equally often, and copies as often as one image.

    w = 1 / (copies x images of the group, copies counted once), then divided by the mean, so that an even set has
    weights of 1.

    Parameters
    ----------
    labels : ndarray of int, (N,)
        The group of each image.
    alike : sequence of sequence of int
        Groups of duplicates.
    """
    once = np.ones(len(labels))
    for members in alike:
        once[list(members)] = 1 / len(members)
    sizes = np.bincount(labels, weights=once)
    weights = once / sizes[labels]
    return np.asarray(weights / weights.mean())


def class_weights(fractions: np.ndarray) -> np.ndarray:
    """Weights (N,) for drawing images so that all classes come up equally often.

    w_i = sum over classes c of p_ci / (C P_c), where p_ci is the fraction of class c in image i, P_c its mean over
    images, and C the number of classes that occur. The weights have mean 1.

    Parameters
    ----------
    fractions : ndarray, (N, C)
        Each row adds up to 1; a row of NaN, of an image without a mask, gets weight NaN.
    """
    mean = np.nanmean(fractions, axis=0)
    there = mean > 0
    return np.asarray((fractions[:, there] / mean[there]).sum(1) / there.sum())


def drawn(weights: np.ndarray, n: int, seed: int) -> list[int]:
    """`n` images drawn by their weights, each at most once, in the order in which they were drawn.

    Efraimidis & Spirakis 2006 (Information Processing Letters 97:181): with u_i uniform in 0..1, those with the
    largest u_i^(1 / w_i).

    Parameters
    ----------
    weights : ndarray, (N,)
        Above 0; images with NaN are left out.
    n : int
        All there are, if there are fewer.
    seed : int
    """
    keys = np.log(np.random.default_rng(seed).uniform(size=len(weights))) / weights
    order = np.argsort(-keys, kind="stable")
    return [int(i) for i in order if np.isfinite(keys[i])][:n]


def redrawn(weights: np.ndarray, n: int, seed: int) -> list[int]:
    """`n` images drawn by their weights, in order; heavy ones several times, and light ones maybe never.

    Systematic resampling (Kitagawa 1996, J. Comput. Graph. Stat. 5:1): where (u + k) / n, k = 0..n-1, with one u
    uniform in 0..1, fall in the running sum of the weights divided by their sum. Image i comes n w_i / sum w times,
    rounded up or down.

    Parameters
    ----------
    weights : ndarray, (N,)
        Above 0.
    n, seed : int
    """
    reached = np.cumsum(weights) / np.sum(weights)
    at = (np.random.default_rng(seed).uniform() + np.arange(n)) / n
    return [int(i) for i in np.minimum(np.searchsorted(reached, at, side="right"), len(weights) - 1)]

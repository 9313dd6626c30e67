"""Clusters of any form: landmarks among the rows are joined, and a row is of the cluster of its nearest landmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..progress import Progress, Work
from .components import SOFTENING, Components, quietly, spherical

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

LANDMARKS = 64
_ROUNDS = 30  # of Lloyd's; where exactly a landmark lies matters little
_NEAR = 2  # the neighbour whose distance is the scale of a landmark's surroundings; 7 of Zelnik-Manor is far of 64
_HOLD = 0.003  # of the mean likeness, added to every one: without it, a few far rows are parted from all others
_SEEN = 3_000  # rows that DBSCAN compares each with each, so that its memory is bounded
_SMALLEST = 0.02  # of all rows: fewer together are no cluster
_MESSAGE = "Looking for clusters"


def spectral(rows: np.ndarray, n_clusters: int, seed: int) -> Work[Components]:
    """Spectral clusters of landmarks that K-means finds (KASP: Yan, Huang, Jordan 2009, KDD).

    Landmarks of n_i rows at the distance d_ij are alike by n_i n_j exp(-d_ij^2 / (s_i s_j)), with s_i the distance of
    the second neighbour of landmark i (Zelnik-Manor & Perona 2004, NIPS), and by 0.003 times the mean of that (Amini et
    al. 2013); normalised cuts part them (Shi & Malik 2000), read from the eigenvectors by a pivoted QR decomposition
    (Damle, Minden, Ying 2019).

    Raises
    ------
    InputError
        If fewer rows differ than twice the number of clusters.
    """
    from scipy.spatial.distance import cdist
    from sklearn.cluster import SpectralClustering

    yield Progress(0, 2, _MESSAGE)
    found = _quantised(rows, seed)
    yield Progress(1, 2, _MESSAGE)
    used, n = np.unique(found.labels_, return_counts=True)  # where rows are the same, some landmarks have none
    if len(used) < 2 * n_clusters:
        raise InputError(
            f"{n_clusters} spectral clusters want {2 * n_clusters} landmarks that differ; there are {len(used)}. Ask "
            "for fewer, or choose other clusters."
        )
    away = cdist(found.cluster_centers_[used], found.cluster_centers_[used])
    scale = np.sort(away, 1)[:, min(_NEAR, len(used) - 1)]
    alike = np.exp(-(away**2) / np.outer(scale, scale)) * np.outer(n, n) / n.mean() ** 2
    alike += _HOLD * alike.mean()
    joined = SpectralClustering(n_clusters, affinity="precomputed", assign_labels="cluster_qr", random_state=seed)
    with quietly():
        labels = joined.fit(alike).labels_
    nearest = cdist(found.cluster_centers_, found.cluster_centers_[used]).argmin(1)
    return _joined(found.cluster_centers_, labels[nearest])


def dbscan(rows: np.ndarray, n_clusters: int, seed: int) -> Work[Components]:
    """As many clusters as there are dense regions with gaps between them (DBSCAN: Ester et al. 1996, KDD).

    At most 3000 of the rows are compared. Of m rows in D dimensions those are dense that have k = max(2 D, m / 50) of
    them, themselves included, within a radius; k >= 2 D as Sander et al. 1998 advise, and m / 50 leaves out specks.
    The radius is where the sorted distances to the k-th bend: with both axes scaled to 0..1, furthest below the line
    from the least to the largest (Satopaa et al. 2011). What is near no dense row is put together as the last
    cluster, and has a quarter of the landmarks. Any other is of the cluster that most of its rows are of.

    Raises
    ------
    InputError
        If there is a single cluster, and nothing beside it.
    """
    from scipy.spatial import cKDTree
    from sklearn.cluster import DBSCAN

    yield Progress(0, 2, _MESSAGE)
    few = rows[:: -(-len(rows) // _SEEN)]
    least = min(len(few), max(2 * rows.shape[1], round(_SMALLEST * len(few))))
    with quietly():
        radius = bend(np.sort(cKDTree(few).query(few, [least])[0][:, 0]))
        labels = DBSCAN(eps=max(radius, 1e-6), min_samples=least).fit(few).labels_
    yield Progress(1, 2, _MESSAGE)
    rest = few[labels < 0]
    n_odd = min(LANDMARKS // 4, len(rest))
    found = _quantised(few[labels >= 0], seed, LANDMARKS - n_odd)
    places, votes = found.cluster_centers_, np.zeros((len(found.cluster_centers_), labels.max() + 1))
    np.add.at(votes, (found.labels_, labels[labels >= 0]), 1)
    groups = np.unique(votes.argmax(1), return_inverse=True)[1]
    if n_odd:
        odd = _quantised(rest, seed, n_odd).cluster_centers_
        places, groups = np.concatenate([places, odd]), np.append(groups, np.full(n_odd, groups.max() + 1))
    if groups.max() == 0:
        raise InputError(
            "DBSCAN found a single cluster: all hangs together, and nothing lies apart. Choose other clusters."
        )
    return _joined(places, groups, odd=n_odd > 0)


def bend(values: np.ndarray) -> float:
    """Of values (n,), sorted, the one furthest below the line from the first to the last (Satopaa et al. 2011)."""
    height = values[-1] - values[0]
    if not height > 0:
        return float(values[-1])
    return float(values[np.argmax(np.linspace(0, 1, len(values)) - (values - values[0]) / height)])


def _quantised(rows: np.ndarray, seed: int, n: int = LANDMARKS) -> KMeans:
    """n landmarks among rows (m, D), or m if that is less."""
    from sklearn.cluster import KMeans

    with quietly():
        return KMeans(min(n, len(rows)), n_init=1, max_iter=_ROUNDS, random_state=seed).fit(rows)


def _joined(places: np.ndarray, groups: np.ndarray, *, odd: bool = False) -> Components:
    """Landmarks (K, D) as Gaussians that all weigh the same, as wide as half the way to the nearest other one."""
    from scipy.spatial import cKDTree

    apart = np.unique(places, axis=0)
    way = np.median(cKDTree(apart).query(apart, [2])[0]) if len(apart) > 1 else 0.0
    n, n_dims = places.shape
    deviation = max(float(way) / 2, SOFTENING**0.5)
    return Components(places, spherical(n, n_dims, deviation), np.full(n, -np.log(n)), groups.astype(np.int64), odd)

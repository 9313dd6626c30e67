"""Gaussian components, and the two ways to find clusters that are one component each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..progress import Progress, Work

SOFTENING = 1e-3  # added to variances, which are about 1: what is narrower is noise of the sensor or of its rounding
_ROUNDS = 20  # of five steps each, until a mixture must do


@dataclass(frozen=True, eq=False)
class Components:
    """K Gaussian components of D dimensions, which make G clusters.

    Parameters
    ----------
    means : ndarray, (K, D)
    whitening : ndarray, (K, D, D)
        x W is whitened: the covariance of component k is (W W^T)^-1.
    log_weights : ndarray, (K,)
    groups : ndarray of int64, (K,)
        The cluster of each component, 0..G - 1.
    odd : bool
        Whether the last cluster is what fits nowhere.
    """

    means: np.ndarray
    whitening: np.ndarray
    log_weights: np.ndarray
    groups: np.ndarray
    odd: bool = False

    @property
    def constants(self) -> np.ndarray:
        """log w_k N(m_k; m_k, S_k) of each component (K,), but for the power of 2 pi that all share."""
        return np.asarray(self.log_weights + np.linalg.slogdet(self.whitening)[1])

    def log_densities(self, rows: np.ndarray) -> np.ndarray:
        """log of the sum of w_k N(x; m_k, S_k) over each cluster, (n, G), of rows x (n, D).

        But for the power of 2 pi that all share.
        """
        found = np.full((len(rows), int(self.groups.max()) + 1), -np.inf)
        for mean, whitening, constant, group in zip(
            self.means, self.whitening, self.constants, self.groups, strict=True
        ):
            one = constant - (((rows - mean) @ whitening) ** 2).sum(1) / 2
            found[:, group] = np.logaddexp(found[:, group], one)
        return found


def gaussians(rows: np.ndarray, n_clusters: int, seed: int) -> Work[Components]:
    """A Gaussian mixture by expectation maximisation, begun from K-means (Dempster, Laird, Rubin 1977)."""
    from sklearn.mixture import GaussianMixture  # slow to import

    found = GaussianMixture(n_clusters, reg_covar=SOFTENING, max_iter=5, warm_start=True, random_state=seed)
    for step in range(_ROUNDS):
        yield Progress(step, _ROUNDS, "Looking for clusters")
        with quietly():
            found.fit(rows)
        if found.converged_:
            break
    return Components(found.means_, found.precisions_cholesky_, np.log(found.weights_), np.arange(n_clusters))


def k_means(rows: np.ndarray, n_clusters: int, seed: int) -> Work[Components]:
    """K-means (Lloyd 1982), as Gaussians that all have one variance and the same weight."""
    from sklearn.cluster import KMeans

    yield Progress(0, 1, "Looking for clusters")
    with quietly():
        found = KMeans(n_clusters, n_init=4, random_state=seed).fit(rows)
    deviation = np.sqrt(found.inertia_ / rows.size + SOFTENING)
    whitening = spherical(n_clusters, rows.shape[1], deviation)
    weights = np.full(n_clusters, -np.log(n_clusters))
    return Components(found.cluster_centers_, whitening, weights, np.arange(n_clusters))


def spherical(n: int, n_dims: int, deviation: float) -> np.ndarray:
    """Whitening (n, D, D) of n Gaussians of one deviation along all directions."""
    return np.broadcast_to(np.eye(n_dims) / deviation, (n, n_dims, n_dims))


@contextmanager
def quietly() -> Iterator[None]:
    """One thread, so that the same seed gives the same bytes; and no warnings that clusters moved until the end."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

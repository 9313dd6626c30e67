"""CLUSTERERS and NAMINGS: clusters of feature vectors, and which of them are objects. Nothing here needs labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..progress import Progress, Work

_SOFTENING = 1e-3  # added to variances, which are about 1: what is narrower is noise of the sensor or of its rounding
_ROUNDS = 20  # of five steps each, until a mixture must do
_EVEN = 0.75  # Otsu's separability of values that are spread evenly; two humps have more


@dataclass(frozen=True, eq=False)
class Components:
    """K Gaussian components of D dimensions.

    Parameters
    ----------
    means : ndarray, (K, D)
    whitening : ndarray, (K, D, D)
        x W is whitened: the covariance of component k is (W W^T)^-1.
    log_weights : ndarray, (K,)
    """

    means: np.ndarray
    whitening: np.ndarray
    log_weights: np.ndarray

    @property
    def constants(self) -> np.ndarray:
        """log w_k N(m_k; m_k, S_k) of each component (K,), but for the power of 2 pi that all share."""
        return np.asarray(self.log_weights + np.linalg.slogdet(self.whitening)[1])


@dataclass(frozen=True)
class ClustererRow:
    """One way to find clusters: a title, K components of rows (n, D) from K and a seed (long work), and its source."""

    title: str
    find: Callable[[np.ndarray, int, int], Work[Components]]
    reference: str


@dataclass(frozen=True)
class Looks:
    """What is known of each of K clusters.

    Parameters
    ----------
    weight : ndarray, (K,)
        Share of all pixels.
    brightness : ndarray, (K,)
        Mean normalised intensity over all channels.
    positive, negative : ndarray, (K,)
        Share of the pixels of each kind of strokes; NaN where there are none.
    """

    weight: np.ndarray
    brightness: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


@dataclass(frozen=True)
class NamingRow:
    """One way to tell which clusters (K,) are objects."""

    title: str
    name: Callable[[Looks], np.ndarray]


def gaussians(rows: np.ndarray, n_clusters: int, seed: int) -> Work[Components]:
    """A Gaussian mixture by expectation maximisation, begun from K-means (Dempster, Laird, Rubin 1977)."""
    from sklearn.mixture import GaussianMixture  # slow to import

    found = GaussianMixture(n_clusters, reg_covar=_SOFTENING, max_iter=5, warm_start=True, random_state=seed)
    for step in range(_ROUNDS):
        yield Progress(step, _ROUNDS, "Looking for clusters")
        with _quietly():
            found.fit(rows)
        if found.converged_:
            break
    return Components(found.means_, found.precisions_cholesky_, np.log(found.weights_))


def k_means(rows: np.ndarray, n_clusters: int, seed: int) -> Work[Components]:
    """K-means (Lloyd 1982), as Gaussians that all have one variance and the same weight."""
    from sklearn.cluster import KMeans

    yield Progress(0, 1, "Looking for clusters")
    with _quietly():
        found = KMeans(n_clusters, n_init=4, random_state=seed).fit(rows)
    n_dims = rows.shape[1]
    deviation = np.sqrt(found.inertia_ / rows.size + _SOFTENING)
    whitening = np.broadcast_to(np.eye(n_dims) / deviation, (n_clusters, n_dims, n_dims))
    return Components(found.cluster_centers_, whitening, np.full(n_clusters, -np.log(n_clusters)))


def principal(rows: np.ndarray, n_dims: int, seed: int) -> np.ndarray:
    """The first principal components (F, D) of rows (n, F)."""
    from sklearn.decomposition import PCA

    found = PCA(min(n_dims, rows.shape[1]), svd_solver="full", random_state=seed).fit(rows)
    return np.asarray(found.components_.T)


def automatic(looks: Looks) -> np.ndarray:
    """Those that strokes name, if there are some; else all but the largest cluster: objects are the smaller part."""
    if np.isfinite(looks.positive).all():
        return named(looks)
    return ~only(np.argmax(looks.weight), len(looks.weight))


def named(looks: Looks) -> np.ndarray:
    """Clusters of which positive strokes have a larger share than negative ones do, or, without these, the images.

    Raises
    ------
    InputError
        If there are no positive strokes.
    """
    if not np.isfinite(looks.positive).all():
        raise InputError("There is no dab on an object that could name its cluster. Paint one, or choose otherwise.")
    others = looks.negative if np.isfinite(looks.negative).all() else looks.weight
    lift = looks.positive / np.maximum(others, 1e-6)
    found = lift > 1
    found[np.argmax(lift)], found[np.argmin(lift)] = True, False
    return np.asarray(found)


def only(index: np.intp, n_clusters: int) -> np.ndarray:
    """One cluster of so many."""
    return np.asarray(np.arange(n_clusters) == index)


def separability(values: np.ndarray) -> tuple[float, float]:
    """Otsu's threshold of values (n,), and his eta: the variance between the two sides, of the whole, 0..1."""
    from skimage.filters import threshold_otsu

    if not values.max() > values.min():
        return float(values[0]), 0.0
    threshold = float(threshold_otsu(values))  # type: ignore[no-untyped-call]
    above = values > threshold
    share = above.mean()
    gap = values[above].mean() - values[~above].mean()
    return threshold, float(share * (1 - share) * gap**2 / values.var())


def boundary(scores: np.ndarray) -> float:
    """The score from which on a pixel is an object, from scores (n,) of pixels of the images.

    Where the scores have two humps, more clearly than if they were spread evenly, it is Otsu's threshold between them;
    else 0, where object and background are equally likely.
    """
    threshold, eta = separability(scores)
    return threshold if eta > _EVEN else 0.0


@contextmanager
def _quietly() -> Iterator[None]:
    """One thread, so that the same seed gives the same bytes; and no warnings that clusters moved until the end."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


CLUSTERERS: dict[str, ClustererRow] = {
    "gaussians": ClustererRow("Gaussian mixture", gaussians, "Dempster, Laird, Rubin 1977, JRSS B 39:1"),
    "k_means": ClustererRow("K-means", k_means, "Lloyd 1982, IEEE TIT 28:129"),
}
NAMINGS: dict[str, NamingRow] = {
    "auto": NamingRow("Automatic", automatic),
    "dabs": NamingRow("What positive strokes lie on", named),
    "brightest": NamingRow("The brightest cluster", lambda looks: only(np.argmax(looks.brightness), len(looks.weight))),
    "darkest": NamingRow("The darkest cluster", lambda looks: only(np.argmin(looks.brightness), len(looks.weight))),
    "smallest": NamingRow("The smallest cluster", lambda looks: only(np.argmin(looks.weight), len(looks.weight))),
}

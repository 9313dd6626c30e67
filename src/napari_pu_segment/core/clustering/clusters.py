"""CLUSTERERS and NAMINGS: clusters of feature vectors, and which of them are objects. Nothing here needs labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..progress import Work
from .components import Components, gaussians, k_means
from .landmarks import LANDMARKS, dbscan, spectral

_EVEN = 0.75  # Otsu's separability of values that are spread evenly; two humps have more


@dataclass(frozen=True)
class ClustererRow:
    """One way to find clusters.

    Parameters
    ----------
    title : str
    find : callable
        Components of rows (n, D), from how many clusters are asked for and a seed (long work).
    reference : str
    landmarks : int
        How many components clusters are joined from; 0 where each cluster is one.
    counts : bool
        Whether it finds the number of clusters, too, and does not heed what is asked for.
    """

    title: str
    find: Callable[[np.ndarray, int, int], Work[Components]]
    reference: str
    landmarks: int = 0
    counts: bool = False


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


CLUSTERERS: dict[str, ClustererRow] = {
    "gaussians": ClustererRow("Gaussian mixture", gaussians, "Dempster, Laird, Rubin 1977, JRSS B 39:1"),
    "k_means": ClustererRow("K-means", k_means, "Lloyd 1982, IEEE TIT 28:129"),
    "spectral": ClustererRow("Spectral", spectral, "Yan, Huang, Jordan 2009, KDD", LANDMARKS),
    "dbscan": ClustererRow("DBSCAN", dbscan, "Ester, Kriegel, Sander, Xu 1996, KDD", LANDMARKS, counts=True),
}
ASKED = tuple(name for name, row in CLUSTERERS.items() if not row.counts)  # that heed how many are asked for
CLUSTERERS_TOLD = (
    "Gaussians differ in size and shape; K-means do not. Spectral clusters may have any form, and are parted where "
    "they hang together least. DBSCAN counts them itself, by gaps, and puts together what fits nowhere."
)
NAMINGS: dict[str, NamingRow] = {
    "auto": NamingRow("Automatic", automatic),
    "dabs": NamingRow("What positive strokes lie on", named),
    "brightest": NamingRow("The brightest cluster", lambda looks: only(np.argmax(looks.brightness), len(looks.weight))),
    "darkest": NamingRow("The darkest cluster", lambda looks: only(np.argmin(looks.brightness), len(looks.weight))),
    "smallest": NamingRow("The smallest cluster", lambda looks: only(np.argmin(looks.weight), len(looks.weight))),
}

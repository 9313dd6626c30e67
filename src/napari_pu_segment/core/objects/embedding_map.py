"""An embedding drawn on a plane, so that it can be looked at."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..progress import Progress, Ticker, Work

MOST = 20_000  # points: of more, the neighbours alone take minutes
_LEAST = 5
_PERPLEXITY = 30.0
_PHASES = ((250, 12.0, 0.5), (500, 1.0, 0.8))  # iterations, exaggeration and momentum, as its authors advise
_AT_ONCE = 20_000  # points times iterations between two signs of life
_ROWS = 500  # whose neighbours are looked for at once


def embedding_map(rows: np.ndarray, seed: int) -> Work[np.ndarray]:
    """Points (N, 2) for rows (N, D): what is near in the rows is near on the plane; distances further off mean little.

    t-SNE (van der Maaten & Hinton 2008, JMLR 9:2579) by openTSNE (Policar, Strazar, Zupan 2024, JSS 109:3), begun from
    the principal components, with perplexity 30, or a third of the number of rows where these are few. The same rows
    and seed give the same points.

    Raises
    ------
    InputError
        If openTSNE is not installed, or there are fewer than five rows or more than 20,000.
    """
    n = len(rows)
    if not _LEAST <= n <= MOST:
        raise InputError(f"A map is drawn of {_LEAST} to {MOST} objects; there are {n}.")
    try:
        from openTSNE import TSNEEmbedding, affinity, initialization, nearest_neighbors  # slow to import
    except ImportError:
        raise InputError("The map of objects needs openTSNE. Run `pip install openTSNE`.") from None
    yield Progress(0, 0, "Drawing the map")
    perplexity = min(_PERPLEXITY, (n - 1) / 3)
    index = nearest_neighbors.PrecomputedNeighbors(*(yield from _neighbours(rows, min(n - 1, int(3 * perplexity)))))
    near = affinity.PerplexityBasedNN(perplexity=perplexity, knn_index=index, n_jobs=1, random_state=seed)
    begun = initialization.pca(rows, random_state=seed)
    far = "bh" if n < MOST // 2 else "fft"
    points = TSNEEmbedding(begun, near, negative_gradient_method=far, n_jobs=1, random_state=seed)
    total, done = sum(steps for steps, *_ in _PHASES), 0
    for steps, exaggeration, momentum in _PHASES:
        at_once = max(1, min(25, _AT_ONCE // n))
        for left in range(steps, 0, -at_once):
            part = min(at_once, left)
            points = points.optimize(n_iter=part, exaggeration=exaggeration, momentum=momentum)
            done += part
            yield Progress(done, total, "Drawing the map")
    return np.asarray(points, np.float64)


def _neighbours(rows: np.ndarray, k: int) -> Work[tuple[np.ndarray, np.ndarray]]:
    """The k nearest others of each row, (N, k), nearest first, and their distances.

    All are compared with all, which for so few rows is faster than an approximate index, and can be cancelled.
    """
    from sklearn.neighbors import NearestNeighbors

    n, ticker = len(rows), Ticker()
    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute", n_jobs=1).fit(rows)
    near, away = np.empty((n, k), int), np.empty((n, k))
    for start in range(0, n, _ROWS):
        if ticker.due():
            yield Progress(start, n, "Looking for neighbours")
        part = slice(start, min(start + _ROWS, n))
        distances, found = search.kneighbors(rows[part])
        own = found == np.arange(n)[part, None]
        own[~own.any(1), -1] = True  # more copies of a row than neighbours: any of them may go
        near[part], away[part] = found[~own].reshape(-1, k), distances[~own].reshape(-1, k)
    return near, away

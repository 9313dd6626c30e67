"""PRIORS: estimators of the class prior, the expected positive fraction of the image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from skimage.filters import threshold_otsu

from .progress import Work

LOWEST, HIGHEST = 0.002, 0.95


@dataclass(frozen=True)
class Evidence:
    """Scores of a preliminary classifier: of held-out positive strokes (n,) and of pixels of the whole image (m,)."""

    positive: np.ndarray
    unlabelled: np.ndarray


@dataclass(frozen=True)
class PriorRow:
    """One estimator: a title, the function from `Evidence` to a fraction, and where it comes from."""

    title: str
    estimate: Callable[[Evidence], float]
    reference: str


def otsu(evidence: Evidence) -> float:
    """Fraction of the image above Otsu's threshold of the scores (Otsu 1979, IEEE SMC 9:62).

    Right where scores have two humps (bright nuclei, stained tissue); too high where objects are few.
    """
    scores = evidence.unlabelled
    if scores.min() == scores.max():
        return 0.5
    return float(np.mean(scores > threshold_otsu(scores)))  # type: ignore[no-untyped-call]


def best_bin(evidence: Evidence, delta: float = 0.1, gamma: float = 0.01) -> float:
    """Best bin estimation, BBE (Garg et al. 2021, arXiv:2111.00980).

    With q(z) the fraction of scores above z, the estimate is q_u(z*) / q_p(z*) at the z* that minimises the upper
    confidence bound [q_u(z) + (1 + gamma) (c_u + c_p)] / q_p(z), c = sqrt(log(4 / delta) / 2 n).
    Right where strokes are a fair sample of the objects; too low where they keep to their middle.
    """
    positive, unlabelled = np.sort(evidence.positive), np.sort(evidence.unlabelled)
    q_positive = 1 - np.arange(len(positive)) / len(positive)  # at z = each positive score
    q_unlabelled = 1 - np.searchsorted(unlabelled, positive, side="left") / len(unlabelled)
    width = sum(math.sqrt(math.log(4 / delta) / (2 * n)) for n in (len(positive), len(unlabelled)))
    best = int(np.argmin((q_unlabelled + (1 + gamma) * width) / q_positive))
    return float(q_unlabelled[best] / q_positive[best])


PRIORS: dict[str, PriorRow] = {
    "auto": PriorRow("Automatic: Otsu threshold of the scores", otsu, "Otsu 1979, IEEE SMC 9:62"),
    "best_bin": PriorRow("Best bin estimation", best_bin, "Garg et al. 2021, arXiv:2111.00980"),
}


def iterate(
    estimate: Callable[[Evidence], float], score: Callable[[float | None], Work[Evidence]], n_rounds: int = 3
) -> Work[float]:
    """Estimate the class prior from the scores of classifiers that are trained with the estimate of the round before.

    Parameters
    ----------
    estimate : callable
        A row of `PRIORS`.
    score : callable
        Long work: trains a preliminary classifier with a prior (None: naive, unlabelled taken as negative), and
        returns its scores.
    n_rounds : int

    Returns
    -------
    float in [0.002, 0.95]
    """
    prior: float | None = None
    for _ in range(n_rounds):
        evidence = yield from score(prior)
        prior = min(max(estimate(evidence), LOWEST), HIGHEST)
    assert prior is not None
    return prior

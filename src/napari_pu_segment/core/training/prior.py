"""PRIORS: estimators of the class prior, the expected positive fraction of the image.

Strokes keep to the middle of objects, so they are no fair sample of them, and every textbook estimator fails on some
kind of image. What is asked first, therefore, is which kind of image it is. And strokes that correct a result lie where
objects look least like objects: whatever is asked, it is asked of those strokes only that agree best with the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from skimage.filters import threshold_otsu

from ..progress import Work

LOWEST, HIGHEST = 0.002, 0.95
_SEPARABLE = 0.55  # noise with long tails has less; such an image has no two humps
_RECALL, _SPECIFICITY = (0.8, 0.95), (0.5, 0.75)  # from where on strokes begin to agree with the humps, and fully do
_ERROR = 1.5  # six in seven automatic priors of real images were wrong by less than this factor
_BINNED, _SIDED = 1 / 2, 2 / 3  # of the strokes, those that agree best; the others may be corrections
_BINNED_LEAST, _SIDED_LEAST = 3, 6  # but so many: a few strokes are hardly corrections, and each tells something else
_BRUSH_BIAS = 1.2  # strokes keep to the middle of objects, so the best bin estimate is low; measured on real images


@dataclass(frozen=True)
class Fold:
    """Scores of a classifier: of each positive stroke that it did not see (n,), and of pixels of the images (m,)."""

    positive: Sequence[np.ndarray]
    unlabelled: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What estimators may look at.

    Parameters
    ----------
    positive : sequence of ndarray, each (n, C)
        Slightly smoothed intensities of each positive stroke.
    negative, unlabelled : ndarray, (n, C)
        The same of all negative strokes, and of pixels drawn uniformly from the images.
    folds : callable
        Long work: trains classifiers on halves of the strokes, and returns the scores of the other halves.
    """

    positive: Sequence[np.ndarray]
    negative: np.ndarray
    unlabelled: np.ndarray
    folds: Callable[[], Work[Sequence[Fold]]]


@dataclass(frozen=True)
class Estimate:
    """A class prior in 0.002..0.95, an interval around it, and how it was found."""

    prior: float
    interval: tuple[float, float]
    source: str


@dataclass(frozen=True)
class PriorRow:
    """One estimator: a title, the long work from `Evidence` to `Estimate`, and where it comes from."""

    title: str
    estimate: Callable[[Evidence], Work[Estimate]]
    reference: str


@dataclass(frozen=True)
class Humps:
    """Otsu's two classes along the direction of colour that tells strokes from the image.

    Parameters
    ----------
    fraction : float
        Share of the image on the strokes' side of the threshold.
    separability : float
        Variance between the two classes, of the whole variance.
    recall, specificity : float
        Share of the positive strokes on their side, of the `_SIDED` of them that lie there most (of all where there
        are few); and of the negative
        strokes on the other.
    """

    fraction: float
    separability: float
    recall: float
    specificity: float

    @property
    def trust(self) -> float:
        """How far the strokes agree that objects and background are these two humps, 0..1."""
        if self.separability < _SEPARABLE:
            return 0.0
        return _ramp(self.recall, *_RECALL) * _ramp(self.specificity, *_SPECIFICITY)


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _agreeing(
    strokes: Sequence[np.ndarray], agreement: Callable[[np.ndarray], float], share: float, least: int
) -> np.ndarray:
    """The pixels of that share of the strokes that agree best, and of at least so many strokes."""
    ordered = sorted(strokes, key=agreement, reverse=True)
    return np.concatenate(ordered[: max(least, math.ceil(share * len(ordered)))])


def find_humps(evidence: Evidence) -> Humps:
    """Project intensities on Fisher's discriminant of strokes against image, and split them by Otsu's threshold.

    Fisher 1936, Annals of Eugenics 7:179; Otsu 1979, IEEE SMC 9:62; the separability is Otsu's eta.
    """
    p, u = np.concatenate(evidence.positive).astype(np.float64), evidence.unlabelled.astype(np.float64)
    n_channels = u.shape[1]
    within = (np.cov(p.T) if len(p) > 1 else 0) + np.cov(u.T)
    within = np.reshape(within, (n_channels, n_channels)) + 1e-6 * np.eye(n_channels)
    direction = np.linalg.solve(within, p.mean(0) - u.mean(0))
    along = u @ direction
    if not along.max() > along.min():
        return Humps(0.5, 0.0, 0.0, 0.0)
    threshold = threshold_otsu(along)  # type: ignore[no-untyped-call]
    above = along > threshold
    share = float(above.mean())
    gap = along[above].mean() - along[~above].mean() if 0 < share < 1 else 0.0
    sides = [stroke @ direction > threshold for stroke in evidence.positive]
    negative = evidence.negative @ direction
    return Humps(
        fraction=share,
        separability=float(share * (1 - share) * gap**2 / along.var()),
        recall=float(_agreeing(sides, lambda side: float(side.mean()), _SIDED, _SIDED_LEAST).mean()),
        specificity=float((negative <= threshold).mean()) if len(negative) else 1.0,
    )


def best_bin(fold: Fold, delta: float = 0.1, gamma: float = 0.01) -> float:
    """Best bin estimation, BBE (Garg et al. 2021, arXiv:2111.00980).

    With q(z) the fraction of scores above z, the estimate is q_u(z*) / q_p(z*) at the z* that minimises the upper
    confidence bound [q_u(z) + (1 + gamma) (c_u + c_p)] / q_p(z), c = sqrt(log(4 / delta) / 2 n). Here q_p is that of
    the `_BINNED` of the strokes whose median scores are highest, or of all strokes where there are few.
    """
    agreeing = _agreeing(fold.positive, lambda scores: float(np.median(scores)), _BINNED, _BINNED_LEAST)
    positive = np.sort(agreeing)
    unlabelled = np.sort(fold.unlabelled)
    q_positive = 1 - np.arange(len(positive)) / len(positive)  # at z = each positive score
    q_unlabelled = 1 - np.searchsorted(unlabelled, positive, side="left") / len(unlabelled)
    width = sum(math.sqrt(math.log(4 / delta) / (2 * n)) for n in (len(positive), len(unlabelled)))
    best = int(np.argmin((q_unlabelled + (1 + gamma) * width) / q_positive))
    return float(q_unlabelled[best] / q_positive[best])


def _estimate(prior: float, source: str, others: Sequence[float] = ()) -> Estimate:
    """An estimate within bounds; its interval spans it and the others, and `_ERROR` times more to either side."""
    values = [min(max(value, LOWEST), HIGHEST) for value in (prior, *others)]
    return Estimate(values[0], (max(min(values) / _ERROR, LOWEST), min(max(values) * _ERROR, HIGHEST)), source)


def _humps(evidence: Evidence) -> Work[Estimate]:
    yield from ()
    return _estimate(find_humps(evidence).fraction, "two humps of the intensities")


def _bins(evidence: Evidence) -> Work[Estimate]:
    folds = yield from evidence.folds()
    estimates = [_BRUSH_BIAS * max(best_bin(fold), LOWEST) for fold in folds]
    mean = math.exp(sum(math.log(value) for value in estimates) / len(estimates))
    return _estimate(mean, "best bin of held-out strokes", estimates)


def _automatic(evidence: Evidence) -> Work[Estimate]:
    """Humps as far as the strokes agree with them, best bin for the rest: a weighted geometric mean of the two."""
    trust = find_humps(evidence).trust
    humps = yield from _humps(evidence)
    if trust == 1:
        return humps
    bins = yield from _bins(evidence)
    if trust == 0:
        return bins
    blend = humps.prior**trust * bins.prior ** (1 - trust)
    return _estimate(blend, f"{trust:.0%} {humps.source}, rest {bins.source}", (humps.prior, bins.prior))


PRIORS: dict[str, PriorRow] = {
    "auto": PriorRow("Automatic", _automatic, "the two below, weighed by how far the strokes agree with the humps"),
    "humps": PriorRow("Two humps of the intensities", _humps, "Otsu 1979, IEEE SMC 9:62"),
    "best_bin": PriorRow("Best bin of held-out strokes", _bins, "Garg et al. 2021, arXiv:2111.00980"),
}

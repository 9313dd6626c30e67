"""THRESHOLDS: the score above which a pixel is an object, from scores of all pixels and of strokes, and the prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_OCTAVES, _STEP = 1.5, 0.1  # how far from the class prior the covered part is tried, as a power of two, and how finely
_WINDOW = 2  # steps to either side over which a slope is taken
_DOUBT = 0.6  # standard deviation, in octaves, of what is believed of a class prior
_MISSED, _FALSE = 2.0, 10.0  # weights of strokes on the wrong side; background is painted where objects were found
_LARGEST = 0.97  # a mask of everything is no segmentation


@dataclass(frozen=True)
class ThresholdEvidence:
    """Scores: of pixels drawn uniformly from the images (n,), of positive (p,) and of negative stroke pixels (q,)."""

    unlabelled: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


@dataclass(frozen=True)
class ThresholdRule:
    """One rule: a title, the threshold from the evidence and the class prior, and its source."""

    title: str
    choose: Callable[[ThresholdEvidence, float], float]
    reference: str


def covering(evidence: ThresholdEvidence, class_prior: float) -> float:
    """The threshold at which the mask covers the class prior: the quantile 1 - prior of the unlabelled scores."""
    return float(np.quantile(evidence.unlabelled.astype(np.float64), 1 - class_prior))


def plateau(evidence: ThresholdEvidence, class_prior: float) -> float:
    """The threshold near `covering` on which the mask depends least, and which strokes agree with.

    With t(a) the threshold at which the mask covers a fraction a, it is t(a) at the a = prior * 2^k, k in -1.5..1.5,
    that maximises log(-dt / d log a) - k^2 / (2 * 0.6^2) - 2 m - 10 f. The first term is a plateau of the area against
    the threshold, as in maximally stable extremal regions (Matas et al. 2004, Image and Vision Computing 22:761); the
    second a log-normal belief in the prior; m is the fraction of positive stroke pixels below the threshold, and f of
    negative ones above it. Where the prior is wrong, the gap between objects and background, and the strokes, put it
    right.
    """
    octaves = np.arange(-_OCTAVES, _OCTAVES + _STEP / 2, _STEP)
    areas = np.minimum(class_prior * 2**octaves, max(_LARGEST, class_prior))
    thresholds = np.quantile(evidence.unlabelled.astype(np.float64), 1 - areas)
    steps = np.arange(len(octaves))
    before, after = np.maximum(steps - _WINDOW, 0), np.minimum(steps + _WINDOW, len(octaves) - 1)
    widths = np.maximum(np.log(areas[after] / areas[before]), 1e-3)  # 0 where the area can grow no further
    slopes = np.maximum((thresholds[before] - thresholds[after]) / widths, 1e-3)
    missed = _fraction(evidence.positive[:, None] < thresholds)
    false = _fraction(evidence.negative[:, None] >= thresholds)
    value = np.log(slopes) - (octaves / _DOUBT) ** 2 / 2 - _MISSED * missed - _FALSE * false
    return float(thresholds[np.argmax(value)])


def _fraction(hits: np.ndarray) -> np.ndarray:
    return hits.mean(axis=0) if len(hits) else np.zeros(hits.shape[1])


THRESHOLDS: dict[str, ThresholdRule] = {
    "plateau": ThresholdRule("Plateau near the class prior", plateau, "after Matas et al. 2004, IVC 22:761"),
    "coverage": ThresholdRule("The mask covers the class prior", covering, "quantile of the scores"),
    "half": ThresholdRule("The score is positive", lambda evidence, class_prior: 0.0, "sign of the score"),
}

"""THRESHOLDS: the score above which a pixel is an object, from the scores of unlabelled pixels and the class prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_OCTAVES, _STEP = 1.5, 0.1  # how far from the class prior the covered part is tried, as a power of two, and how finely
_WINDOW = 2  # steps to either side over which a slope is taken
_DOUBT = 0.4  # standard deviation, in octaves, of what is believed of a class prior
_LARGEST = 0.97  # a mask of everything is no segmentation


@dataclass(frozen=True)
class ThresholdRule:
    """One rule: a title, the threshold from scores (n,) of unlabelled pixels and the class prior, and its source."""

    title: str
    choose: Callable[[np.ndarray, float], float]
    reference: str


def covering(scores: np.ndarray, class_prior: float) -> float:
    """The threshold at which the mask covers the class prior: the quantile 1 - prior of the scores."""
    return float(np.quantile(scores.astype(np.float64), 1 - class_prior))


def plateau(scores: np.ndarray, class_prior: float) -> float:
    """The threshold near `covering` on which the mask depends least.

    With t(a) the threshold at which the mask covers a fraction a, it is t(a) at the a = prior * 2^k, k in -1.5..1.5,
    that maximises log(-dt / d log a) - k^2 / (2 * 0.4^2): a plateau of the area against the threshold, as in maximally
    stable extremal regions (Matas et al. 2004, Image and Vision Computing 22:761), weighed by a log-normal belief in
    the prior. Where the prior is wrong, the gap between the scores of objects and background puts it right.
    """
    octaves = np.arange(-_OCTAVES, _OCTAVES + _STEP / 2, _STEP)
    areas = np.minimum(class_prior * 2**octaves, max(_LARGEST, class_prior))
    thresholds = np.quantile(scores.astype(np.float64), 1 - areas)
    steps = np.arange(len(octaves))
    before, after = np.maximum(steps - _WINDOW, 0), np.minimum(steps + _WINDOW, len(octaves) - 1)
    widths = np.maximum(np.log(areas[after] / areas[before]), 1e-3)  # 0 where the area can grow no further
    slopes = np.maximum((thresholds[before] - thresholds[after]) / widths, 1e-3)
    return float(thresholds[np.argmax(np.log(slopes) - (octaves / _DOUBT) ** 2 / 2)])


THRESHOLDS: dict[str, ThresholdRule] = {
    "plateau": ThresholdRule("Plateau near the class prior", plateau, "after Matas et al. 2004, IVC 22:761"),
    "coverage": ThresholdRule("The mask covers the class prior", covering, "quantile of the scores"),
    "half": ThresholdRule("The score is positive", lambda scores, class_prior: 0.0, "sign of the score"),
}

"""How uncertain a segmentation is, pixel by pixel."""

from __future__ import annotations

import numpy as np

_EDGE = 1e-6  # probabilities and thresholds nearer to 0 or 1 than this count as that near
_BLOCK = 2**20  # pixels computed at a time, so that memory stays small beside the image


def uncertainty(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Binary entropy in bits, as seen from the operating threshold.

    ``H(q) = -q log2(q) - (1 - q) log2(1 - q)`` with ``q = sigmoid(logit(p) - logit(t))`` (Shannon 1948; `q` shifts the
    scores so that the threshold becomes one half). A coverage threshold is far from 0.5 as a rule, and what is nearest
    to changing its class is what lies near the threshold.

    Parameters
    ----------
    probability : ndarray, ([Z,] Y, X), in [0, 1]
    threshold : float in [0, 1]

    Returns
    -------
    ndarray, ([Z,] Y, X), float32 in [0, 1]
        1 where the probability equals the threshold, 0 where it is sure; 0 as well where it is not a number.
    """
    result = np.empty(probability.shape, np.float32)
    source, target = probability.reshape(-1), result.reshape(-1)
    for start in range(0, source.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        target[part] = _entropy(shifted_scores(source[part], threshold))
    return result


def shifted_scores(probability: np.ndarray, threshold: float) -> np.ndarray:
    """``logit(p) - logit(t)``, float32, of the shape of `probability`: 0 at the threshold, above it positive."""
    p = np.clip(probability, _EDGE, 1 - _EDGE, dtype=np.float32)
    t = min(max(float(threshold), _EDGE), 1 - _EDGE)
    scores: np.ndarray = np.log(p / (1 - p)) - np.float32(np.log(t / (1 - t)))
    return scores


def _entropy(scores: np.ndarray) -> np.ndarray:
    size = np.abs(scores)
    rare = np.exp(-size)  # (1 - q) / q of the likelier class
    bits = np.log1p(rare) / np.log(2) + size * rare / ((1 + rare) * np.log(2))
    return np.asarray(np.minimum(np.nan_to_num(bits, nan=0.0), 1), np.float32)

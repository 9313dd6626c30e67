"""What a dense CRF needs, made from an image, probabilities and strokes: unary, guide features, kernel width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from .intensity import measure, normalise
from .samples import IGNORE, NEGATIVE, POSITIVE, Sample

_PINNED = 1000.0  # scores of stroke pixels: more than all kernels together can outweigh


@dataclass(frozen=True, eq=False)
class Problem:
    """One dense CRF.

    Parameters
    ----------
    logit : ndarray, ([Z,] Y, X), float32
        Unary scores log(p / (1 - p)); 0 is the operating threshold.
    guide : ndarray, (F, [Z,] Y, X), float32
        Image features on a scale of 0..255, F from 0 (constant image) to 2.
    bilateral_width_px : float
    """

    logit: np.ndarray
    guide: np.ndarray
    bilateral_width_px: float


def unary(probability: np.ndarray, labels: np.ndarray | None, threshold: float, confidence: float) -> np.ndarray:
    """Unary scores, ([Z,] Y, X) float32.

    s = logit(p) - logit(threshold), so that the operating threshold becomes 0 (probability one half), clipped to
    +-logit(confidence). A probability of 1 is certain whatever the threshold: networks saturate, and a threshold
    may be 1 too. Stroke pixels are pinned at +-1000; ignored pixels get 0: they follow their neighbours.
    """
    scores: np.ndarray = _logit(probability) - _logit(np.float64(threshold))
    limit = np.log(confidence / (1 - confidence))
    scores = np.clip(scores, -limit, limit).astype(np.float32)
    scores[probability >= 1] = limit
    if labels is not None:
        scores[labels == POSITIVE] = _PINNED
        scores[labels == NEGATIVE] = -_PINNED
        scores[labels == IGNORE] = 0.0
    return scores


def _logit(p: np.ndarray | np.float64) -> Any:
    # float32 probabilities are coarse below 1, where the next number is 2^-24 away, and fine above 0
    p = np.clip(np.asarray(p, np.float64), 1e-12, 1 - 2**-25)
    return np.log(p / (1 - p))


def guide(image: np.ndarray, intensity_width: float) -> np.ndarray:
    """Features that say which pixels look alike, (F, [Z,] Y, X) float32.

    Each channel is brought to 0..255 between its 1st and 99.5th percentile, non-finite pixels to 0. Channels are then
    turned to their principal axes, which keeps distances between colours, and the first two are kept; an axis with
    a standard deviation under a quarter of `intensity_width` is left out too, as it hardly changes the kernel.

    Parameters
    ----------
    image : ndarray, (C, [Z,] Y, X)
    intensity_width : float
        On the scale of 0..255.
    """
    scaled = 255 * np.clip(normalise(image, measure([Sample(image)])), 0, 1)
    pixels = scaled.reshape(len(scaled), -1).astype(np.float64)
    pixels -= pixels.mean(axis=1, keepdims=True)
    variance, axes = np.linalg.eigh(pixels @ pixels.T / pixels.shape[1])  # ascending
    keep = [k for k in range(len(variance))[::-1] if variance[k] >= (intensity_width / 4) ** 2][:2]
    features: np.ndarray = axes[:, keep].T @ pixels
    return features.reshape(len(keep), *image.shape[1:]).astype(np.float32)


def object_width_px(probability: np.ndarray, threshold: float) -> float:
    """Mean width of the objects in px: 2 (d + 1) times the mean depth of the mask's pixels, d the number of axes.

    The depth of a pixel is its distance to the background; the formula gives the diameter of discs (d = 2) and
    balls (d = 3), also where they touch. Specks and holes of single pixels are smoothed away first. Every pixel counts
    once, so that large objects count more. 0 where the mask is empty or full.
    """
    mask = gaussian_filter(probability, 1.0) > threshold
    if mask.all() or not mask.any():
        return 0.0
    depth = distance_transform_edt(mask)[mask] - 0.5  # from the pixel's centre to the outline between pixels
    return float(2 * (mask.ndim + 1) * depth.mean())

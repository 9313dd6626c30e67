"""What a dense CRF needs, made from an image, probabilities and strokes: unary, guide features, kernel width.

What holds for a whole plane or volume, `Figures`, is measured once, so that each of its windows sees the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ..classes import background, odds_against
from ..images.intensity import ChannelStats, measure, normalise
from ..progress import run
from ..samples import IGNORE, NEGATIVE, POSITIVE, Sample, classes_of

_WIDTH_SHARE, _WIDTH_RANGE_PX = 0.15, (2.0, 20.0)  # automatic bilateral width: this share of the object width
_PINNED = 1000.0  # scores of stroke pixels: more than all kernels together can outweigh


class Figures(BaseModel):
    """What is measured once of a plane or volume that is refined.

    Parameters
    ----------
    stats : tuple of ChannelStats
        The 1st and 99.5th percentile of each channel.
    mean : tuple of float, (C,)
        Of each channel on a scale of 0..255.
    axes : tuple of tuple of float, (F, C)
        The principal axes of the colours that are kept, F from 0 to 2.
    bilateral_width_px : float
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    stats: tuple[ChannelStats, ...]
    mean: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]
    bilateral_width_px: float


@dataclass(frozen=True, eq=False)
class Problem:
    """One dense CRF.

    Parameters
    ----------
    logit : ndarray, (K, [Z,] Y, X), float32
        Unary scores of each class against the background, of one class log(p / (1 - p)); 0 is the operating threshold.
    guide : ndarray, (F, [Z,] Y, X), float32
        Image features on a scale of 0..255, F from 0 (constant image) to 2.
    bilateral_width_px : float
    origin : tuple of int, ([Z,] Y, X)
        Where in its plane or volume the problem begins: windows of one plane then lie on one lattice.
    """

    logit: np.ndarray
    guide: np.ndarray
    bilateral_width_px: float
    origin: tuple[int, ...]


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


def unaries(
    probability: np.ndarray, labels: np.ndarray | None, thresholds: Sequence[float], confidence: float
) -> np.ndarray:
    """Unary scores of several classes against the background, (K, [Z,] Y, X) float32.

    s_k = log(q_k / q_0), where q is p_k (1 - t_k) / t_k of the classes and 1 - sum of p of the background, brought to a
    sum of 1 and clipped to (1 - confidence) / K .. confidence: with one class that is `unary`. Stroke pixels are pinned
    at +1000 for their class and -1000 for all others; ignored pixels get 0.

    Parameters
    ----------
    probability : ndarray, (K, [Z,] Y, X)
    """
    weighed = [values * odds_against(t) for values, t in zip(probability.astype(np.float64), thresholds, strict=True)]
    shares = np.stack([background(probability), *weighed])
    shares = np.clip(shares / shares.sum(0), (1 - confidence) / len(thresholds), confidence)
    scores = np.log(shares[1:] / shares[0]).astype(np.float32)
    if labels is not None:
        number = classes_of(labels)
        scores[:, (number > 0) | (labels == NEGATIVE)] = -_PINNED
        for k, score in enumerate(scores, start=1):
            score[number == k] = _PINNED
        scores[:, labels == IGNORE] = 0.0
    return np.asarray(scores)


def _logit(p: np.ndarray | np.float64) -> Any:
    # float32 probabilities are coarse below 1, where the next number is 2^-24 away, and fine above 0
    p = np.clip(np.asarray(p, np.float64), 1e-12, 1 - 2**-25)
    return np.log(p / (1 - p))


def figures(
    image: np.ndarray,
    probabilities: Sequence[tuple[np.ndarray, float]],
    intensity_width: float,
    width_px: float,
) -> Figures:
    """The figures of a plane or volume.

    Parameters
    ----------
    image : ndarray, (C, [Z,] Y, X)
        All of it, or its pixels on a regular grid.
    probabilities : sequence of (ndarray ([Z,] Y, X), float)
        All of it, or windows at regular places, of one class or of each of several, with the threshold.
    intensity_width : float
        On the scale of 0..255: an axis of the colours with a standard deviation under a quarter of it is left
        out, as it hardly changes the kernel.
    width_px : float
        Of the bilateral kernel; 0 for automatic.
    """
    stats = run(measure([Sample(image)]))
    pixels = _scaled(image, stats).reshape(len(image), -1).astype(np.float64)
    mean = pixels.mean(axis=1)
    pixels -= mean[:, None]
    variance, axes = np.linalg.eigh(pixels @ pixels.T / pixels.shape[1])  # ascending
    keep = [k for k in range(len(variance))[::-1] if variance[k] >= (intensity_width / 4) ** 2][:2]
    width_px = width_px or float(np.clip(_WIDTH_SHARE * object_width_px(probabilities), *_WIDTH_RANGE_PX))
    kept = tuple(tuple(axis) for axis in axes.T[keep].tolist())
    return Figures(stats=stats, mean=tuple(mean.tolist()), axes=kept, bilateral_width_px=width_px)


def guide(image: np.ndarray, known: Figures) -> np.ndarray:
    """Features that say which pixels look alike, (F, [Z,] Y, X) float32.

    Each channel is brought to 0..255 between its 1st and 99.5th percentile, non-finite pixels to 0. Channels are then
    turned to their principal axes, which keeps distances between colours, and the first two are kept.

    Parameters
    ----------
    image : ndarray, (C, [Z,] Y, X)
    known : Figures
    """
    pixels = _scaled(image, known.stats).reshape(len(image), -1).astype(np.float64)
    pixels -= np.array(known.mean)[:, None]
    features: np.ndarray = np.array(known.axes).reshape(-1, len(image)) @ pixels
    return features.reshape(-1, *image.shape[1:]).astype(np.float32)


def _scaled(image: np.ndarray, stats: Sequence[ChannelStats]) -> np.ndarray:
    return np.asarray(255 * np.clip(normalise(image, stats), 0, 1))


def object_width_px(probabilities: Sequence[tuple[np.ndarray, float]]) -> float:
    """Mean width of the objects in px: 2 (d + 1) times the mean depth of the mask's pixels, d the number of axes.

    The depth of a pixel is its distance to the background; the formula gives the diameter of discs (d = 2) and
    balls (d = 3), also where they touch. Specks and holes of single pixels are smoothed away first. Every pixel counts
    once, so that large objects count more. 0 where the mask is empty or full. One of several windows that is full
    counts half its side as depth.

    Parameters
    ----------
    probabilities : sequence of (ndarray ([Z,] Y, X), float)
        A whole plane or volume, or several windows of it, of one class or of each of several, with the threshold.
    """
    masks = [gaussian_filter(probability, 1.0) > threshold for probability, threshold in probabilities]
    if all(mask.all() for mask in masks) or not any(mask.any() for mask in masks):
        return 0.0
    depths = [_depth(mask) for mask in masks]
    return float(2 * (masks[0].ndim + 1) * np.concatenate(depths).mean())


def _depth(mask: np.ndarray) -> np.ndarray:
    if mask.all():  # the distance to a background that is not there is undefined
        return np.full(mask.size, max(mask.shape) / 2)
    return np.asarray(distance_transform_edt(mask)[mask] - 0.5)  # from the pixel's centre to the outline between pixels

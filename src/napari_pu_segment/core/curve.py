"""Sensitivity and purity against the threshold: estimated from probabilities alone, or measured against a truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from .coverage import HIGHEST, LOWEST, N_BINS, Coverage, bins_of, first_bin, pieces, probability_of, score_of
from .errors import InputError
from .progress import Progress, Ticker, Work
from .samples import IGNORE, Array
from .table import Table

N_POINTS = 201
Source: TypeAlias = Literal["estimated", "pixels", "objects"]


@dataclass(frozen=True, eq=False)
class Curve:
    """What a mask finds, and how much of it is true, at each threshold.

    Parameters
    ----------
    thresholds : ndarray of float, (n,), rising
    sensitivity : ndarray of float, (n,), 0..1
        The part of what is there that is found; also called recall or completeness.
    purity : ndarray of float, (n,), 0..1
        The part of what is found that is there; also called precision. NaN where nothing is found.
    source : {"estimated", "pixels", "objects"}
        `estimated_curve`, `pixel_curve`, or `objects.detections.object_curve`.
    """

    thresholds: np.ndarray
    sensitivity: np.ndarray
    purity: np.ndarray
    source: Source

    def at(self, threshold: float) -> tuple[float, float]:
        """Sensitivity and purity at a threshold: on a line over the score between two points, at the ends the last."""
        scores, score = np.clip(logit(self.thresholds), LOWEST, HIGHEST), score_of(threshold)
        there = np.isfinite(self.purity)
        if not there.any():
            return float(np.interp(score, scores, self.sensitivity)), float("nan")
        beyond = self.purity[-1]  # NaN where nothing is found at the highest threshold
        purity = np.interp(score, scores[there], self.purity[there], right=beyond)
        return float(np.interp(score, scores, self.sensitivity)), float(purity)


def thresholds_over(coverage: Coverage, n: int = N_POINTS) -> np.ndarray:
    """Thresholds (n,), rising, in equal steps of the score over the range that is worth drawing."""
    return np.array([probability_of(score) for score in np.linspace(*coverage.score_range, n)])


def estimated_curve(coverage: Coverage, threshold: float) -> Curve:
    """What sensitivity and purity would be if the probabilities were right, but for a common shift of their scores.

    With p_i the probabilities of the pixels, sensitivity = sum of p_i over p_i >= t / sum of all p_i, and purity = mean
    of p_i over p_i >= t. Learning from few strokes knows less of how many objects there are than of which pixels are
    likelier than others, so that many a pixel with a small probability adds up to objects that nobody sees. Therefore
    b is added to all scores in the sums, so that the mean probability is what the mask covers at the model's own
    threshold: the correction for another class prior (Saerens, Latinne & Decaestecker 2002, Neural Computation 14:21).
    It knows nothing of where the model is surely wrong.

    Parameters
    ----------
    coverage : Coverage
        Histograms of the probabilities.
    threshold : float in [0, 1]
        The model's own. Where the mask covers nothing at it, or everything, b is 0.

    Returns
    -------
    Curve
        Of 0, `N_POINTS` thresholds in equal steps of the score, and 1.
    """
    bins = np.flatnonzero(coverage.pixels)
    counts = coverage.pixels[bins].astype(np.float64)
    scores = LOWEST + (bins + 0.5) / N_BINS * (HIGHEST - LOWEST)

    def excess(shift: float) -> float:
        return float(counts @ expit(scores + shift)) / max(1, coverage.n_pixels) - coverage.coverage_at(threshold)

    widest = HIGHEST - LOWEST
    shift = brentq(excess, -widest, widest) if excess(-widest) < 0 < excess(widest) else 0.0
    objects = np.zeros(N_BINS)
    objects[bins] = counts * expit(scores + shift)
    return _of_histograms(coverage, objects, "estimated")


def pixel_curve(probability: Array, truth: Array, coverage: Coverage, labels: Array | None = None) -> Work[Curve]:
    """Sensitivity and purity by pixels, against a truth: recall and precision of the mask at each threshold.

    Parameters
    ----------
    probability : array, ([T,] [Z,] Y, X), in [0, 1]
    truth : array, ([T,] [Z,] Y, X)
        Non-zero on objects.
    coverage : Coverage
        Histograms of that probability and those labels.
    labels : array of label codes, ([T,] [Z,] Y, X), optional
        Ignored pixels do not count.

    Yields
    ------
    Progress

    Returns
    -------
    Curve
        Of 0, `N_POINTS` thresholds in equal steps of the score, and 1.

    Raises
    ------
    InputError
        If the shapes differ, or no pixel of the truth is an object.
    """
    check_truth(probability, truth)
    objects = np.zeros(N_BINS, np.int64)
    blocks, ticker = list(pieces(tuple(probability.shape))), Ticker()
    for i, block in enumerate(blocks):
        if ticker.due():
            yield Progress(i, len(blocks), "Comparing with the truth")
        true = np.asarray(truth[block]) != 0
        if labels is not None:
            true &= np.asarray(labels[block]) != IGNORE
        objects += np.bincount(bins_of(np.asarray(probability[block]))[true], minlength=N_BINS)
    if not objects.any():
        raise no_object()
    return _of_histograms(coverage, objects, "pixels")


def check_truth(probability: Array, truth: Array) -> None:
    """Raise `InputError` unless both have one shape."""
    if tuple(truth.shape) != tuple(probability.shape):
        shapes = f"{tuple(truth.shape)} and {tuple(probability.shape)}"
        raise InputError(f"The truth and the probability differ in shape: {shapes}. Choose a truth of this image.")


def no_object() -> InputError:
    """The error where a truth is empty."""
    return InputError("The truth has no object, so nothing can be found or missed. Choose another truth.")


def curve_table(curves: Sequence[Curve], classes: Sequence[str] = ()) -> Table:
    """Curves one below the other, with the columns threshold, sensitivity, purity and source.

    Parameters
    ----------
    curves : sequence of Curve
    classes : sequence of str
        The class of each, for a first column; empty: there is none.
    """
    columns = {
        name: np.concatenate([getattr(curve, name) for curve in curves])
        for name in ("thresholds", "sensitivity", "purity")
    }
    lengths = [len(curve.thresholds) for curve in curves]
    columns = {"threshold": columns.pop("thresholds"), **columns}
    columns["source"] = np.repeat([curve.source for curve in curves], lengths)
    if classes:
        columns = {"class": np.repeat(list(classes), lengths), **columns}
    return Table(columns, dict.fromkeys(columns, ""))


def _of_histograms(coverage: Coverage, objects: np.ndarray, source: Source) -> Curve:
    """The curve from how many pixels of objects there are by score, (N_BINS,), among those of the coverage."""
    thresholds = np.array([0, *thresholds_over(coverage), 1])
    at = [first_bin(threshold) for threshold in thresholds]
    found, covered = (np.append(np.cumsum(counts[::-1])[::-1], 0)[at] for counts in (objects, coverage.pixels))
    total = objects.sum()
    sensitivity = found / total if total else np.zeros(len(at))
    purity = np.divide(found, covered, out=np.full(len(at), np.nan), where=covered > 0)
    return Curve(thresholds, sensitivity, purity, source)

"""Several classes of objects: which pixel belongs to which, and one class against all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from .errors import InputError
from .samples import IGNORE, NEGATIVE, ONE_CLASS, POSITIVE, UNLABELED, Sample, code_of

Thresholds: TypeAlias = float | tuple[float, ...]
"""Of a probability ([T,] [Z,] Y, X) one number, of K classes (K, [T,] [Z,] Y, X) K numbers."""

BACKGROUND = -1
"""Where a number of a class, counted from 0, is asked for."""


def unnamed(n: int) -> tuple[str, ...]:
    """Names of `n` classes that nobody named."""
    return ONE_CLASS + tuple(f"class {k}" for k in range(2, n + 1))


def recoded(sample: Sample, classes: tuple[str, ...]) -> Sample:
    """A sample with the codes of other classes, by their names; strokes of classes that are not among them are gone."""
    if sample.classes == classes:
        return sample
    codes = np.arange(256, dtype=np.uint8)
    for index, name in enumerate(sample.classes):
        codes[code_of(index)] = code_of(classes.index(name)) if name in classes else UNLABELED
    return replace(sample, labels=None if sample.labels is None else codes[sample.labels], classes=classes)


def united(samples: Sequence[Sample]) -> list[Sample]:
    """Samples whose classes may differ, with those classes of all of them that are painted somewhere.

    What is no scribble is taken for a mask of all objects.

    Raises
    ------
    InputError
        If there is such a mask beside strokes of several classes.
    """
    if len({sample.classes for sample in samples}) == 1 and len(samples[0].classes) == 1:
        return list(samples)
    scribbles = [sample for sample in samples if sample.trust == "scribble"]
    painted = {name: None for one in scribbles for k, name in enumerate(one.classes) if one.count(code_of(k))}
    classes = tuple(painted) or ONE_CLASS
    if len(classes) > 1 and len(scribbles) < len(samples):
        raise InputError("A mask tells objects from background, but no classes. Beside it, paint on one class alone.")
    return [recoded(one, classes) if one.trust == "scribble" else replace(one, classes=classes) for one in samples]


def common_classes(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The classes that all samples share.

    Raises
    ------
    InputError
        If they differ, or one of several classes has no stroke.
    """
    found = {sample.classes for sample in samples} or {ONE_CLASS}
    if len(found) != 1:
        raise InputError("The images have other classes than each other. Give all of them the same classes.")
    classes = found.pop()
    for k, name in enumerate(classes) if len(classes) > 1 else ():
        if not any(sample.count(code_of(k)) for sample in samples):
            raise InputError(f"There are no strokes of class {name!r}. Paint at least one stroke, or remove the class.")
    return classes


def one_vs_rest(samples: Sequence[Sample], index: int) -> list[Sample]:
    """The samples of one class, counted from 0, or of the `BACKGROUND`: all other paint is background to it."""
    own = NEGATIVE if index == BACKGROUND else code_of(index)
    found = []
    for sample in samples:
        labels = sample.labels
        if labels is not None:
            painted = (labels != UNLABELED) & (labels != IGNORE)
            labels = np.where(labels == own, POSITIVE, np.where(painted, NEGATIVE, labels)).astype(np.uint8)
        found.append(replace(sample, labels=labels, classes=ONE_CLASS))
    return found


def objects_alike(samples: Sequence[Sample]) -> list[Sample]:
    """The samples with objects of all classes painted as those of a single one."""
    found = []
    for sample in samples:
        labels = sample.labels
        if labels is not None:
            labels = np.where(labels > IGNORE, POSITIVE, labels).astype(np.uint8)
        found.append(replace(sample, labels=labels, classes=ONE_CLASS))
    return found


def thresholds_of(threshold: float | Sequence[float], n_classes: int) -> Thresholds:
    """Thresholds for K classes from one for all, or one for each.

    Raises
    ------
    InputError
        If there are not as many as classes, or one does not lie between 0 and 1.
    """
    given = (threshold,) * n_classes if isinstance(threshold, float | int) else tuple(threshold)
    if len(given) != n_classes or not all(0 <= one <= 1 for one in given):
        said = ", ".join(f"{one:g}" for one in given)
        raise InputError(f"A threshold must lie between 0 and 1, one for each of {n_classes} classes; here is {said}.")
    return given if n_classes > 1 else given[0]


def of_class(threshold: Thresholds, index: int) -> float:
    """The threshold of a class, counted from 0."""
    return threshold[index] if isinstance(threshold, tuple) else threshold


def leading(threshold: Thresholds) -> tuple[slice, ...]:
    """What stands before the slices of a part of an image to take that part of a probability: all of its classes."""
    return (slice(None),) if isinstance(threshold, tuple) else ()


def alone_or_stacked(probability: np.ndarray) -> np.ndarray:
    """Probability ([T,] [Z,] Y, X) of one class, or (K, [T,] [Z,] Y, X) of several, from (K, [T,] [Z,] Y, X)."""
    return probability[0] if len(probability) == 1 else probability


def threshold_mask(probability: np.ndarray, threshold: Thresholds, labels: np.ndarray | None = None) -> np.ndarray:
    """Which pixels are objects, and of which class.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), or (K, [T,] [Z,] Y, X) of several classes
        Those of several classes add up to at most 1; the rest is the background's.
    threshold : float, or a tuple of K
    labels : ndarray of label codes, ([T,] [Z,] Y, X), optional
        Ignored pixels are no objects.

    Returns
    -------
    ndarray, ([T,] [Z,] Y, X), uint8
        Of one class 1 where the probability reaches the threshold, else 0. Of several, the class 1..K whose
        p_k (1 - t_k) / t_k is the largest, or 0 where 1 - sum over k of p_k, the background's probability, is larger.
        At thresholds of one half that is the most probable; with one class it is p >= t again.
    """
    if isinstance(threshold, tuple):
        mask = _most_likely(probability, threshold)
    else:
        mask = (probability >= np.float32(threshold)).astype(np.uint8)
    if labels is not None:
        mask[labels == IGNORE] = 0
    return mask


def background(probability: np.ndarray) -> np.ndarray:
    """What classes (K, ...) leave to the background, (...), float64; summed in order, so that tiles agree."""
    rest = np.ones(probability.shape[1:])
    for values in probability:
        rest -= values
    return np.maximum(rest, 0.0)


def odds_against(threshold: float) -> float:
    """(1 - t) / t, what the probability of a class is multiplied by; bounded, for thresholds of 0 and 1."""
    t = min(max(threshold, 1e-6), 1 - 1e-6)
    return (1 - t) / t


def _most_likely(probability: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    best = background(probability)
    mask = np.zeros(best.shape, np.uint8)
    for number, (values, threshold) in enumerate(zip(probability, thresholds, strict=True), start=1):
        weighed = values.astype(np.float64) * odds_against(threshold)
        wins = weighed >= best
        mask[wins], best[wins] = number, weighed[wins]
    return mask


def against_rest(probability: np.ndarray, thresholds: Sequence[float], index: int) -> np.ndarray:
    """Probability of a class, counted from 0, against the likeliest of all else at their thresholds.

    With v_0 the background's probability and v_j = p_j (1 - t_j) / t_j, it is p_k / (p_k + max of v_j, j != k): it
    reaches t_k just where `threshold_mask` gives the class.

    Parameters
    ----------
    probability : ndarray, (K, ...)
    thresholds : sequence of K float

    Returns
    -------
    ndarray, (...), float32 in [0, 1]
    """
    best = background(probability)
    for number, (values, threshold) in enumerate(zip(probability, thresholds, strict=True)):
        if number != index:
            np.maximum(best, values.astype(np.float64) * odds_against(threshold), out=best)
    own = probability[index].astype(np.float64)
    return np.asarray(own / np.maximum(own + best, 1e-30), np.float32)


def object_or_not(probability: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Where it is sure which class a pixel is of: above one half for objects, below it for background.

    Near one half the likeliest and the second likeliest of classes and background are about as likely: v / (v + v') of
    these two where a class is the likeliest, else of the likeliest class and the background, see `against_rest`.

    Returns
    -------
    ndarray, (...), float32 in [0, 1]
    """
    rest = background(probability)
    values = np.stack(
        [part.astype(np.float64) * odds_against(t) for part, t in zip(probability, thresholds, strict=True)]
    )
    values.sort(0)
    first = values[-1]
    second = np.where(first >= rest, np.maximum(values[-2] if len(values) > 1 else 0.0, rest), rest)
    return np.asarray(first / np.maximum(first + second, 1e-30), np.float32)

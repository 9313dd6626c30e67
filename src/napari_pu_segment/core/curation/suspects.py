"""Masks that look wrong: those that a classifier which never saw them disagrees with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..filters import compute
from ..progress import Progress, Work
from ..robust import modified_z
from ..samples import Array
from .look import finite, middle, windows_of

_FILTERS, _SIGMAS_PX = ("gaussian", "gradient", "hessian"), (0.7, 1.6, 3.5, 7.0)
_N_FOLDS, _N_TREES = 5, 24
_ROWS = 40_000  # pixels that a forest learns from
_LEAST_IMAGES = 10
_LEAST = 0.05  # of a mask; where all are drawn with care, an outline that is a pixel off stands apart, too
_HALF_NORMAL_90 = 1.6449  # the 90th percentile of the size of normal values, in standard deviations
MOST_CLASSES = 16


@dataclass(frozen=True, eq=False)
class Masked:
    """What was seen of a mask, and of its image at some of its pixels.

    Parameters
    ----------
    rows : ndarray, (n, F), float32
        Filter responses at pixels drawn by chance.
    classes : ndarray of int, (n,)
        What the mask says there.
    counts : dict of int to int
        Pixels of each class: of the whole mask, or of the windows of a large one.
    """

    rows: np.ndarray
    classes: np.ndarray
    counts: dict[int, int]


def looking_at_mask(image: Array, mask: Array, *, as_classes: bool = False, n_px: int = 400, seed: int = 0) -> Masked:
    """Look at an image with its mask, in the middle plane; see `look.looking` for what is seen of large ones.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
    mask : array, ([T,] [Z,] Y, X)
        Whole numbers.
    as_classes : bool
        Whether each number is a class of its own; else all that is not 0 is one class.
    n_px : int
        Pixels to draw.

    Raises
    ------
    InputError
        If the shapes differ, the mask holds fractions, or it has more than 16 classes.
    """
    if tuple(mask.shape) != tuple(image.shape[1:]):
        raise InputError(f"The mask measures {tuple(mask.shape)} pixels, but its image {tuple(image.shape[1:])}.")
    parts = windows_of(image.shape[-2:])
    seen = [_classes(np.asarray(mask[(*middle(image), *part)]), as_classes).ravel() for part in parts]
    labels = np.concatenate(seen)
    whole = _classes(mask, as_classes).ravel() if isinstance(mask, np.ndarray) else labels
    names, counts = np.unique(whole, return_counts=True)
    if len(names) > MOST_CLASSES:
        raise InputError(f"The mask has {len(names)} classes; at most {MOST_CLASSES} can be told apart.")
    maps = [_maps(finite(image[(slice(None), *middle(image), *part)])) for part in parts]
    chosen = np.random.default_rng(seed).integers(len(labels), size=n_px)
    rows = np.concatenate(maps, axis=1)[:, chosen].T
    return Masked(rows, labels[chosen], {int(name): int(n) for name, n in zip(names, counts, strict=True)})


def _classes(mask: np.ndarray, as_classes: bool) -> np.ndarray:
    if mask.dtype.kind == "f" and not np.array_equal(mask, np.round(mask)):
        raise InputError("The mask holds fractions. Give an image of whole numbers that is 0 where there is nothing.")
    return mask.astype(np.int64) if as_classes else (mask != 0).astype(np.int64)


def _maps(channels: np.ndarray) -> np.ndarray:
    """Filter responses (F, n) of pictures (C, y, x), each brought from its 1st to its 99.5th percentile to 0..1."""
    low, high = np.percentile(channels, (1, 99.5), axis=(1, 2))[..., None, None]
    scaled = np.clip((channels - low) / np.where(high > low, high - low, 1), -1, 2).astype(np.float32)
    maps = compute(torch.from_numpy(scaled)[None], _FILTERS, _SIGMAS_PX)[0].numpy()
    return np.asarray(maps.reshape(len(maps), -1))


def suspects(masked: Sequence[Masked | None], alike: Sequence[Sequence[int]], seed: int) -> Work[np.ndarray]:
    """How suspect each mask is: the fraction of its pixels whose label is confidently another one, beyond what is due.

    Confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068), pixel by pixel, summed up by image. Random
    forests (Breiman 2001) are trained on four fifths of the images and asked about the last fifth, in turn, so that no
    image is judged by a forest that saw its mask, or that of its duplicate. With p_k the forest's probability of class
    k, and t_k the mean of p_k over all pixels labelled k, a pixel's class is the most probable of those with
    p_k >= t_k; it is suspect where there is one, and it is not its label.

    Where t_k is low, a pixel counts as confidently of class k though the forest itself expects 1 - p_k of such pixels
    to be something else. This is taken off: a picture that is hard to tell is no fault of its mask.

    Parameters
    ----------
    masked : sequence of Masked or None
        None of images without a mask, or with other channels than most.
    alike : sequence of sequence of int
        Groups of duplicates.
    seed : int

    Returns
    -------
    ndarray, (N,), -1..1
        Below 0 where mask and forest agree better than the forest expects.
        NaN where it cannot be told: no mask, fewer than ten masks, or one class only.
    """
    found = np.full(len(masked), np.nan)
    there = [i for i, one in enumerate(masked) if one is not None]
    names = sorted({int(name) for i in there for name in np.unique(_of(masked, i).classes)})
    if len(there) < _LEAST_IMAGES or len(names) < 2:
        return found
    fold = _folds(len(masked), there, alike, seed)
    asked: dict[int, np.ndarray] = {}
    for number in range(_N_FOLDS):
        theirs, others = [i for i in there if fold[i] == number], [i for i in there if fold[i] != number]
        if theirs and others:
            forest = yield from _forest([_of(masked, i) for i in others], seed, number)
            columns = np.searchsorted(names, forest.classes_)
            for i in theirs:
                asked[i] = np.zeros((len(_of(masked, i).classes), len(names)))
                asked[i][:, columns] = forest.predict_proba(_of(masked, i).rows)
    if asked:
        p = np.concatenate(list(asked.values()))
        labels = np.concatenate([np.searchsorted(names, _of(masked, i).classes) for i in asked])
        least = np.array([p[labels == k, k].mean() if (labels == k).any() else np.inf for k in range(len(names))])
        confident = np.where(p >= least, p, -1)
        sure = confident.max(1) >= 0
        beyond = np.where(sure, (confident.argmax(1) != labels) - (1 - confident.max(1)), 0)
        ends = np.cumsum([len(one) for one in asked.values()])[:-1]
        found[list(asked)] = [part.mean() for part in np.split(beyond, ends)]
    return found


def standing_out(suspicion: np.ndarray, limit: float) -> list[int]:
    """Masks that stand apart from the others in their suspicion, the most suspect first.

    By its `modified_z`. Where that of most is 0, the mean deviation is the unit of that, and a few inverted masks would
    hide all others: there the 90th percentile, divided by that of a half-normal distribution, is the unit, if it is not
    0, too. A suspicion of less than 0.05 is not worth a look.

    Parameters
    ----------
    suspicion : ndarray, (N,)
        See `suspects`; NaN where it is not known.
    limit : float
        In robust standard deviations.
    """
    known = np.flatnonzero(np.isfinite(suspicion))
    values = suspicion[known]
    z = modified_z(values)
    if z.any() and not np.median(values):
        unit = np.quantile(values, 0.9) / _HALF_NORMAL_90
        z = values / unit if unit > 0 else z
    apart = known[(z > limit) & (values >= _LEAST)]
    return [int(i) for i in apart[np.argsort(-suspicion[apart], kind="stable")]]


def _of(masked: Sequence[Masked | None], index: int) -> Masked:
    one = masked[index]
    assert one is not None
    return one


def _folds(n: int, there: Sequence[int], alike: Sequence[Sequence[int]], seed: int) -> np.ndarray:
    """The fold of each image; duplicates share one."""
    fold = np.full(n, -1)
    order = np.random.default_rng(seed).permutation(there)
    fold[order] = np.arange(len(order)) % _N_FOLDS
    for members in alike:
        fold[[i for i in members if fold[i] >= 0]] = max(fold[i] for i in members)
    return fold


def _forest(parts: Sequence[Masked], seed: int, number: int) -> Work[Any]:
    """A random forest, tree by tree, so that it can be stopped."""
    from sklearn.ensemble import RandomForestClassifier

    rows, classes = np.concatenate([one.rows for one in parts]), np.concatenate([one.classes for one in parts])
    kept = np.random.default_rng([seed, number]).permutation(len(rows))[:_ROWS]
    forest = RandomForestClassifier(0, min_samples_leaf=5, warm_start=True, random_state=seed)
    for n_trees in range(_N_TREES):
        yield Progress(number * _N_TREES + n_trees, _N_FOLDS * _N_TREES, "Looking for wrong masks")
        forest.set_params(n_estimators=n_trees + 1)
        forest.fit(rows[kept], classes[kept])
    return forest

"""Classes of whole images, from the share of each class among their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..clustering.components import k_means
from ..errors import InputError
from ..progress import Progress, Work
from ..table import Table
from .classify import Classes

_PENALTY = 1.0  # C of the support vector machine
_MOST_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Learnt:
    """Classes of images as learnt from a few.

    Parameters
    ----------
    given : ndarray of str, (n,)
        What was known; "" where it was not.
    names : ndarray of str, (n,)
        Of every image; "" of one without objects.
    accuracy : float
        Share of the labelled images that are told rightly by what was learnt without them, 0..1.
    folds : int
        Into how many parts they were put for that.
    """

    given: np.ndarray
    names: np.ndarray
    accuracy: float
    folds: int


def group_images(proportions: np.ndarray, n_classes: int, seed: int) -> Work[np.ndarray]:
    """Classes (n,) of images, 1..K, by K-means of their proportions (n, F), without labels; 0 of one without objects.

    Class 1 has most images.

    Raises
    ------
    InputError
        If there are fewer images with objects than classes.
    """
    known = np.isfinite(proportions).all(1)
    if known.sum() < n_classes:
        raise InputError(f"{n_classes} classes of images want as many images with objects; there are {known.sum()}.")
    rows = proportions[known]
    found = yield from k_means(rows, n_classes, seed)
    nearest = ((rows[:, None] - found.means) ** 2).sum(2).argmin(1)
    order = np.argsort(-np.bincount(nearest, minlength=n_classes), kind="stable")
    numbers = np.zeros(len(proportions), np.int64)
    numbers[known] = np.argsort(order)[nearest] + 1
    return numbers


def learn_images(proportions: np.ndarray, labels: Sequence[str], seed: int) -> Work[Learnt]:
    """Classes of images by a linear support vector machine (Cortes & Vapnik 1995) that learns from the labelled ones.

    How well it does is told by k-fold cross-validation, each fold with all classes: k is 5, or as many as the rarest
    class has images.

    Parameters
    ----------
    proportions : ndarray, (n, F)
    labels : sequence of str, n
        "" where it is not known.
    seed : int

    Raises
    ------
    InputError
        If there are fewer than two classes, or one of them has a single image.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    names = np.array(labels, dtype=np.str_)
    usable = np.isfinite(proportions).all(1)
    known = usable & (names != "")
    kinds, counts = np.unique(names[known], return_counts=True)
    if len(kinds) < 2 or counts.min() < 2:
        raise InputError("To learn classes of images, label two images with objects or more, of each of two classes.")
    yield Progress(0, 1, "Learning classes of images")
    machine = make_pipeline(StandardScaler(), SVC(kernel="linear", C=_PENALTY))
    folds = int(min(_MOST_FOLDS, counts.min()))
    told = cross_val_predict(
        machine, proportions[known], names[known], cv=StratifiedKFold(folds, shuffle=True, random_state=seed)
    )
    found = np.full(len(names), "", dtype=names.dtype)
    found[usable] = machine.fit(proportions[known], names[known]).predict(proportions[usable])
    return Learnt(names, found, float(np.mean(told == names[known])), folds)


def image_table(
    names: Sequence[str], found: Classes, groups: np.ndarray | None = None, learnt: Learnt | None = None
) -> Table:
    """A row for each image: its name, how many objects it has, the share of each class, and its own class.

    That is the group (n,) it was put into, and the class that was given or learnt, where these were looked for.
    """
    proportions = found.proportions()
    columns = {"image": np.array(names, np.str_), "n_objects": np.array(found.counts, np.int64)}
    columns |= {f"class_{k}_fraction": column for k, column in enumerate(proportions.T, 1)}
    columns |= {} if groups is None else {"image_class": groups}
    columns |= {} if learnt is None else {"image_label": learnt.given, "image_class_learnt": learnt.names}
    return Table(columns, dict.fromkeys(columns, ""))

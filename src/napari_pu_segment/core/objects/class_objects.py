"""Objects of several classes: each class by itself, with numbers that go on from class to class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..classes import background
from ..progress import Work, shifted
from ..samples import ONE_CLASS
from ..table import Table
from . import ObjectSettings, find_objects


def find_objects_of_each(
    mask: np.ndarray,
    settings: ObjectSettings,
    classes: Sequence[str] = ONE_CLASS,
    *,
    probability: np.ndarray | None = None,
    **options: Any,
) -> Work[np.ndarray]:
    """Objects of every class of a mask; of one class those of `objects.find_objects`.

    A hole that is filled ends where another class begins.

    Parameters
    ----------
    mask : ndarray, ([T,] [Z,] Y, X)
        Numbers of classes, 1..K; of one class whatever is not zero.
    settings : ObjectSettings
    classes : sequence of str
    probability : ndarray, ([T,] [Z,] Y, X), or (K, [T,] [Z,] Y, X) of several classes, optional
    options
        See `find_objects`.

    Returns
    -------
    ndarray of int32, ([T,] [Z,] Y, X)
        Labels 1..n; those of class 1 come first.
    """
    if len(classes) == 1:
        return (yield from find_objects(mask, settings, probability=probability, **options))
    labels = np.zeros(mask.shape, np.int32)
    for number in range(1, len(classes) + 1):
        chances = None if probability is None else probability[number - 1]
        work = find_objects(mask == number, settings, probability=chances, **options)
        found = yield from shifted(work, number - 1, len(classes))
        free = (found > 0) & ((mask == 0) | (mask == number)) & (labels == 0)
        labels[free] = found[free] + labels.max(initial=0)
    return labels


def numbers_of(labels: np.ndarray, mask: np.ndarray, n: int) -> np.ndarray:
    """Number of the class, 1..K, of each of `n` objects (n,): that of most of its pixels in a mask; 0 outside it.

    Parameters
    ----------
    labels, mask : ndarray, ([T,] [Z,] Y, X)
        As `find_objects_of_each` takes and gives them.
    """
    inside = (labels > 0) & (mask > 0)
    n_classes = int(mask.max(initial=0))
    pairs = np.bincount(
        labels[inside].astype(np.int64) * (n_classes + 1) + mask[inside], minlength=(n + 1) * (n_classes + 1)
    )
    return np.asarray(pairs.reshape(-1, n_classes + 1)[1 : n + 1].argmax(1))


def of_any_class(probability: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Probability ([T,] [Z,] Y, X) that a pixel is of some class, from that of one class or (K, ...) of several."""
    return probability if len(classes) == 1 else (1 - background(probability)).astype(np.float32)


def with_classes(table: Table, labels: np.ndarray, mask: np.ndarray, classes: Sequence[str]) -> Table:
    """A table of objects, with a column "class" of names behind their labels where there are several classes."""
    if len(classes) == 1:
        return table
    numbers = numbers_of(labels, mask, int(labels.max(initial=0)))
    names = np.array(["", *classes])[numbers[table.columns["label"] - 1]]
    columns: dict[str, np.ndarray] = {}
    for name, column in table.columns.items():
        columns |= {name: column, **({"class": names} if name == "label" else {})}
    return Table(columns, {**table.units, "class": ""})

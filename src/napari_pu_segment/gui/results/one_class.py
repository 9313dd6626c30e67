"""A result of several classes seen as that of one: of a chosen class, or of objects of any class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from napari_pu_segment.core.classes import against_rest, object_or_not, one_vs_rest
from napari_pu_segment.core.pipeline import Segmentation
from napari_pu_segment.core.samples import NEGATIVE, ONE_CLASS, POSITIVE, Sample, classes_of

from ..viewer.boxes import Lazily, box_of
from ..work import Result


class Mapped(Lazily):
    """What a function makes of an array ([T,] [Z,] Y, X), or of all classes (K, [T,] [Z,] Y, X), where it is looked at.

    Parameters
    ----------
    array : array
    function : callable
        From a part of the array to that of the result, ([T,] [Z,] Y, X).
    dtype : dtype
    stacked : bool
        Whether the array has an axis of classes.
    """

    def __init__(self, array: Any, function: Callable[[np.ndarray], np.ndarray], dtype: Any, *, stacked: bool) -> None:
        self._array, self._function, self.dtype = array, function, np.dtype(dtype)
        self._before = (slice(None),) if stacked else ()
        self.shape = tuple(array.shape[len(self._before) :])

    def __getitem__(self, key: Any) -> Any:
        box, then = box_of(key, self.shape)
        return self._function(np.asarray(self._array[(*self._before, *box)]))[then]


def seen(result: Result, index: int) -> Result:
    """A result as that of one of its classes, counted from 0; its arrays are computed where they are looked at.

    Its probability is that of the class against the likeliest of all else, see `core.classes.against_rest`.
    """
    old = result.segmentation
    if not isinstance(old.threshold, tuple):
        return result
    of_class = partial(_is_number, number=index + 1)
    against = partial(against_rest, thresholds=old.threshold, index=index)
    probability: Any = Mapped(old.probability, against, np.float32, stacked=True)
    mask: Any = Mapped(old.mask, of_class, np.uint8, stacked=False)
    sample = one_vs_rest([result.sample], index)[0]
    return replace(result, sample=sample, segmentation=Segmentation(probability, mask, old.threshold[index]))


def of_any(result: Result) -> Segmentation:
    """A result as that of objects of any class: its probability is `core.classes.object_or_not`, its threshold 1/2."""
    old = result.segmentation
    if not isinstance(old.threshold, tuple):
        return old
    function = partial(object_or_not, thresholds=old.threshold)
    probability: Any = Mapped(old.probability, function, np.float32, stacked=True)
    return Segmentation(probability, old.mask, 0.5)


def merged(sample: Sample) -> Sample:
    """A sample in which objects of all classes are positive."""
    if sample.labels is None or sample.classes == ONE_CLASS:
        return replace(sample, classes=ONE_CLASS)
    objects = classes_of(sample.labels) > 0
    labels = np.where(objects, POSITIVE, np.minimum(sample.labels, NEGATIVE + 1)).astype(np.uint8)
    return replace(sample, labels=labels, classes=ONE_CLASS)


def likeliest(result: Result, place: tuple[int, ...]) -> str:
    """The name of the class that is the most probable at a pixel ([T,] [Z,] Y, X)."""
    old, classes = result.segmentation, result.sample.classes
    if len(classes) == 1:
        return classes[0]
    values = np.asarray(old.probability[(slice(None), *(slice(at, at + 1) for at in place))]).ravel()
    return classes[int(values.argmax())]


def _is_number(numbers: np.ndarray, number: int) -> np.ndarray:
    return np.asarray(numbers == number, np.uint8)

"""What is said of a result and of jobs."""

from __future__ import annotations

from qtpy.QtCore import QLocale

from napari_pu_segment.core.pipeline import covered

from .numbers import percent
from .work import Result


def summary(result: Result) -> str:
    """A sentence on what was found, and doubts; how much of a large image it is takes longer to find out."""
    if result.large:
        return " ".join([f"{result.layer.name!r} is segmented.", *result.doubts])
    mask = result.segmentation.mask if result.segmentation.refined is None else result.segmentation.refined
    locale, classes = QLocale(), result.sample.classes
    told = f"{percent(covered(mask, result.sample.labels), locale)} of {result.layer.name!r} is segmented."
    if len(classes) > 1:
        counts = [covered(mask == number, result.sample.labels) for number in range(1, len(classes) + 1)]
        told += f" {', '.join(f'{name} {percent(n, locale)}' for name, n in zip(classes, counts, strict=True))}."
    return " ".join([told, *result.doubts])


def cancelled(title: str, result: Result | None) -> str:
    """A sentence on a job that was cancelled, and the result there is."""
    partly = result is not None and result.preview and result.large
    return f"{title} was cancelled; {'what is segmented so far stays' if partly else 'nothing has changed'}."

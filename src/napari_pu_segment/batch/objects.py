"""The objects of one image, frame by frame, and their table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.objects.class_objects import find_objects_of_each, of_any_class, with_classes
from ..core.objects.measure import Table, measure_objects
from ..core.progress import Work, shifted
from ..core.samples import ONE_CLASS, Array
from ..io import ImageFile
from .settings import BatchSettings

MAX_PX = 2**26  # objects are found in the whole mask, which must be held: about 30 bytes for each pixel


def find_and_measure(
    settings: BatchSettings,
    file: ImageFile,
    mask: np.ndarray,
    probability: np.ndarray | None,
    classes: Sequence[str] = ONE_CLASS,
) -> Work[tuple[np.ndarray | None, Table | None]]:
    """Objects (int32) of a mask ([T,] [Z,] Y, X), and their table, as far as the settings want them.

    In a series the objects of each frame are found on their own; their numbers go on from frame to frame, and the
    table has a column "frame", from 0. Where there are several classes, the table has a column "class".

    Parameters
    ----------
    settings : BatchSettings
    file : ImageFile
        Of the same shape, but for the channels.
    mask : ndarray, ([T,] [Z,] Y, X)
    probability : ndarray, ([T,] [Z,] Y, X), or (K, [T,] [Z,] Y, X) of several classes, or None
    classes : sequence of str
        Of the numbers in the mask.
    """
    if not settings.wants_objects:
        return None, None
    if "T" not in file.axes:
        return (yield from _frame(settings, file, file.image, mask, probability, classes))
    labels, tables, count = np.zeros(mask.shape, np.int32), list[Table](), 0
    for t in range(len(mask)):
        chances = None if probability is None else probability[t] if len(classes) == 1 else probability[:, t]
        work = _frame(settings, file, file.image[:, t], mask[t], chances, classes)
        found, table = yield from shifted(work, t, len(mask))
        labels[t] = np.where(found, found + count, 0)
        if table is not None:
            numbered = {"frame": np.full(len(table), t), **table.columns, "label": table.columns["label"] + count}
            tables.append(Table(numbered, {"frame": "", **table.units}))
        count += int(found.max(initial=0))
    return labels, _joined(tables) if tables else None


def _frame(
    settings: BatchSettings,
    file: ImageFile,
    image: Array,
    mask: np.ndarray,
    probability: np.ndarray | None,
    classes: Sequence[str],
) -> Work[tuple[np.ndarray, Table | None]]:
    labels = yield from find_objects_of_each(
        mask, settings.objects, classes, probability=probability, pixel_size=file.pixel_size
    )
    if "measurements" not in settings.outputs:
        return labels, None
    table = yield from measure_objects(
        labels,
        np.asarray(image),
        probability=None if probability is None else of_any_class(probability, classes),
        pixel_size=file.pixel_size,
        pixel_unit=file.pixel_unit,
        channel_names=file.channel_names,
        planewise=labels.ndim == 3 and settings.objects.planewise,
    )
    return labels, with_classes(table, labels, mask, classes)


def _joined(tables: list[Table]) -> Table:
    columns = {name: np.concatenate([table.columns[name] for table in tables]) for name in tables[0].columns}
    return Table({"frame": columns.pop("frame"), **columns}, tables[0].units)

"""The results of one image on the disk: in memory where the image is small, block by block where it is large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..core.classes import Thresholds
from ..core.errors import JobError, OutputError
from ..core.model import Model
from ..core.objects.measure import Table
from ..core.pipeline import Summary, covered, segment
from ..core.progress import Work
from ..io import ZARR_SUFFIX, ImageFile, Output, create_output, storable, write_image
from .objects import find_and_measure
from .pictures import thumbnail
from .settings import FileTask

SMALL_PX = 2**24  # more pixels are segmented block by block, and never held


Fill: TypeAlias = Callable[..., Work[Summary]]
"""Segments an image into outputs, with the arguments of `segment_into`."""


@dataclass(frozen=True, eq=False)
class Made:
    """What is told of results: see `Facts`; `picture` is a `thumbnail`."""

    threshold: Thresholds
    positive_fraction: float
    refined_by: str
    n_objects: int | None
    picture: str


def is_large(shape: Sequence[int]) -> bool:
    """Whether an image (C, [T,] [Z,] Y, X) has too many pixels to be segmented in one piece."""
    return math.prod(shape[1:]) > SMALL_PX


def make(task: FileTask, model: Model, file: ImageFile, fill: Fill, identity: str) -> Work[Made]:
    """Segment an image and write its results, each whole or not at all.

    Parameters
    ----------
    fill : callable
        Segments a large image, as `segment_into` does.
    identity : str
        All that the image is known by again. What was written of a large one is kept when the work is cut short, and
        found again by it.

    Raises
    ------
    InputError
        If the model cannot see such an image.
    OutputError
        If the results cannot be written.
    """
    if is_large(file.image.shape) or not isinstance(file.image, np.ndarray):
        return (yield from _block_by_block(task, model, file, fill, f"{task.key} {identity}"))
    return (yield from _at_once(task, model, file))


def _at_once(task: FileTask, model: Model, file: ImageFile) -> Work[Made]:
    settings = task.settings
    result = yield from segment(
        model,
        file.image,
        threshold=settings.threshold,
        crf=settings.crf if settings.refine else None,
        name=f"Image file {task.name!r}",
        axes=file.axes,
    )
    arrays: dict[str, np.ndarray] = {"probability": result.probability, "mask": result.mask}
    final = result.mask
    if result.refined is not None:
        final = arrays["refined"] = result.refined
    labels, table = yield from find_and_measure(settings, file, final, result.probability, model.classes)
    if labels is not None:
        arrays["instances"] = labels
    for kind, path in task.outputs().items():
        if kind != "measurements":
            yield from _write(path, arrays[kind], file, kind != "probability", model.classes)
    n_objects = _write_table(task, labels, table)
    picture = yield from thumbnail(file.image, final)
    return Made(result.threshold, covered(final), result.refined_by, n_objects, picture)


def _block_by_block(task: FileTask, model: Model, file: ImageFile, fill: Fill, key: str) -> Work[Made]:
    settings, outs = task.settings, dict[str, Output]()
    kinds = {"probability", "mask", "refined"} & set(settings.outputs)
    # the CRF and objects read the probability again; objects are those of a mask
    kinds |= {"probability"} if settings.refine or settings.wants_objects else set()
    kinds |= {"mask"} if settings.wants_objects and not settings.refine else set()
    try:
        for kind in sorted(kinds):
            outs[kind] = _begin(task.place(kind, settings.format), kind, file, key, model.classes)
        made = yield from _filled(task, model, file, fill, outs)
    except (GeneratorExit, OutputError, JobError):  # cancelled, or the disk or the workers went: it can go on from here
        raise
    except BaseException:
        _discard(outs.values())
        raise
    _discard(out for kind, out in outs.items() if kind not in settings.outputs)
    return made


def _discard(outs: Iterable[Output]) -> None:
    for out in outs:
        out.discard()


def _filled(task: FileTask, model: Model, file: ImageFile, fill: Fill, outs: Mapping[str, Output]) -> Work[Made]:
    settings = task.settings
    crf, where = settings.crf if settings.refine else None, f"Image file {task.name!r}"
    summary = yield from fill(
        model, file.image, outs, threshold=settings.threshold, crf=crf, name=where, axes=file.axes
    )
    final = outs["refined" if settings.refine else "mask"] if "mask" in outs or settings.refine else None
    labels, table = yield from _objects_of(task, file, outs, final, model.classes)
    if final is None:
        picture = yield from thumbnail(file.image, outs["probability"], summary.threshold)
    else:
        picture = yield from thumbnail(file.image, final)
    for kind in outs.keys() & set(settings.outputs):
        yield from outs[kind].finishing()
    if labels is not None and "instances" in settings.outputs:
        yield from _write(task.outputs()["instances"], labels, file, True)
    n_objects = _write_table(task, labels, table)
    fraction = summary.positive_fraction if summary.refined_fraction is None else summary.refined_fraction
    return Made(summary.threshold, fraction, summary.refined_by, n_objects, picture)


def _objects_of(
    task: FileTask, file: ImageFile, outs: Mapping[str, Output], final: Output | None, classes: Sequence[str]
) -> Work[tuple[np.ndarray | None, Table | None]]:
    """Objects of a mask on the disk; `work.check` refuses images that are too large to hold one."""
    if final is None or not task.settings.wants_objects:
        return None, None
    return (yield from find_and_measure(task.settings, file, final[...], outs["probability"][...], classes))


def _begin(path: Path, kind: str, file: ImageFile, key: str, classes: Sequence[str]) -> Output:
    is_label, shape = kind != "probability", tuple(file.image.shape[1:])
    stacked = not is_label and len(classes) > 1
    return create_output(
        path,
        (len(classes), *shape) if stacked else shape,
        np.uint8 if is_label else np.float32,
        pixel_size=file.pixel_size,
        pixel_unit=file.pixel_unit,
        axes=file.axes if stacked else file.axes[1:],
        labels=is_label,
        channel_names=classes if stacked else (),
        key=key,
        resume=True,
    )


def _write(path: Path, array: np.ndarray, file: ImageFile, labels: bool, classes: Sequence[str] = ()) -> Work[None]:
    """Write a result; a probability (K, [T,] [Z,] Y, X) of several classes under their names."""
    stacked = array.ndim == len(file.axes)
    axes, size, unit = file.axes if stacked else file.axes[1:], file.pixel_size, file.pixel_unit
    names = classes if stacked else ()
    if path.suffix != ZARR_SUFFIX:
        write_image(path, storable(array), size, unit, axes, names)
        return
    if array.dtype == np.int32:  # objects
        array = array.astype(np.uint16 if array.max(initial=0) < 2**16 else np.uint32)
    told = (array.shape, array.dtype)
    out = create_output(path, *told, pixel_size=size, pixel_unit=unit, axes=axes, labels=labels, channel_names=names)
    try:
        out[...] = array
        yield from out.finishing()
    finally:
        out.discard()


def _write_table(task: FileTask, labels: np.ndarray | None, table: Table | None) -> int | None:
    """Write the measurements, where there are any; gives the number of objects, where they were looked for."""
    if table is not None:
        table.write_csv(task.outputs()["measurements"])
    return None if labels is None else int(labels.max(initial=0))

"""One file of a batch: from an image to its results, its marker and its report. Runs in any process."""

from __future__ import annotations

import errno
import os
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..core.doubts import doubts
from ..core.errors import InputError, ModelFileError, OutputError, PuSegmentError, is_out_of_memory
from ..core.measure import Table, measure_objects
from ..core.model import Model, load_model
from ..core.objects import find_objects
from ..core.pipeline import Segmentation, covered, segment
from ..core.progress import Work, run
from ..io import ImageFile, read_image, write_image
from . import markers
from .folder import fault_of
from .identity import identity, model_hash, stored
from .pictures import thumbnail
from .settings import Facts, FileReport, FileTask, State

_OF_ONE_FILE = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP}
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def process(task: FileTask) -> FileReport:
    """Do one file and wait for it; see `processing`."""
    return run(processing(task))


def processing(task: FileTask) -> Work[FileReport]:
    """Do one file: read, segment, find objects, write, and mark it as done.

    It never raises for the sake of the file, the disk or the model: its report tells. A file whose results are there
    and whole is skipped.
    """
    start = time.perf_counter()
    try:
        report = yield from _process(task)
    except Exception as error:
        report = _faulty(task, error)
    return FileReport(**{**vars(report), "seconds": round(time.perf_counter() - start, 3)})


def _process(task: FileTask) -> Work[FileReport]:
    _check_places(task)
    before = markers.done(task)
    if before is not None:
        return before
    model = _model(str(task.settings.model), task.model_sha256)
    image = identity(task.path)
    file = read_image(task.path)
    result = yield from _segment(task, model, file)
    labels, table = yield from _objects(task, result, file)
    markers.forget(task)
    _write(task, result, labels, table, file)
    if identity(task.path) != image:
        raise PuSegmentError(f"Image file {task.name!r} was changed while it was read. Run the batch again.")
    outputs = {kind: stored(path) for kind, path in task.outputs().items()}
    facts = _facts(task, model, file, result, None if labels is None else int(labels.max(initial=0)))
    report = FileReport(task.name, "ok", "", task.stem, outputs, facts)
    markers.write_marker(task, image, report, thumbnail(file.image, _final(result)))
    return report


def _check_places(task: FileTask) -> None:
    """Refuse a file that is none any more; stop where a disk has gone, or results would leave their folder."""
    if not markers.is_owner(task):
        out = str(task.settings.out)
        raise _Gone(f"The folder for the results, {out!r}, is gone, or another batch has taken it.")
    fault = fault_of(task.settings.folder, task.name)
    if fault:
        if not _has_entries(task.settings.folder):
            raise _Gone(f"The folder of images, {str(task.settings.folder)!r}, is gone or empty. Is its disk there?")
        raise InputError(fault)
    inside, outside = task.settings.out.resolve(), task.settings.folder.resolve()
    place = (task.settings.out / task.stem).parent
    place.mkdir(parents=True, exist_ok=True)
    if not place.resolve().is_relative_to(inside) or place.resolve().is_relative_to(outside):
        raise InputError(
            f"The results of {task.name!r} would not stay in their folder: {str(place)!r} leads elsewhere."
        )


def _has_entries(folder: Path) -> bool:
    """Whether a folder is there with something in it; a place where a disk was mounted is empty."""
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except OSError:
        return False


class _Gone(PuSegmentError):
    """Nothing more can be done."""


@lru_cache(maxsize=1)
def _model(path: str, sha256: str) -> Model:
    """The model of a file, loaded once in a process."""
    if model_hash(Path(path)) != sha256:
        raise ModelFileError(f"Model file {path!r} has changed since the batch began. Run the batch again.")
    return load_model(path)


def _segment(task: FileTask, model: Model, file: ImageFile) -> Work[Segmentation]:
    where, settings = f"Image file {task.name!r}", task.settings
    model.check_image(tuple(file.image.shape), where, file.channel_names)
    crf = settings.crf if settings.refine else None
    return (yield from segment(model, file.image, threshold=settings.threshold, crf=crf, name=where))


def _final(result: Segmentation) -> np.ndarray:
    return result.mask if result.refined is None else result.refined


def _objects(task: FileTask, result: Segmentation, file: ImageFile) -> Work[tuple[np.ndarray | None, Table | None]]:
    settings = task.settings
    if not settings.wants_objects:
        return None, None
    size = file.pixel_size
    labels = yield from find_objects(_final(result), settings.objects, probability=result.probability, pixel_size=size)
    if "measurements" not in settings.outputs:
        return labels, None
    table = yield from measure_objects(
        labels,
        file.image,
        probability=result.probability,
        pixel_size=size,
        pixel_unit=file.pixel_unit,
        channel_names=file.channel_names,
        planewise=settings.objects.planewise,
    )
    return labels, table


def _write(
    task: FileTask, result: Segmentation, labels: np.ndarray | None, table: Table | None, file: ImageFile
) -> None:
    arrays: dict[str, np.ndarray | None] = {
        "probability": result.probability,
        "mask": result.mask,
        "refined": result.refined,
        "instances": labels,
    }
    for kind, path in task.outputs().items():
        if kind == "measurements":
            assert table is not None
            table.write_csv(path)
            continue
        array = arrays[kind]
        assert array is not None
        if kind == "instances":
            array = array.astype(np.uint16 if array.max() < 2**16 else np.float32)
        write_image(path, array, file.pixel_size, file.pixel_unit)


def _facts(task: FileTask, model: Model, file: ImageFile, result: Segmentation, n_objects: int | None) -> Facts:
    return Facts(
        axes="CZYX" if file.image.ndim == 4 else "CYX",
        shape=tuple(file.image.shape),
        dtype=str(file.image.dtype),
        positive_fraction=covered(_final(result)),
        threshold=result.threshold,
        n_objects=n_objects,
        refined_by=result.refined_by,
        warnings=doubts(model.card, file.sample(task.name)),
    )


def _faulty(task: FileTask, error: Exception) -> FileReport:
    """The report of a file that could not be done; tells whether any other could be."""
    state: State = "refused" if isinstance(error, InputError) else "failed"
    text, stops, cause = _sentence(error), isinstance(error, ModelFileError | _Gone), _system_error(error)
    if isinstance(error, OutputError):
        state = "failed"
        stops = cause is None or cause.errno not in _OF_ONE_FILE or not _writable(task.settings.out)
    elif cause is not None and cause.errno in _OF_THE_DISK:
        state, stops = "failed", True
        text = f"Cannot write to {str(task.settings.out)!r}: {cause.strerror}."
    return FileReport(task.name, "failed" if stops else state, text, task.stem, stops=stops)


def _system_error(error: BaseException | None) -> OSError | None:
    """What the system said, behind our own words."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _writable(folder: Path) -> bool:
    try:
        return os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _sentence(error: Exception) -> str:
    if isinstance(error, PuSegmentError):
        return str(error)
    if is_out_of_memory(error):
        return "The computer's memory ran out. Cut the image, or use a computer with more memory."
    return f"Something unforeseen failed ({type(error).__name__}: {error})."

"""One file of a batch: from an image to its results, its marker and its report. Runs in any process."""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ..core.compute.runtime import fix_threads
from ..core.errors import InputError, ModelFileError, OutputError, PuSegmentError, is_out_of_memory
from ..core.images.doubts import doubts
from ..core.model import Model, load_model
from ..core.pipeline import segment_into
from ..core.progress import Work, run
from ..io import read_image
from . import markers
from .folder import fault_of
from .identity import identity, model_hash, stored
from .objects import MAX_PX
from .results import Fill, make
from .settings import Facts, FileReport, FileTask, State

_OF_ONE_FILE = {
    *(errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP),
    *(errno.EACCES, errno.EPERM),
}
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def process(task: FileTask) -> FileReport:
    """Do one file and wait for it; see `processing`."""
    return run(processing(task))


def processing(task: FileTask, fill: Fill = segment_into) -> Work[FileReport]:
    """Do one file: read, segment, find objects, write, and mark it as done.

    It never raises for the sake of the file, the disk or the model: its report tells. A file whose results are there
    and whole is skipped.

    Parameters
    ----------
    fill : callable
        Segments a large image into outputs, block by block, as `segment_into` does.
    """
    start = time.perf_counter()
    fix_threads(task.settings.threads)
    try:
        report = yield from _process(task, fill)
    except Exception as error:
        report = _faulty(task, error)
    finally:
        fix_threads(0)
    return FileReport(**{**vars(report), "seconds": round(time.perf_counter() - start, 3)})


def _process(task: FileTask, fill: Fill) -> Work[FileReport]:
    _check_places(task)
    before = yield from markers.whole(task)
    if before is not None:
        return before
    model = model_of(task)
    image = identity(task.path)
    file = read_image(task.path)
    check(task, model, tuple(file.image.shape), file.axes, file.channel_names)
    markers.forget(task)
    made = yield from make(task, model, file, fill, image.model_dump_json())
    if identity(task.path) != image:
        markers.drop_outputs(task)
        raise PuSegmentError(f"Image file {task.name!r} was changed while it was read. Run the batch again.")
    outputs = {}
    for kind, path in task.outputs().items():
        outputs[kind] = yield from stored(path)
    facts = Facts(
        axes=file.axes,
        shape=tuple(file.image.shape),
        dtype=str(file.image.dtype),
        positive_fraction=made.positive_fraction,
        threshold=made.threshold,
        n_objects=made.n_objects,
        refined_by=made.refined_by,
        warnings=(yield from doubts(model.card, file.sample(task.name))),
    )
    report = FileReport(task.name, "ok", "", task.stem, outputs, facts)
    markers.write_marker(task, image, report, made.picture)
    return report


def check(task: FileTask, model: Model, shape: tuple[int, ...], axes: str, channels: Sequence[str]) -> None:
    """Refuse an image (C, [T,] [Z,] Y, X) that cannot be done.

    Raises
    ------
    InputError
        If the model cannot see it, or it is too large for objects to be found.
    """
    where, n_px = f"Image file {task.name!r}", math.prod(shape[1:])
    model.check_image(shape, where, channels, axes)
    if task.settings.wants_objects and n_px > MAX_PX:
        raise InputError(
            f"{where} has {n_px / 1e6:.0f} megapixels; objects are found in at most {MAX_PX / 1e6:.0f}. Leave out "
            "instances and measurements, or cut it."
        )


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
    for place in (task.settings.out / task.stem).parent, markers.marker_path(task.settings.out, task.stem).parent:
        real = Path(os.path.realpath(place))
        if not real.is_relative_to(inside) or real.is_relative_to(outside):
            raise InputError(
                f"The results of {task.name!r} would not stay in their folder: {str(place)!r} leads elsewhere."
            )
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make the folder {str(place)!r}: {error.strerror}.") from error


def _has_entries(folder: Path) -> bool:
    """Whether a folder is there with something in it; a place where a disk was mounted is empty."""
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except OSError:
        return False


class _Gone(PuSegmentError):
    """Nothing more can be done."""


def model_of(task: FileTask) -> Model:
    """The model of a task, loaded once in a process from its file.

    Raises
    ------
    ModelFileError
        If the file is not the one that the batch began with, or cannot be used.
    """
    return _model(str(task.settings.model), task.model_sha256)


@lru_cache(maxsize=1)
def _model(path: str, sha256: str) -> Model:
    if model_hash(Path(path)) != sha256:
        raise ModelFileError(f"Model file {path!r} has changed since the batch began.")
    return load_model(path)


def _faulty(task: FileTask, error: Exception) -> FileReport:
    """The report of a file that could not be done; tells whether any other could be."""
    state: State = "refused" if isinstance(error, InputError) else "failed"
    text, stops, cause = _sentence(error), isinstance(error, ModelFileError | _Gone), _system_error(error)
    number = None if cause is None else cause.errno
    if isinstance(error, OutputError):
        state, stops = "failed", number not in _OF_ONE_FILE or not _writable(task.settings.out)
    if cause is not None and (number in _OF_THE_DISK or (isinstance(error, OutputError) and stops)):
        reason = cause.strerror or os.strerror(errno.ENOSPC)  # numpy tells no number of a full disk
        where = Path(cause.filename).parent if isinstance(cause.filename, str) else task.settings.out
        text, stops = f"Cannot write to {str(where)!r}: {reason}.", True
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

"""What a batch would do, before it does anything: the dry run."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.classes import alone_or_stacked, thresholds_of
from ..core.compute.runtime import set_threads
from ..core.crf import refine
from ..core.errors import InputError, PuSegmentError
from ..core.model import Model, load_model
from ..core.progress import Progress, Ticker, Work, run
from ..io import IMAGE_SUFFIXES, probe
from . import markers
from .folder import check_folders, existing, find, stems
from .identity import model_hash
from .results import SMALL_PX
from .settings import OUTPUTS, BatchSettings, FileReport, FileTask, shown
from .work import check

_FILE_BYTES = 2**15  # marker, headers and unused ends of blocks
_FILE_S = 0.02  # reading, writing and flushing


@dataclass(frozen=True)
class BatchPlan:
    """What a batch will do.

    Parameters
    ----------
    settings : BatchSettings
        With absolute paths, and the backend of the CRF chosen.
    key : str
        See `FileTask`.
    model_sha256 : str
    tasks : tuple of FileTask
        In the order of their names.
    refused : tuple of FileReport
        Files that cannot be used, and why.
    n_done : int
        Tasks whose results are there already.
    n_others : int
        Files that are no images.
    n_px : int
        Pixels that are left to do.
    n_bytes : int
        What their results take at most.
    free_bytes : int
        On the disk of the results.
    seconds : float
        About how long it will take on this computer, one file after the other.
    """

    settings: BatchSettings
    key: str
    model_sha256: str
    tasks: tuple[FileTask, ...]
    refused: tuple[FileReport, ...]
    n_done: int
    n_others: int
    n_px: int
    n_bytes: int
    free_bytes: int
    seconds: float

    def check(self) -> None:
        """Refuse to begin what cannot end.

        Raises
        ------
        InputError
            If the disk has not enough room.
        """
        if self.n_bytes > self.free_bytes:
            raise InputError(
                f"The results take about {size(self.n_bytes)}, but the disk of {str(self.settings.out)!r} has only "
                f"{size(self.free_bytes)} free. Choose another folder, or fewer outputs."
            )

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "n_files": len(self.tasks),
            "n_done": self.n_done,
            "n_others": self.n_others,
            "refused": [{"name": shown(file.name), "reason": file.reason} for file in self.refused],
            "n_px": self.n_px,
            "n_bytes": self.n_bytes,
            "free_bytes": self.free_bytes,
            "seconds": round(self.seconds, 1),
            "files": [{"name": shown(task.name), "stem": task.stem} for task in self.tasks],
        }

    def in_words(self) -> str:
        """The plan in a few lines."""
        lines = [
            f"{len(self.tasks)} file(s) to do, {self.n_done} of them done before; {len(self.refused)} cannot be used; "
            f"{self.n_others} other file(s) or folder(s) are left alone.",
            f"About {time_in_words(self.seconds)} on this computer, one file after the other.",
            f"At most {size(self.n_bytes)} of results; {size(self.free_bytes)} are free.",
            *(f"refused: {file.reason}" for file in self.refused),
        ]
        return "\n".join(lines)


def size(n_bytes: int) -> str:
    """A number of bytes in words."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000  # type: ignore[assignment]
    return f"{n_bytes:.3g} TB"


def time_in_words(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def plan(settings: BatchSettings) -> BatchPlan:
    """Plan a batch and wait for it; see `planning`."""
    return run(planning(settings))


def planning(settings: BatchSettings) -> Work[BatchPlan]:
    """Plan a batch: read the headers of all images, and time the model. Nothing is written.

    Raises
    ------
    InputError
        If nothing could begin: no folder, no image, no model, or a folder of results that must not be written to.
    """
    settings = markers.fixed(settings)
    model_sha256 = model_hash(settings.model)
    model = load_model(settings.model)
    check_folders(settings.folder, settings.out)
    found, n_others = find(settings.folder, settings.pattern, settings.recursive)
    if not found:
        raise InputError(
            f"Folder {str(settings.folder)!r} has no image that matches {settings.pattern!r} "
            f"({', '.join(IMAGE_SUFFIXES)}), {n_others} other file(s) or folder(s). Give another one, or --recursive."
        )
    key, chosen = markers.make_key(settings, model_sha256), stems([one.name for one in found])
    tasks, refused, left, ticker = [], [], list[int](), Ticker()
    for step, one in enumerate(found):
        if ticker.due():
            yield Progress(step, len(found), "Reading headers")
        task = FileTask(settings, key, model_sha256, one.name, chosen[one.name])
        try:
            n_px = _pixels(task, model, one.fault)
        except PuSegmentError as error:
            refused.append(FileReport(one.name, "refused", str(error)))
            continue
        tasks.append(task)
        left += [] if markers.done(task) else [n_px]
    markers.check_owner(settings, key, tasks)
    return BatchPlan(
        settings,
        key,
        model_sha256,
        tasks=tuple(tasks),
        refused=tuple(refused),
        n_done=len(tasks) - len(left),
        n_others=n_others,
        n_px=sum(left),
        n_bytes=_n_bytes(settings, left, len(model.classes)),
        free_bytes=shutil.disk_usage(existing(settings.out)).free,
        seconds=(yield from _seconds(settings, model, sum(left), len(left))) if left else 0.0,
    )


def _pixels(task: FileTask, model: Model, fault: str) -> int:
    """Pixels of an image, from its header; refuses what cannot be done."""
    if fault:
        raise InputError(fault)
    header = probe(task.path)
    check(task, model, header.shape, header.axes, header.channel_names)
    return math.prod(header.shape[1:])


def _n_bytes(settings: BatchSettings, left: Sequence[int], n_classes: int) -> int:
    """What the results of images of so many pixels take; large ones twice, while they are unfinished, one by one."""
    pyramid = 4 / 3 if settings.format == "ome-zarr" else 1
    maps = {"probability": n_classes}
    per_px = pyramid * sum(OUTPUTS[kind].bytes_per_px * maps.get(kind, 1) for kind in set(settings.outputs))
    largest = max((n_px for n_px in left if n_px > SMALL_PX), default=0)
    return int(per_px * (sum(left) + largest)) + _FILE_BYTES * len(left)


def _seconds(settings: BatchSettings, model: Model, n_px: int, n_files: int) -> Work[float]:
    """How long pixels and files will take, from a few made-up tiles."""
    yield Progress(0, 0, "Timing the model")
    set_threads(settings.threads)
    n_channels, ndim = len(model.card.intensity), model.card.network.ndim
    tile = np.random.default_rng(0).random((n_channels, *((8, 128, 128) if ndim == 3 else (256, 256))))
    low, high = model.card.intensity[0].low, model.card.intensity[0].high
    tile = (low + (high - low) * tile).astype(np.float32)
    model.predict(tile[..., :64, :64])  # the first call is slow
    start = time.perf_counter()
    probability = alone_or_stacked(model.predict(tile))
    seconds = (time.perf_counter() - start) * n_px / tile[0].size + _FILE_S * n_files
    if settings.refine:
        yield Progress(0, 0, "Timing the refinement")
        times, half = [], thresholds_of(0.5, len(model.classes))
        for side in (64, 256):
            start = time.perf_counter()
            part = probability[..., :side, :side]
            yield from refine(tile[..., :side, :side], part, settings.crf, threshold=half)
            times.append(time.perf_counter() - start)
        slope = max(times[1] - times[0], 0.0) / (tile[0].size - tile[0, ..., :64, :64].size)
        seconds += times[0] * n_files + slope * n_px
    return float(seconds)

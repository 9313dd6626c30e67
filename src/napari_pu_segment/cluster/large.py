"""One large image on the workers of a cluster: they write blocks of it into the same outputs, each its own chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..batch import FileTask, model_of
from ..core.classes import Thresholds, thresholds_of
from ..core.compute.blocks import Counts, blocks, measure_planes, predict_block, refine_block, written
from ..core.compute.regions import Slices
from ..core.compute.runtime import fix_threads
from ..core.crf import CrfSettings, Refiner
from ..core.crf.prepare import Figures
from ..core.errors import JobError
from ..core.model import Model
from ..core.pipeline import Summary
from ..core.progress import Progress, Ticker, Work, run, shifted
from ..core.samples import Array
from ..io import Output, open_part, read_image
from .pool import Lost, Pool

_REFINE_SHARE = 3  # refining takes about so many times as long as predicting


@dataclass(frozen=True)
class BlockTask:
    """One block of a large image: all that a worker must know; plain data.

    Parameters
    ----------
    file : FileTask
    parts : tuple of (str, Path)
        Unfinished outputs by kind, for `open_part`.
    block : tuple of slice
    threshold : float, or a tuple of K for several classes
    axes : str
    figures : tuple of (tuple of int, Figures), or None
        What was measured of the planes, if the block is to be refined; None if it is to be predicted.
    """

    file: FileTask
    parts: tuple[tuple[str, Path], ...]
    block: Slices
    threshold: Thresholds
    axes: str
    figures: tuple[tuple[tuple[int, ...], Figures], ...] | None = None


def do_block(task: BlockTask) -> Counts:
    """Predict or refine one block, and write it. Runs in any process."""
    fix_threads(task.file.settings.threads)
    outs = {kind: open_part(path) for kind, path in task.parts}
    model, image = _opened(task.file, task.file.path.stat().st_mtime_ns)
    if task.figures is None:
        return run(predict_block(model, image, outs, task.block, threshold=task.threshold))
    refiner = Refiner(
        image,
        outs["probability"],
        task.file.settings.crf,
        threshold=task.threshold,
        axes=task.axes,
        figures=dict(task.figures),
    )
    with refiner:
        return run(refine_block(refiner, outs["refined"], task.block))


@lru_cache(maxsize=1)
def _opened(task: FileTask, mtime_ns: int) -> tuple[Model, Array]:
    """The image of a task, and the model with the statistics that hold for it; opened once for all of its blocks."""
    image = read_image(task.path).image
    return run(model_of(task).for_image(image)), image


def segment_on(
    pool: Pool,
    task: FileTask,
    model: Model,
    image: Array,
    outs: Mapping[str, Output],
    *,
    threshold: Thresholds | None = None,
    crf: CrfSettings | None = None,
    name: str = "The image",
    axes: str = "",
) -> Work[Summary]:
    """What `segment_into` does, bit for bit, by the workers of a pool.

    Parameters
    ----------
    pool : Pool
    task : FileTask
        From which the workers take model and image.
    model, image, outs, threshold, crf, name, axes
        See `segment_into`.

    Raises
    ------
    InputError
        If the model cannot see such an image.
    JobError
        If workers keep dying over a block.
    """
    model.check_image(tuple(image.shape), name, axes=axes)
    threshold = model.threshold if threshold is None else thresholds_of(threshold, len(model.classes))
    first = {kind: out for kind, out in outs.items() if kind != "refined"}
    todo = [BlockTask(task, _parts(first), block, threshold, axes) for block in blocks(model, image.shape, first)]
    predicting = _spread(pool, todo, first, "Predicting")
    if "refined" not in outs:
        return Summary(threshold, (yield from predicting).positive_fraction)
    counts = yield from shifted(predicting, 0, 1 + _REFINE_SHARE)
    with Refiner(image, outs["probability"], crf or CrfSettings(), threshold=threshold, axes=axes) as by:
        figures = tuple((yield from measure_planes(by)).items())
        places = by.regions(outs["refined"].block_px)
    todo = [BlockTask(task, _parts(outs), block, threshold, axes, figures) for block in places]
    refining = _spread(pool, todo, {"refined": outs["refined"]}, "Refining")
    again = yield from shifted(refining, 1, 1 + _REFINE_SHARE, _REFINE_SHARE)
    return Summary(threshold, counts.positive_fraction, again.positive_fraction, by.backend)


def _parts(outs: Mapping[str, Output]) -> tuple[tuple[str, Path], ...]:
    return tuple((kind, out.path_of_part) for kind, out in outs.items())


def _spread(pool: Pool, todo: Sequence[BlockTask], outs: Mapping[str, Output], message: str) -> Work[Counts]:
    """Do the blocks that `outs` do not hold yet; counts all."""
    counts, missing, ticker = Counts(), [], Ticker(waits=True)
    for task in todo:
        if ticker.due():
            yield Progress(0, 0, "Looking for what is there")
        before = written(outs, task.block, task.threshold)
        if before is None:
            missing.append(task)
        else:
            counts += before
    done = len(todo) - len(missing)
    for found in pool.map(do_block, missing):
        if found is not None:
            task, result = found
            if isinstance(result, Lost):
                raise JobError(f"A block of {task.file.name!r} could not be done. {result.reason}")
            counts, done = counts + result, done + 1
        yield Progress(done, len(todo), message)
    return counts

"""The files of a batch on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

from ..batch import Executor, FileReport, FileTask, is_large, processing, told
from ..core.errors import PuSegmentError
from ..io import probe
from .large import segment_on
from .pool import Lost, Pool


def executor(pool: Pool) -> Executor:
    """What runs the files of a batch on a pool, for `run_batch`: each on one worker, large ones on all of them."""

    def execute(
        function: Callable[[FileTask], FileReport], tasks: Iterable[FileTask]
    ) -> Iterator[tuple[FileTask, FileReport] | str | None]:
        large: list[FileTask] = []
        for found in pool.map(function, _others(pool, tasks, large)):
            if found is None:
                yield None
                continue
            task, result = found
            if isinstance(result, Lost):
                result = FileReport(task.name, "failed", result.reason, task.stem)
            yield task, result
        for task in large:
            yield from _large(pool, task)

    return execute


def _others(pool: Pool, tasks: Iterable[FileTask], large: list[FileTask]) -> Iterator[FileTask]:
    """The tasks whose images are not large; the others are put into a list."""
    for i, task in enumerate(tasks):
        if i == 0 and pool.look_after is None:
            pool.check_paths([task.settings.model, task.settings.folder, task.settings.out])
        try:
            shape = probe(task.path).shape
        except PuSegmentError:  # whoever does it will say why it cannot be done
            shape = ()
        if is_large(shape):
            large.append(task)
        else:
            yield task


def _large(pool: Pool, task: FileTask) -> Iterator[tuple[FileTask, FileReport] | str | None]:
    with closing(told(task, processing(task, partial(segment_on, pool, task)))) as events:
        for event in events:
            yield event if isinstance(event, str) else (task, event)

"""The files of a batch on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from ..batch import Executor, FileReport, FileTask
from .pool import Lost, Pool


def executor(pool: Pool) -> Executor:
    """What runs the files of a batch on a pool, for `run_batch`."""

    def execute(
        function: Callable[[FileTask], FileReport], tasks: Iterable[FileTask]
    ) -> Iterator[tuple[FileTask, FileReport] | None]:
        first, tasks = _peeked(tasks)
        if first is not None and not pool.n_local:
            pool.check_paths([first.settings.model, first.settings.folder, first.settings.out])
        for found in pool.map(function, tasks):
            if found is None:
                yield None
                continue
            task, result = found
            if isinstance(result, Lost):
                result = FileReport(task.name, "failed", result.reason, task.stem)
            yield task, result

    return execute


def _peeked(tasks: Iterable[FileTask]) -> tuple[FileTask | None, Iterable[FileTask]]:
    """The first task, if there is any, and all tasks."""
    rest = iter(tasks)
    first = next(rest, None)
    return first, rest if first is None else chain([first], rest)

"""The batch itself: files one after the other, here or on any executor, and the report at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeAlias

from ..core.errors import OutputError, PuSegmentError
from ..core.progress import Progress, Work
from . import markers
from .page import write_report
from .plans import BatchPlan
from .report import BatchReport
from .settings import FileReport, FileTask, shown
from .work import process, processing

Executor: TypeAlias = Callable[
    [Callable[[FileTask], FileReport], Iterable[FileTask]], Iterator[tuple[FileTask, FileReport] | str | None]
]
"""Applies a function to tasks, anywhere and in any order, and yields each with its report as it ends. Meanwhile it may
yield None, or words about what is being done, so that a batch can be paused or cancelled. Closing the iterator
drops what is left."""


def run_batch(plan: BatchPlan, executor: Executor | None = None) -> Work[BatchReport]:
    """Do all files of a plan, and write ``report.json`` and ``report.html``, also where it is cancelled.

    Parameters
    ----------
    plan : BatchPlan
    executor : Executor, optional
        Default: one file after the other in this process, which also tells what happens to each file.

    Yields
    ------
    Progress
        `step` of `total` files have ended; `preview` is the `FileReport` of a file that has just ended.

    Raises
    ------
    InputError
        If the disk has not enough room, the folder of results cannot be used, or nothing more can be done because a
        disk is full or gone; a later run goes on from there.
    """
    plan.check()
    markers.check_owner(plan.settings, plan.key, plan.tasks)
    with markers.owned(plan.settings, plan.key, plan.model_sha256, plan.tasks):
        start, ended = time.perf_counter(), dict[str, FileReport]()
        try:
            yield from _run(plan, executor, ended)
        except BaseException as error:
            _report_if_possible(plan, ended, start, error)
            raise
        return _report(plan, ended, start)


def _run(plan: BatchPlan, executor: Executor | None, ended: dict[str, FileReport]) -> Work[None]:
    """Fill `ended` with the reports of files, by name."""
    total = len(plan.refused) + len(plan.tasks)
    work = _refused(plan), _one_by_one(plan.tasks) if executor is None else _elsewhere(executor, plan.tasks)
    for reports in work:
        for event in reports:
            if isinstance(event, FileReport):
                ended[event.name] = event
                message = f"{shown(event.name)}: {event.state}"
                yield Progress(len(ended), total, message, preview=event)
                if event.stops:
                    n_left = total - len(ended) + 1
                    raise OutputError(
                        f"{event.reason.rstrip('.')}: the batch stopped with {n_left} file(s) left, and goes on from "
                        "there when it is run again."
                    )
            else:
                yield Progress(len(ended), total, event)


def _refused(plan: BatchPlan) -> Iterator[FileReport | str]:
    yield from plan.refused


def _one_by_one(tasks: Iterable[FileTask]) -> Iterator[FileReport | str]:
    for task in tasks:
        yield from told(task, processing(task))


def told(task: FileTask, work: Work[FileReport]) -> Generator[FileReport | str]:
    """What happens to a file that is being done, in words, and at the end its report."""
    try:
        while True:
            progress = next(work)
            share = f" {100 * progress.step // progress.total} %" if progress.total else ""
            yield f"{shown(task.name)}: {progress.message}{share}"
    except StopIteration as end:
        yield end.value
    finally:
        work.close()


def _elsewhere(executor: Executor, tasks: Iterable[FileTask]) -> Iterator[FileReport | str]:
    running = executor(process, tasks)
    try:
        for event in running:
            yield event[1] if isinstance(event, tuple) else event or "Waiting for the workers"
    finally:
        if hasattr(running, "close"):
            running.close()


def _report(plan: BatchPlan, ended: dict[str, FileReport], start: float, stopped: str = "") -> BatchReport:
    names = [report.name for report in plan.refused] + [task.name for task in plan.tasks]
    files = tuple(ended[name] for name in sorted(names) if name in ended)
    seconds = round(time.perf_counter() - start, 3)
    report = BatchReport(plan, files, len(names) - len(files), seconds, stopped)
    write_report(report)
    return report


def _report_if_possible(plan: BatchPlan, ended: dict[str, FileReport], start: float, error: BaseException) -> None:
    """What was done before it came to an early end; a full disk takes no report."""
    stopped = str(error) if isinstance(error, PuSegmentError) else "Cancelled."
    try:
        _report(plan, ended, start, stopped)
    except (OSError, PuSegmentError):
        return

"""Pool: the workers of a cluster, and how tasks are spread over them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import InputError, JobError
from ..core.progress import Ticker

Task = TypeVar("Task")
Result = TypeVar("Result")

POLL_S = 0.2  # how long one waits for a result before one looks around, and so the delay of a cancel
_CENSUS_S = 2.0  # how often the workers are counted
_HAND_OVER_S = 1.0  # how long a worker may take to hand a result over before one looks around
_GONE = object()
_AHEAD = 2  # tasks in flight for each thread of a worker: one is being done, and one waits for it
PACKAGES = ("napari-pu-segment", "numpy", "torch", "dask", "distributed")  # must be the same everywhere


@dataclass(frozen=True)
class Lost:
    """Instead of a result: the workers that tried a task died.

    Parameters
    ----------
    reason : str
        One sentence.
    """

    reason: str


@dataclass(frozen=True)
class Pool:
    """The workers of a cluster, made by `local` or `remote`.

    Parameters
    ----------
    client : distributed.Client
    look_after : callable, optional
        Called now and then to replace workers that are gone for good: processes of this computer, or jobs of a queue
        (`keep_jobs`). Elsewhere somebody else looks after them.
    patience_s : float
        How long there may be no worker at all.
    """

    client: Any
    look_after: Callable[[], None] | None = None
    patience_s: float = 300.0

    def map(
        self, function: Callable[[Task], Result], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Result | Lost] | None]:
        """Do a function for every task, and yield each task with what came of it, as they end.

        Tasks are taken from their iterable as workers get free, never more than two for each thread of theirs. What a
        worker was doing when it died is done again by another. A task with which workers keep dying is tried once more
        when all others are done, with none beside it that could be the cause, and is `Lost` if they die again.

        Parameters
        ----------
        function : callable
            Of a module, as it is sent by its name.
        tasks : iterable of plain data

        Yields
        ------
        (task, result), or None
            None at least every 0.2 s while nothing comes, so that whoever drives this can report and can cancel:
            `close()` withdraws what was not begun.

        Raises
        ------
        JobError
            If the scheduler is lost, no worker is there for `patience_s`, or one has packages of other versions.
        Exception
            Whatever the function raised.
        """
        suspects = []
        call = partial(_on_worker, function, versions())
        for found in self._run(call, iter(tasks)):
            if found is not None and isinstance(found[1], Lost):
                suspects.append(found[0])
            else:
                yield found
        for task in suspects:
            yield from self._run(call, iter([task]))

    def _run(
        self, call: Callable[[Task], Result], tasks: Iterator[Task]
    ) -> Iterator[tuple[Task, Result | Lost] | None]:
        flying: dict[str, tuple[Any, Task]] = {}
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        ticker, seen_s, room = Ticker(_CENSUS_S), time.monotonic(), 1
        try:
            while True:
                if ticker.due():
                    n_threads = self._census([future for future, _ in flying.values()])
                    seen_s = time.monotonic() if n_threads else seen_s
                    room = max(1, _AHEAD * n_threads)
                if time.monotonic() - seen_s > self.patience_s:
                    raise JobError(
                        f"There was no worker for {self.patience_s:.0f} s. Start workers, then run it again."
                    )
                for task in islice(tasks, max(0, room - len(flying))):
                    future = self.client.submit(call, task, pure=False)
                    flying[future.key] = future, task
                    future.add_done_callback(done.put)
                if not flying:
                    return
                try:
                    key = done.get(timeout=POLL_S).key
                except queue.Empty:
                    yield None
                else:
                    future, task = flying[key]
                    if (result := _result(future)) is _GONE:
                        future.add_done_callback(done.put)
                        yield None
                    else:
                        del flying[key]
                        yield task, result
        finally:
            with suppress(Exception):  # of a connection that is gone; there is nothing to withdraw then
                self.client.cancel([future for future, _ in flying.values()])

    def _census(self, futures: list[Any]) -> int:
        """Number of threads of all workers."""
        if self.client.status != "running" or any(future.status == "cancelled" for future in futures):
            raise _scheduler_lost()
        try:
            if self.look_after is not None:
                self.look_after()
            return sum(self.client.nthreads().values())
        except (OSError, ValueError, AttributeError, RuntimeError) as error:  # what Dask says if it was lost just now
            raise _scheduler_lost() from error

    def check_paths(self, paths: Iterable[Path]) -> None:
        """Refuse paths that a worker does not see.

        Raises
        ------
        InputError
            Which names a path and a worker.
        """
        found = self.client.run(_missing, [str(path) for path in paths])
        for worker, missing in sorted(found.items()):
            if missing:
                raise InputError(
                    f"The worker {worker} does not find {missing[0]!r}. Images, model and outputs must lie on a disk "
                    "that all workers share, under the same path."
                )


def _missing(paths: list[str]) -> list[str]:
    return [path for path in paths if not Path(path).exists()]


def _scheduler_lost() -> JobError:
    return JobError("The connection to the scheduler was lost. What is finished is kept; run it again to go on.")


def _result(future: Any) -> Any:
    """What a future holds; `_GONE` where its worker died before it could hand it over, and it is being done again."""
    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    try:
        return future.result(timeout=_HAND_OVER_S)
    except KilledWorker:
        return Lost("Every worker that tried it ended unexpectedly: memory may have run out, or a library crashed.")
    except TimeoutError:
        if future.status == "error":  # it is the function's own
            raise
        return _GONE
    except CancelledError as error:
        raise _scheduler_lost() from error


def _on_worker(function: Callable[[Task], Result], wanted: Mapping[str, str], task: Task) -> Result:
    compare(wanted, {"a worker": versions()})
    return function(task)


@cache
def versions() -> dict[str, str]:
    """Versions, in this process, of the packages that must be the same in all."""
    return {package: version(package) for package in PACKAGES}


def compare(wanted: Mapping[str, str], others: Mapping[str, Mapping[str, str | None]]) -> None:
    """Refuse versions that differ from those wanted.

    Parameters
    ----------
    wanted : mapping of str to str
        By package.
    others : mapping of str to (mapping of str to str or None)
        By where they were found, then by package.

    Raises
    ------
    JobError
        Which names a package and a place.
    """
    for where, found in others.items():
        for package, own in wanted.items():
            if found.get(package) != own:
                raise JobError(
                    f"{package} is {own} here, but {found.get(package) or 'missing'} at {where}. Install the same "
                    "versions everywhere: results depend on them."
                )

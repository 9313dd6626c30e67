"""Background jobs: the one home of threads. A job drives one generator of long work and tells the main thread."""

from __future__ import annotations

import atexit
import gc
import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_pu_segment.core.errors import JobError, OutOfMemoryError, PuSegmentError, is_out_of_memory
from napari_pu_segment.core.progress import Progress, Ticker, Work

LOG = logging.getLogger(__name__)
JOIN_S = 1.5  # how long closing a window may wait for a job to let go
NICER = 5  # a third of the viewer's share of a processor that both want
Kind: TypeAlias = Literal["main", "yielding", "beside"]
_IDS = itertools.count(1)

# When a process ends, Python looks through all objects for garbage, which with napari and torch takes two seconds of
# computing (measured; 0.2 s like this). The system takes the memory back anyway.
atexit.register(gc.freeze)


class _Phase(NamedTuple):
    """A stretch of work with one total: its first and latest step, and when it began."""

    total: int
    first: int
    step: int
    since_s: float


class Job(QObject):
    """One generator of long work, driven in a daemon thread of its own.

    All signals are emitted on the thread that made the job (the main thread). Exactly one of `returned`, `failed` and
    `cancelled` is emitted, and then `finished`, and nothing after that: what a cancelled job still says is stale.

    Parameters
    ----------
    work : generator of Progress
        It is only ever run by the job's thread. Cancelling closes it, so that its `finally` blocks run there.
    title : str
        What is being done, for messages: "Training".
    kind : {"main", "yielding", "beside"}
        How it gets on with other jobs, see `JobRunner.start`.

    Attributes
    ----------
    id : int
        Different for every job of this process.
    progress : Signal(Progress)
    returned : Signal(object)
        The generator's result.
    failed : Signal(PuSegmentError)
    cancelled, finished : Signal()
    """

    progress = Signal(object)
    returned = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    finished = Signal()
    _posted = Signal(str, object)

    def __init__(self, work: Work[Any], title: str, kind: Kind = "main") -> None:
        super().__init__()
        self.id = next(_IDS)
        self.title = title
        self.kind = kind
        self._work = work
        self._stop = threading.Event()
        self._over = False
        self._phase = _Phase(0, 0, 0, 0.0)
        self._thread = threading.Thread(target=self._drive, name=f"pu-segment job {self.id}", daemon=True)
        # The thread only ever emits `_posted`; the queue carries it over to the main thread, in order.
        self._posted.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def running(self) -> bool:
        """Whether the job has begun and neither ended nor been cancelled to the end."""
        return self._thread.ident is not None and not self._over

    @property
    def alive(self) -> bool:
        """Whether its thread still runs; a cancelled job's may, until it comes to the generator's next yield."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    def cancel(self) -> None:
        """End the job now, as far as anybody can see; its thread stops at the generator's next yield."""
        self._stop.set()
        if self.running:
            self._deliver("cancelled", None)

    def join(self, timeout_s: float = JOIN_S) -> bool:
        """Cancel, and wait for the thread; True if it has ended within `timeout_s` seconds."""
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self.alive

    def remaining_s(self, progress: Progress) -> float | None:
        """Seconds until the present phase (features, training, prediction ...) is done, or None while unknown."""
        phase, now = self._phase, time.monotonic()
        if progress.total != phase.total or progress.step < phase.step:
            phase = _Phase(progress.total, progress.step, progress.step, now)
        self._phase = phase._replace(step=progress.step)
        if progress.total <= 0 or progress.step <= phase.first:
            return None
        return (now - phase.since_s) / (progress.step - phase.first) * max(0, progress.total - progress.step)

    def _drive(self) -> None:
        _give_way()
        ticker = Ticker(0.05)  # a generator that yields without end must not flood the event loop
        try:
            while not self._stop.is_set():
                report = next(self._work)
                if report.preview is not None or ticker.due():
                    self._post("progress", report)
            self._work.close()
            self._post("cancelled", None)
        except StopIteration as end:
            self._post("returned", end.value)
        except BaseException as error:
            if not isinstance(error, PuSegmentError):
                # What fails while it is told to stop concerns nobody: the process may be about to end.
                level = logging.DEBUG if self._stop.is_set() else logging.ERROR
                LOG.log(level, "%s failed", self.title, exc_info=True)
            self._post("failed", as_ours(error, self.title))

    def _post(self, what: str, value: object) -> None:
        try:
            self._posted.emit(what, value)
        except RuntimeError:  # the Qt side is gone: the application is shutting down
            LOG.debug("nobody is left to hear that job %d %s", self.id, what)

    def _deliver(self, what: str, value: object) -> None:
        if self._over:
            return
        if what == "progress":
            self.progress.emit(value)
            return
        self._over = True
        if what == "cancelled":
            self.cancelled.emit()
        else:
            getattr(self, what).emit(value)
        self.finished.emit()


def _give_way() -> None:
    """Where processors are short, let the viewer go before the calling thread: to draw, and to take strokes.

    Linux has a priority of each thread, and hands it on to the threads and processes that this one starts. Elsewhere
    nothing happens.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, os.nice(0) + NICER))


class JobRunner:
    """At most one main job at a time, lesser ones beside it, and the promise that none outlives its window.

    It is no Qt object, so that it can still be closed while Qt tears the window down.
    """

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    @property
    def current(self) -> Job | None:
        """The running job, or None; those beside it do not count."""
        return next((job for job in self._jobs if job.running and job.kind != "beside"), None)

    @property
    def busy(self) -> bool:
        """Whether a job runs that others must wait for."""
        return self.current is not None and self.current.kind == "main"

    def give_way(self) -> None:
        """Cancel the running job if it is a yielding one."""
        if self.current is not None and self.current.kind == "yielding":
            self.current.cancel()

    def start(self, work: Work[Any], title: str, connect: Callable[[Job], None], kind: Kind = "main") -> Job:
        """Start a job.

        Parameters
        ----------
        work : generator of Progress
        title : str
        connect : callable
            Called with the job before it starts, to connect its signals.
        kind : {"main", "yielding", "beside"}
            A main job must end or be cancelled before another one, and a yielding one gives way. A job beside these
            runs at the same time; an older one beside them with the same title is cancelled.

        Raises
        ------
        JobError
            If a main job is running.
        """
        if kind == "beside":
            for old in self._jobs:
                if old.kind == kind and old.title == title:
                    old.cancel()
        elif self.busy and self.current is not None:
            raise JobError(f"{self.current.title} is still running. Wait for it, or cancel it first.")
        else:
            self.give_way()
        job = Job(work, title, kind)
        # A cancelled job whose thread is still inside one long step stays listed, so that `close` waits for it too; and
        # one whose thread has ended but whose result still waits in the queue, else nobody would hold it until then.
        self._jobs = [*(old for old in self._jobs if old.alive or old.running), job]
        connect(job)
        job.start()
        return job

    def close(self) -> bool:
        """Cancel everything and wait, `JOIN_S` at most in all; True if no thread is left."""
        deadline = time.monotonic() + JOIN_S
        for job in self._jobs:
            job.cancel()
        ended = [job.join(max(0.0, deadline - time.monotonic())) for job in self._jobs]
        if not all(ended):
            LOG.warning("a job did not stop in time")
        return all(ended)


def as_ours(error: BaseException, title: str) -> PuSegmentError:
    """An error that can be shown in one sentence.

    Parameters
    ----------
    error : exception
        Errors of this package are returned as they are; the ways in which numpy, torch on the CPU and torch on a GPU
        run out of memory become `OutOfMemoryError`; all others become `JobError`, with the original as cause.
    title : str
        What was being done.
    """
    if isinstance(error, PuSegmentError):
        return error
    text = " ".join(str(error).split()) or "no details"
    if is_out_of_memory(error):
        ours: PuSegmentError = OutOfMemoryError(
            f"{title} ran out of memory. Close other programs, or use a smaller image or network."
        )
    else:
        ours = JobError(f"{title} failed unexpectedly ({type(error).__name__}: {text[:200]}). The log has the details.")
    ours.__cause__ = error
    return ours

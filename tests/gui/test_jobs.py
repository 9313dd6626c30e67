"""Jobs: every way in which one can end, and that nothing is heard of it afterwards."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.errors import InputError, JobError, OutOfMemoryError
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.gui import jobs
from napari_pu_segment.gui.jobs import Job, JobRunner, as_ours
from tests.patience import SOON_S

MAIN = threading.main_thread()


class Listener:
    """Hears all that a job says, in order, and on which thread."""

    def __init__(self, job):
        self.heard, self.threads = [], set()
        for name in ("progress", "returned", "failed"):
            getattr(job, name).connect(lambda value, name=name: self._hear(name, value))
        for name in ("cancelled", "finished"):
            getattr(job, name).connect(lambda name=name: self._hear(name, None))

    def _hear(self, name, value):
        self.heard.append((name, value))
        self.threads.add(threading.current_thread())

    @property
    def names(self):
        return [name for name, _ in self.heard]


def count_to(n, pause_s=0.01, closed=None):
    try:
        for i in range(n):
            time.sleep(pause_s)
            yield Progress(i + 1, n, "Counting")
        return n
    finally:
        if closed is not None:
            closed.append(threading.current_thread())


def failing(error):
    yield Progress(1, 2, "Failing")
    raise error


def test_a_result_comes_back_on_the_main_thread(qtbot):
    worker = []
    job = Job(count_to(20, closed=worker), "Counting")
    listener = Listener(job)
    assert not job.running
    assert listener.heard == []
    with qtbot.waitSignal(job.finished):
        job.start()
        assert job.running
    assert listener.names[0] == "progress"
    assert listener.heard[-2:] == [("returned", 20), ("finished", None)]
    assert listener.threads == {MAIN}
    assert worker[0] is not MAIN
    assert not job.running


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (RuntimeError("shapes differ"), JobError),
        (ZeroDivisionError("division"), JobError),
        (StopAsyncIteration(), JobError),
        (MemoryError(), OutOfMemoryError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), OutOfMemoryError),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemoryError),
        (InputError("The image is empty."), InputError),
    ],
)
def test_no_error_is_swallowed(qtbot, error, ours):
    job = Job(failing(error), "Training")
    listener = Listener(job)
    with qtbot.waitSignal(job.finished):
        job.start()
    assert listener.names[-2:] == ["failed", "finished"]
    assert "returned" not in listener.names
    failure = dict(listener.heard)["failed"]
    assert type(failure) is ours
    assert failure is error or failure.__cause__ is error
    assert "\n" not in str(failure)


def test_an_unforeseen_error_names_its_type_and_is_logged(qtbot, caplog):
    job = Job(failing(RuntimeError("odd\nthing")), "Training")
    with qtbot.waitSignal(job.failed) as caught:
        job.start()
    assert "RuntimeError: odd thing" in str(caught.args[0])
    assert any(record.exc_info for record in caplog.records)


def test_cancel_closes_the_generator_within_a_second(qtbot):
    closed = []
    job = Job(count_to(100_000, closed=closed), "Counting")
    listener = Listener(job)
    with qtbot.waitSignal(job.progress):
        job.start()
    assert closed == []
    begin = time.monotonic()
    with qtbot.waitSignal(job.finished):
        job.cancel()
    assert job.join(SOON_S)
    assert time.monotonic() - begin < SOON_S
    assert listener.names[-2:] == ["cancelled", "finished"]
    assert closed[0] is not MAIN
    assert closed[0] is not None


def test_what_a_cancelled_job_still_says_is_stale(qtbot):
    release = threading.Event()

    def stubborn():
        yield Progress(1, 2, "Begun")
        release.wait(60)
        return "late"

    job = Job(stubborn(), "Waiting")
    listener = Listener(job)
    with qtbot.waitSignal(job.progress):
        job.start()
    job.cancel()
    before = list(listener.names)
    assert before[-2:] == ["cancelled", "finished"]
    release.set()
    assert job.join(60)
    qtbot.wait(20)  # the late result is in the queue; let it be delivered
    assert listener.names == before


def test_a_generator_without_pause_does_not_flood_the_event_loop(qtbot):
    job = Job(count_to(50_000, pause_s=0), "Counting")
    listener = Listener(job)
    with qtbot.waitSignal(job.finished):
        job.start()
    assert listener.heard[-2][0] == "returned"
    assert len(listener.heard) < 1000


def test_remaining_time_counts_within_a_phase(qtbot):
    job = Job(count_to(1), "Counting")
    assert job.remaining_s(Progress(0, 10, "features")) is None
    time.sleep(0.05)
    first = job.remaining_s(Progress(5, 10, "features"))
    assert first is not None
    assert 0.03 < first < 20
    assert job.remaining_s(Progress(1, 100, "training")) is None  # a new phase: nothing is known yet
    assert job.remaining_s(Progress(1, 0, "no total")) is None


def test_one_job_at_a_time(qtbot):
    runner = JobRunner()
    assert runner.current is None
    job = runner.start(count_to(100_000), "Training", lambda job: None)
    assert runner.current is job
    with pytest.raises(JobError, match="Training is still running"):
        runner.start(count_to(1), "Prediction", lambda job: None)
    job.cancel()
    assert runner.current is None
    second = runner.start(count_to(2), "Prediction", lambda job: None)
    assert second.id != job.id
    qtbot.waitUntil(lambda: runner.current is None)
    assert runner.close()


def test_a_result_in_the_queue_is_not_lost_when_another_job_starts(qtbot):
    runner, heard = JobRunner(), []

    def connect(job):
        job.returned.connect(heard.append)

    runner.start(count_to(1), "Counting", connect)
    deadline = time.monotonic() + 60
    while any(thread.name.startswith("pu-segment job") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.005)  # without the event loop: the thread has ended, and its result waits in the queue
    assert heard == []
    runner.start(count_to(2), "Beside", connect, "beside")
    gc.collect()
    qtbot.waitUntil(lambda: len(heard) == 2)
    assert sorted(heard) == [1, 2]


def test_closing_waits_a_bounded_time(qtbot):
    runner, inside, release = JobRunner(), threading.Event(), threading.Event()

    def stubborn():
        yield Progress(1, 2, "Begun")
        inside.set()
        release.wait(60)

    runner.start(stubborn(), "Waiting", lambda job: None)
    assert inside.wait(60)  # in the middle of a step, where no stop is seen
    begin = time.monotonic()
    assert not runner.close()
    assert 1.0 < time.monotonic() - begin < SOON_S
    release.set()
    assert runner.close()


def test_as_ours_keeps_our_errors():
    error = InputError("The image is empty.")
    assert as_ours(error, "Training") is error


def test_a_process_ends_cleanly_with_a_job_running():
    script = """
import time
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.gui import jobs
from napari_pu_segment.gui.jobs import JobRunner
def endless():
    while True:
        time.sleep(0.02)
        yield Progress(0, 0, "")
app, runner = QApplication([]), JobRunner()
runner.start(endless(), "Training", lambda job: None)
app.aboutToQuit.connect(runner.close)
QTimer.singleShot(200, app.quit)
app.exec()
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority of each thread")
def test_a_job_lets_the_viewer_go_first(qtbot):
    def work():
        yield Progress(0, 1, "it")
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before, job = os.getpriority(os.PRIO_PROCESS, 0), Job(work(), "it")
    with qtbot.waitSignal(job.returned) as blocker:
        job.start()
    assert blocker.args == [min(19, before + jobs.NICER)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before < 19

"""The pool of workers: order, threads, death, poison, cancel, sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest

from napari_pu_segment.cluster import Lost, Pool, jobs, local, workers
from napari_pu_segment.core.errors import InputError, JobError
from tests import cluster_work
from tests.patience import SOON_S

pytest.importorskip("distributed")
N_WORKERS = 2


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with local(N_WORKERS) as pool:
        yield pool


def results(pool: Pool, function, tasks) -> dict:
    return dict(found for found in pool.map(function, tasks) if found is not None)


def worker_ids() -> set[int]:
    """Living worker processes of this one."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and any("spawn_main" in part for part in child.cmdline()):
                found.add(child.pid)
    return found


def test_every_task_is_done_once_by_both_workers_with_fixed_threads(pool):
    assert results(pool, cluster_work.square, range(50)) == {n: n * n for n in range(50)}
    seen = results(pool, cluster_work.who, range(20)).values()
    assert len({process for process, _ in seen}) == N_WORKERS
    assert {process for process, _ in seen} == worker_ids()


def test_no_tasks_no_work(pool):
    assert list(pool.map(cluster_work.square, [])) == []


def test_tasks_are_taken_as_workers_get_free(pool):
    taken = []

    def tasks():
        for number in range(200):
            taken.append(number)
            yield number

    for done, found in enumerate(found for found in pool.map(cluster_work.square, tasks()) if found):
        assert found[1] == found[0] ** 2
        assert len(taken) <= done + 1 + 2 * N_WORKERS
    assert len(taken) == 200


def test_nothing_listens_beyond_the_loopback_and_nobody_else_is_let_in(pool):
    here = {os.getpid(), *worker_ids()}
    sockets = [(pid, c.laddr) for pid in here for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"]
    assert {pid for pid, _ in sockets} == here, "every process listens somewhere"
    assert {address.ip for _, address in sockets} == {"127.0.0.1"}
    assert pool.client.scheduler.address.startswith("tls://127.0.0.1:")


def test_what_a_function_raises_is_raised(pool):
    with pytest.raises(InputError, match="Number 3 cannot be used"):
        list(pool.map(cluster_work.refuse, [3]))
    assert results(pool, cluster_work.square, [4]) == {4: 16}, "the pool works on"


def test_a_killed_worker_costs_what_it_had_in_hand_at_most(pool, tmp_path):
    tasks = [(str(tmp_path), number, 0.2) for number in range(16)]
    before, killed, found = set(pool.client.run(os.getpid).values()), [], []
    assert len(before) == N_WORKERS
    for moment in pool.map(cluster_work.log, tasks):
        found += [moment[1]] if moment else []
        if len(found) == 2 and not killed:
            killed.append(min(before))
            os.kill(killed[-1], signal.SIGKILL)
    assert sorted(found) == list(range(16))
    times = [len((tmp_path / str(number)).read_text()) for number in range(16)]
    assert 16 <= sum(times) <= 18, "what it did, and what it had done but not handed over, is done again"
    assert killed
    assert not set(killed) & worker_ids()


def test_a_task_that_kills_its_workers_is_lost_and_no_other_is(pool, tmp_path):
    tasks = [(str(tmp_path), number, 0.05) for number in range(20)]
    found = results(pool, cluster_work.die_of_13, tasks)
    lost = [task[1] for task, result in found.items() if isinstance(result, Lost)]
    assert lost == [13]
    assert "ended unexpectedly" in found[tasks[13]].reason
    assert sorted(result for result in found.values() if isinstance(result, int)) == [n for n in range(20) if n != 13]
    assert (tmp_path / "13").read_text() == "xxxx", "twice beside others, twice alone"


def test_closing_withdraws_what_was_not_begun(pool, tmp_path):
    work = pool.map(cluster_work.log, ((str(tmp_path), number, 0.3) for number in range(100)))
    while next(work) is None:
        pass
    start = time.monotonic()
    work.close()
    assert time.monotonic() - start < SOON_S
    results(pool, cluster_work.square, range(8))
    begun = len(list(tmp_path.iterdir()))
    time.sleep(1)
    assert 1 <= begun == len(list(tmp_path.iterdir())) < 10


def test_leaving_kills_the_workers_in_the_middle_of_their_work(tmp_path):
    with local(1) as pool:
        (mine,) = pool.client.run(os.getpid).values()
        work = pool.map(cluster_work.log, [(str(tmp_path), 0, 60.0)])
        while not list(tmp_path.iterdir()):
            next(work)
        start = time.monotonic()
    assert time.monotonic() - start < SOON_S
    assert mine not in worker_ids()


@pytest.fixture
def idle() -> Iterator[Pool]:
    """A pool of a scheduler without workers."""
    import distributed

    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield Pool(client, patience_s=1)


def test_without_any_worker_it_gives_up(idle):
    with pytest.raises(JobError, match="There was no worker for 1 s"):
        list(idle.map(cluster_work.square, [3]))


def test_a_scheduler_that_goes_is_told(idle):
    work = Pool(idle.client).map(cluster_work.square, [3])
    assert next(work) is None
    idle.client.cluster.close()
    with pytest.raises(JobError, match="connection to the scheduler was lost"):
        list(work)


def test_a_worker_that_is_not_started_again_is_replaced(monkeypatch):
    with local(1) as pool:
        (before,) = pool.client.run(os.getpid).values()
        (nanny,) = pool.look_after.__self__._nannies
        nanny.close_gracefully()  # it stands still from now on, as one does now and then whose worker dies as it starts
        os.kill(before, signal.SIGKILL)
        with monkeypatch.context() as patch:
            patch.setattr(workers, "_MISSING_S", 0.0)
            work = pool.map(cluster_work.square, [3])
            while nanny in pool.look_after.__self__._nannies:
                next(work)
        assert list(filter(None, work)) == [(3, 9)]
        (after,) = pool.client.run(os.getpid).values()
        assert after != before


@pytest.mark.parametrize("n_workers", [0, -1])
def test_a_number_of_workers_that_cannot_be(n_workers):
    with pytest.raises(InputError, match="at least 1"), local(n_workers):
        pass


def test_jobs_that_ended_are_asked_for_again_and_no_others(tmp_path, monkeypatch):
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 1\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    told = []

    class Cluster:
        def __init__(self):
            self.workers = {"a": SimpleNamespace(job_id="1")}

        async def scale_down(self, names):
            told.append(names)

        def scale(self, jobs):
            told.append(jobs)

    cluster, real = Cluster(), asyncio.create_subprocess_exec

    async def meanwhile(*command, **how):
        cluster.workers["just asked for"] = SimpleNamespace(job_id="2")
        return await real(*command, **how)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", meanwhile)
    asyncio.run(jobs._renew(cluster, 3))
    assert told == []
    asyncio.run(jobs._renew(cluster, 3))
    assert told == [["just asked for"], 3]
    (tmp_path / "squeue").write_text("#!/bin/sh\nexit 1\n")
    asyncio.run(jobs._renew(cluster, 3))
    assert len(told) == 2, "SLURM did not answer"

"""The jobs of a queueing system that hold workers, and what keeps their number up."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..core.errors import JobError
from ..core.progress import Ticker


def keep_jobs(cluster: Any, n_jobs: int, every_s: float = 60.0) -> Callable[[], None]:
    """Ask SLURM for jobs with workers, and again for each that ended, as `Pool` looks after its workers.

    dask-jobqueue does not: when a job's walltime is over, a node fails, or workers could not start, there is one job
    less for good.

    Parameters
    ----------
    cluster : dask_jobqueue.SLURMCluster
    n_jobs : int
    every_s : float
        How often SLURM is asked which jobs there are.

    Returns
    -------
    callable
        To be the `look_after` of a `Pool`.

    Raises
    ------
    JobError
        Later, by what is returned: if SLURM's ``squeue`` cannot be run.
    """
    cluster.scale(jobs=n_jobs)
    ticker, asked = Ticker(every_s, waits=True), list[Future[None]]()

    def look_after() -> None:
        if asked and asked[0].done():
            try:
                asked.pop().result()
            except OSError as error:
                raise JobError(f"SLURM could not be asked for its jobs, by squeue: {error}.") from error
        if not asked and ticker.due():
            asked.append(asyncio.run_coroutine_threadsafe(_renew(cluster, n_jobs), cluster.loop.asyncio_loop))

    return look_after


async def _renew(cluster: Any, n_jobs: int) -> None:
    known = {name: job.job_id for name, job in cluster.workers.items()}  # one that comes meanwhile is not listed yet
    command = ["squeue", "--noheader", "--format=%A", f"--user={getpass.getuser()}"]
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    squeue = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=none)
    there = (await squeue.communicate())[0].decode().split()
    if squeue.returncode:  # SLURM is busy, or starts anew: the next time will tell
        return
    ended = [name for name, job in known.items() if job not in there]
    if ended:
        await cluster.scale_down(ended)
        cluster.scale(jobs=n_jobs)

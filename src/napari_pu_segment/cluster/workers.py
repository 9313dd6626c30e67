"""Worker processes of this computer, and what keeps their number up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent import futures
from contextlib import suppress
from typing import Any

_START_S = 300.0
_MISSING_S = 60.0  # a busy computer has needed 40 s to start a worker
_CLOSE_S = 2.0


class Workers:
    """So many worker processes of this computer, each with a nanny (a thread's worth of this process) that starts it.

    A nanny starts its worker again when that dies, but may stand still for ever if it dies while it starts. One whose
    worker was missing for long is then given up, and another takes its place.

    Parameters
    ----------
    cluster : distributed.LocalCluster
        A scheduler without workers.
    n_workers : int
    folder : str
        For temporary files.
    config : mapping
        Of Dask, for the workers.
    """

    def __init__(self, cluster: Any, n_workers: int, folder: str, config: Mapping[str, Any]) -> None:
        self._cluster, self._n_workers, self._folder, self._config = cluster, n_workers, folder, config
        self._nannies: dict[Any, float] = {}  # and when the worker of each was seen last
        self._given_up: list[Any] = []

    def start(self) -> None:
        """Start all, and wait for them.

        Raises
        ------
        RuntimeError
            If one cannot be started.
        """
        starting = [self._call(self._one_more()) for _ in range(self._n_workers)]
        for future in starting:
            future.result(_START_S)

    def look_after(self) -> None:
        """Replace workers that were missing for long; to be called now and then."""
        present, now = set(self._cluster.scheduler.workers), time.monotonic()
        for nanny, seen_s in list(self._nannies.items()):
            if nanny.worker_address in present:
                self._nannies[nanny] = now
            elif now - seen_s > _MISSING_S:
                del self._nannies[nanny]
                self._given_up.append(nanny)
                _kill(nanny)
                self._call(self._one_more())

    def end(self) -> None:
        """Kill all at once, whatever they are doing."""
        nannies = [*self._nannies, *self._given_up]
        for nanny in nannies:
            _kill(nanny)
        with suppress(TimeoutError, futures.CancelledError):
            self._call(_close(nannies)).result(2 * _CLOSE_S)
        for nanny in nannies:  # that were just starting one
            _kill(nanny)

    def _call(self, work: Any) -> futures.Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._cluster.loop.asyncio_loop)

    async def _one_more(self) -> None:
        import dask
        from distributed import Nanny

        with dask.config.set(self._config):
            nanny = Nanny(
                self._cluster.scheduler_address,
                nthreads=1,
                host="127.0.0.1",
                protocol="tls://",
                security=self._cluster.security,
                memory_limit=0,  # else a worker that is near its share pauses, for ever if it stays there
                local_directory=self._folder,
                dashboard=False,
                silence_logs=logging.CRITICAL,
            )
        self._nannies[nanny] = time.monotonic()
        await nanny


def _kill(nanny: Any) -> None:
    import psutil

    nanny.close_gracefully()  # it starts no other worker now
    with suppress(psutil.NoSuchProcess):
        if nanny.pid:
            psutil.Process(nanny.pid).kill()


async def _close(nannies: list[Any]) -> None:
    if nannies:
        await asyncio.wait([asyncio.ensure_future(nanny.close(timeout=1)) for nanny in nannies], timeout=_CLOSE_S)

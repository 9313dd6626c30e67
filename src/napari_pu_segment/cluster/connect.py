"""Where the workers come from: processes of this computer, or a scheduler elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core.compute.temporary import TemporaryFolder
from ..core.errors import InputError, JobError
from .pool import PACKAGES, Pool, compare, versions
from .workers import Workers

_CONNECT_S = 30.0
_LOCAL = {
    # A connection within one computer is not slow but starved: by other programs, or a computer put to sleep.
    "distributed.comm.timeouts.tcp": "300s",
    # Deaths of workers over one task that are put down to chance; at 0, an innocent task beside it would be blamed.
    "distributed.scheduler.allowed-failures": 1,
    # The web servers of scheduler and workers cannot be turned off; without pages they answer nothing.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # What Dask measures of itself cost 7 % of a core with two idle workers; without, 1 %.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.diagnostics.nvml": False,
    # With Dask's 64 kB every large array is given back to the system at once, and fetched and zeroed again.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}


def _distributed() -> Any:
    missing = [name for name in ("distributed", "cryptography") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"A cluster needs the package {missing[0]}, which is not installed. "
            'Run: pip install "napari-pu-segment[cluster]"'
        )
    import distributed

    # else it may print a traceback, as information, when a connection closes while something was to be sent
    logging.getLogger("distributed.batched").setLevel(logging.CRITICAL)
    return distributed


@contextmanager
def local(n_workers: int) -> Iterator[Pool]:
    """Worker processes of this computer, for as long as the context lasts; at its end they are killed.

    They and their scheduler listen on the loopback address, and talk by TLS with certificates made for this run alone.

    Parameters
    ----------
    n_workers : int
        At least 1.

    Raises
    ------
    InputError
        If the extra `cluster` is not installed, or `n_workers` is less than 1.
    JobError
        If the workers cannot be started.
    """
    if n_workers < 1:
        raise InputError(f"{n_workers} workers cannot be. Give at least 1.")
    distributed = _distributed()
    import dask

    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryFolder())
        try:
            with dask.config.set(_LOCAL):
                cluster = distributed.LocalCluster(
                    n_workers=0,
                    processes=True,
                    host="127.0.0.1",
                    security=True,
                    dashboard_address="127.0.0.1:0",  # None would take port 8787
                    scheduler_kwargs={"dashboard": False},
                    silence_logs=logging.CRITICAL,
                )
            stack.callback(cluster.close)
            workers = Workers(cluster, n_workers, str(folder), _LOCAL)
            stack.callback(workers.end)
            workers.start()
        except (RuntimeError, OSError) as error:  # a TimeoutError is one of these
            reason = str(error).rstrip(".") or "it took too long"
            raise JobError(f"{n_workers} worker processes could not be started: {reason}.") from error
        client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        yield Pool(client, workers.look_after)


@contextmanager
def remote(
    address: str,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    ca: Path | None = None,
    insecure: bool = False,
) -> Iterator[Pool]:
    """The workers of a scheduler elsewhere.

    Parameters
    ----------
    address : str
        ``tls://HOST:PORT``.
    certificate, key, ca : path, optional
        Files (PEM) of the certificate that the scheduler wants to see, of its key, and of the authority that signed the
        scheduler's; else those of the configuration of Dask. The key may stand in the file of the certificate.
    insecure : bool
        Also allow ``tcp://``, which anybody on the way can read, change and use to run programs on the workers.

    Raises
    ------
    InputError
        If the address or the certificates cannot be used, the scheduler cannot be reached or refuses the certificate.
    JobError
        If versions of packages differ there.
    """
    distributed = _distributed()
    security = _security(address, {"tls_client_cert": certificate, "tls_client_key": key, "tls_ca_file": ca}, insecure)
    try:
        client = distributed.Client(address, security=security, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"The scheduler {address!r} cannot be reached: {error}. Is it running, and are the certificates its own?"
        ) from error
    with client:
        _check_versions(client)
        yield Pool(client)


def _security(address: str, files: Mapping[str, Path | None], insecure: bool) -> Any:
    security: Any = _distributed().Security
    protocol, _, place = address.partition("://")
    if protocol not in {"tls", "tcp"} or not place:
        raise InputError(f"The scheduler {address!r} cannot be used. Give its address as tls://HOST:PORT.")
    if protocol == "tcp":
        if not insecure:
            raise InputError(
                f"The scheduler {address!r} is not encrypted: whoever can reach it can run programs on its workers. "
                "Use tls:// with certificates, or allow it by --insecure."
            )
        return security(require_encryption=False)
    for path in files.values():
        if path is not None and not path.is_file():
            raise InputError(f"The certificate or key {str(path)!r} is not a file.")
    given = {name: str(path) for name, path in files.items() if path is not None}
    credentials = security(require_encryption=True, **given)
    if not (credentials.tls_client_cert and credentials.tls_ca_file):
        raise InputError(
            "A scheduler at tls:// needs --certificate, --key and --ca, or these in the configuration of Dask."
        )
    return credentials


def _check_versions(client: Any) -> None:
    found = client.get_versions(packages=PACKAGES)
    where = {f"the worker {name}": packages for name, packages in found["workers"].items()}
    others = {"the scheduler": found["scheduler"], **where}
    compare(versions(), {name: node["packages"] for name, node in others.items()})

"""The workers of a Dask cluster: processes of this computer, or those of a scheduler elsewhere.

Whoever may talk to a scheduler or a worker can make it run anything, as Dask sends Python objects. So every connection
is encrypted, and both of its ends show a certificate: one that is made for this run alone where the workers are
processes of this computer, which listen on the loopback address only; the user's own where they are not.
"""

from .connect import local, remote
from .files import executor
from .jobs import keep_jobs
from .pool import Lost, Pool

__all__ = ["Lost", "Pool", "executor", "keep_jobs", "local", "remote"]

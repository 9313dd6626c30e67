"""Where torch runs: device and threads, chosen on purpose."""

from __future__ import annotations

import os
from contextvars import ContextVar

import torch

from ..errors import InputError

DEVICES = {"auto": "Automatic", "cpu": "Processor", "cuda": "NVIDIA GPU", "mps": "Apple GPU"}

_fixed: ContextVar[int] = ContextVar("fixed", default=0)  # of each thread: a batch may run beside a training


def choose_device(name: str = "auto") -> torch.device:
    """The device of a row of `DEVICES`; automatic is CUDA, else MPS, else CPU.

    Raises
    ------
    InputError
        If that device is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device in there if there[device])
    if not there.get(name, False):
        raise InputError(f"There is no device {name!r} on this computer. Choose one of: auto, {_names(there)}.")
    return torch.device(name)


def _names(there: dict[str, bool]) -> str:
    return ", ".join(name for name in there if there[name])


def fix_threads(n_threads: int) -> None:
    """From now on, torch uses so many threads for what this thread does, whatever settings and models say; 0 ends that.

    For processes that share a computer, and results that are to be the same wherever they are made: the last bits of a
    prediction depend on the number of threads.
    """
    _fixed.set(n_threads)


def thread_count(n_threads: int = 0) -> int:
    """The thread count that a setting means: 0 is one less than the cores this process may use, at least 1.

    Torch's default, all cores, spins at its barriers: beside a busy viewer it ran 7 to 40 times slower. What
    `fix_threads` was given counts more.
    """
    if _fixed.get():
        return _fixed.get()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return n_threads or max(1, cores - 1)


def set_threads(n_threads: int = 0) -> int:
    """Set torch's thread count, and return it; see `thread_count`."""
    wanted = thread_count(n_threads)
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
    return wanted

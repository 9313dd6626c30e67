"""Work for the tests of clusters: workers find it by its name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch

from napari_pu_segment.batch import FileReport, FileTask
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.errors import InputError


def square(number: int) -> int:
    return number * number


def who(_: int) -> tuple[int, int]:
    """The process, and the threads of torch that a prediction would use there."""
    time.sleep(0.05)
    set_threads(7)
    return os.getpid(), torch.get_num_threads()


def log(task: tuple[str, int, float]) -> int:
    """Append a number to a file of its own, then take a while."""
    folder, number, seconds = task
    with open(Path(folder) / str(number), "a", encoding="utf-8") as handle:
        handle.write("x")
    time.sleep(seconds)
    return number


def die_of_13(task: tuple[str, int, float]) -> int:
    """Work that 13 kills its process with."""
    if task[1] == 13:
        log(task)
        os.kill(os.getpid(), signal.SIGKILL)
    return log(task)


def refuse(number: int) -> int:
    raise InputError(f"Number {number} cannot be used.")


def done(task: FileTask) -> FileReport:
    """In place of a batch's `process`."""
    return FileReport(task.name, "ok")

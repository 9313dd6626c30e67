"""The long work of the batch panel: the dry run, the batch with its pauses, and one of its files for the viewer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from napari_pu_segment.batch import (
    BatchPlan,
    BatchReport,
    BatchSettings,
    Executor,
    FileReport,
    planning,
    run_batch,
    size,
    time_in_words,
)
from napari_pu_segment.core.compute.temporary import TemporaryFolder
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.model import Model, save_model
from napari_pu_segment.core.progress import Progress, Work

from ..viewer.opening import Finding, read_to_look

MODEL_NAME = "model.safetensors"  # of the present model, in the folder of results
PAUSE_S = 0.05
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Order:
    """What shall be done.

    Parameters
    ----------
    settings : BatchSettings
    model : Model or None
        A model that is in no file; it is written into the folder of results when the batch begins.
    workers : int
        Processes; 1 is the viewer's own.
    """

    settings: BatchSettings
    model: Model | None = None
    workers: int = 1


class Gate:
    """Holds long work up while it is paused; `paused` may be set from any thread."""

    def __init__(self) -> None:
        self.paused = False

    def hold(self, work: Work[Result]) -> Work[Result]:
        """The same work, with pauses between its reports."""
        last = Progress(0, 0, "")
        try:
            while True:
                while self.paused:
                    yield replace(last, message="Paused", preview=None)
                    time.sleep(PAUSE_S)
                last = next(work)
                yield last
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            work.close()


def planned(order: Order) -> Work[BatchPlan]:
    """The dry run."""
    with _in_file(order) as settings:
        return (yield from planning(settings))


def carried_out(order: Order, gate: Gate) -> Work[BatchReport]:
    """Plan the batch, tell of the plan (as `preview`), and do it."""
    plan = yield from planned(order)
    yield Progress(0, len(plan.tasks) + len(plan.refused), "Beginning", preview=plan)
    if order.model is not None:
        path = plan.settings.out / MODEL_NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"Cannot make the folder {str(path.parent)!r}: {error.strerror}.") from None
        save_model(order.model, path)
        settings = plan.settings.model_copy(update={"model": path})
        plan = replace(plan, settings=settings, tasks=tuple(replace(task, settings=settings) for task in plan.tasks))
    with _executor(order.workers) as executor:
        return (yield from gate.hold(run_batch(plan, executor)))


def opened(plan: BatchPlan, report: FileReport) -> Work[Finding]:
    """The image of a file that was done, with its objects, or its refined mask, or its mask; or its probability where
    there is nothing else.

    Raises
    ------
    InputError
        If a file is gone or damaged, or too large to be looked at.
    """
    yield Progress(0, 0, "Reading")
    task = next(task for task in plan.tasks if task.name == report.name)
    file, levels = read_to_look(task.path)
    paths = task.outputs()
    kind = next((kind for kind in ("instances", "refined", "mask", "probability") if kind in paths), "")
    result = read_to_look(paths[kind])[1] if kind else ()
    return Finding(Path(report.name).stem, file, levels, kind, result)


def in_words(plan: BatchPlan) -> str:
    """What a batch will do, in a few sentences."""
    n_left, n_refused = len(plan.tasks) - plan.n_done, len(plan.refused)
    done = f" {plan.n_done} done before." if plan.n_done else ""
    refused = f" {n_refused} cannot be used; the table says why." if n_refused else ""
    return (
        f"{n_left} image{'' if n_left == 1 else 's'} to do.{done}{refused} About {time_in_words(plan.seconds)}, one "
        f"after the other. At most {size(plan.n_bytes)} of results; {size(plan.free_bytes)} are free."
    )


def can_have_workers() -> bool:
    """Whether the extra for workers is installed."""
    return all(find_spec(name) is not None for name in ("distributed", "cryptography"))


@contextlib.contextmanager
def _in_file(order: Order) -> Iterator[BatchSettings]:
    """The settings with a model file; a temporary one where the model is in none."""
    if order.model is None:
        yield order.settings
        return
    with TemporaryFolder() as folder:
        path = folder / MODEL_NAME
        save_model(order.model, path)
        yield order.settings.model_copy(update={"model": path})


@contextlib.contextmanager
def _executor(workers: int) -> Iterator[Executor | None]:
    if workers <= 1:
        yield None
        return
    from napari_pu_segment.cluster import executor, local

    with local(workers) as pool:
        yield executor(pool)

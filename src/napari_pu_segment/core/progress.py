"""What long work yields, and how to drive it.

Long work is a generator: it yields `Progress` and returns its result. Whoever drives it (a command, a widget, a
test) decides about threads, bars and cancelling; `close()` on the generator cancels it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of long work.

    Parameters
    ----------
    step, total : int
        `step` of `total` is done; `total` may be 0 where it is not known.
    message : str
        What is being done now, in a few words.
    risk : float or None
        The current value of the objective, where there is one.
    parts : tuple of tuple of slice, ([Z,] Y, X)
        Parts of the result that were finished since the last report, where it is filled in part by part.
    preview : object
        The result so far, where there is one.
    """

    step: int
    total: int
    message: str
    risk: float | None = None
    parts: tuple[tuple[slice, ...], ...] = ()
    preview: object = None


Work: TypeAlias = Generator[Progress, None, Result]


def run(work: Work[Result], on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Drive long work to its end and return its result.

    Parameters
    ----------
    work : generator of Progress
    on_progress : callable, optional
        Called with every `Progress`.
    """
    while True:
        try:
            progress = next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if on_progress is not None:
            on_progress(progress)


def shifted(work: Work[Result], done: int, total: int, share: int = 1) -> Work[Result]:
    """Long work as part of more: of `total` shares `done` are done, and it is `share` of them; each is 1000 steps."""
    try:
        while True:
            progress = next(work)
            within = 1000 * share * progress.step // progress.total if progress.total else 0
            yield replace(progress, step=1000 * done + within, total=1000 * total)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        work.close()


class Ticker:
    """Tells when it is time to yield again: at most ten times a second, so that reporting costs nothing.

    Parameters
    ----------
    interval_s : float
    waits : bool
        Whether the first interval must pass, too: for what is mostly done sooner.
    """

    def __init__(self, interval_s: float = 0.1, waits: bool = False) -> None:
        self._interval_s = interval_s
        self._next_s = time.monotonic() + interval_s if waits else 0.0

    def due(self) -> bool:
        """Whether the interval has passed since the last time this was True."""
        now = time.monotonic()
        if now < self._next_s:
            return False
        self._next_s = now + self._interval_s
        return True

"""Live mode: every change of the strokes is followed by a training and a new result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.methods import METHODS

from ..jobs import Job
from ..session import LIVE, TRAINING, Session
from ..work import Result

if TYPE_CHECKING:
    from ..viewer.snapshots import Snapshot

DEBOUNCE_MS = 100  # a burst of changes is one; a hand that fills or undoes is slower than this
REST_MS = 1000  # without a stroke; then there is time for what takes longer
FEW = 4  # positive strokes from which on a class prior is kept; see `Live`

OFF, WAITS, LEARNS, LOOKS, DONE = "off", "waits", "learns", "looks", "done"


class Live:
    """Follows the strokes on the session's image while `Session.live` is on.

    A changed stroke is followed by a short training that continues from the current model and keeps its class prior. A
    further change meanwhile ends that round, and the next one continues from where the model stands. A prior that was
    estimated from fewer than `FEW` strokes is estimated again, by a training that begins anew, when the strokes rest
    and have doubled. Later strokes are corrections: they lie where the model is wrong, and an estimate that took them
    for a sample of the objects would be far too high (measured: by half an octave and more). Last of all comes the
    refinement.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    state : str
        One of `OFF`, `WAITS` (for strokes), `LEARNS`, `LOOKS` (predicts what is not on screen) and `DONE`.
    state_changed : Signal(str)
    """

    state_changed = Signal(str)

    def __init__(self, session: Session) -> None:
        self._session = session
        self.state = OFF
        self._followed: Snapshot | None = None  # the strokes of the latest training, unless it was cancelled
        self._told = False  # strokes have changed that have not been looked at yet
        self._image: Image | None = None  # of the latest complete training; `_fresh_px` speaks of this one
        self._fresh_px = 0  # painted pixels when a training last began anew, from few strokes; else 0
        self._soon, self._rest = _timer(DEBOUNCE_MS, self._follow), _timer(REST_MS, self._settle)
        session.book.painted.connect(self._on_painted)
        session.live_changed.connect(self._on_live)
        session.image_changed.connect(self._on_image)
        session.job_started.connect(self._on_job)
        session.result_changed.connect(self._on_result)

    @property
    def waiting(self) -> bool:
        """Whether a change of the strokes is still to be looked at."""
        return self._soon.isActive()

    def _on_painted(self, image: Image) -> None:
        if self._session.live and image is self._session.image:
            self._told = True
            self._rest.stop()
            self._soon.start()

    def _on_live(self, on: bool) -> None:
        self._soon.stop()
        self._rest.stop()
        self._set_state(WAITS if on else OFF)
        self._follow()

    def _on_image(self, _image: Image | None) -> None:
        self._followed = None
        if self._session.live:
            self._set_state(WAITS)
            self._soon.start()

    def _on_job(self, job: Job) -> None:
        if job.title == TRAINING and self._session.image is not None:
            self._followed = self._session.book.snapshot(self._session.image)
        if job.title == LIVE:
            job.progress.connect(
                lambda report: self._set_state(LOOKS if report.preview is not None else self._begins())
            )
            job.failed.connect(lambda _error: self._set_state(WAITS))
        if job.title in (TRAINING, LIVE):
            job.cancelled.connect(self._forget)
        job.finished.connect(self._on_finished)

    def _forget(self) -> None:
        self._followed = None

    def _on_finished(self) -> None:
        """Another job may have kept the strokes waiting, or taken the place of a round.

        Else there is nothing to look at: a stroke may be half drawn, and napari tells of it at its end.
        """
        if self._session.live and not self._session.busy and (self._told or self._followed is None):
            self._soon.start()

    def _on_result(self, result: Result) -> None:
        if result.preview or result.plan is None:
            return
        if result.plan.anew or result.layer is not self._image:
            few = result.model is not None and result.model.card.n_positive_strokes < FEW
            self._image, self._fresh_px = result.layer, _painted_px(result) if few else 0
        if self._session.live:
            self._set_state(DONE)
            self._rest.start()

    def _follow(self) -> None:
        session = self._session
        if not session.live or session.busy or session.image is None:
            return
        try:
            strokes = session.book.snapshot(session.image)
            self._told = False
            if not any(map(strokes.painted, strokes.classes)):
                self._wait(strokes)
            elif self._followed is None or not strokes.same_strokes(self._followed):
                self._train(strokes, anew=False)
                self._soon.stop()  # the round that gave way has ended; it is followed already
        except PuSegmentError as error:
            session.said.emit(str(error), False)

    def _wait(self, strokes: Snapshot) -> None:
        """There is nothing to learn from: say so once, and wait."""
        self._session.runner.give_way()
        if self.state != WAITS or self._followed is None:
            self._session.said.emit("Live: paint a stroke on an object, and the result follows.", False)
        self._followed = strokes
        self._set_state(WAITS)

    def _settle(self) -> None:
        """The strokes rest."""
        session, result = self._session, self._session.result
        if not session.live or session.runner.current is not None or result is None or self._followed is None:
            return
        due = 0 < 2 * self._fresh_px <= _painted_px(result)
        if due and result.layer is session.image:
            self._train(self._followed, anew=True)
        elif session.crf is not None:
            session.refine()

    def _train(self, strokes: Snapshot, *, anew: bool) -> None:
        session, result = self._session, self._session.result
        known = session.model is not None and (result is None or result.layer is session.image)
        session.train(session.method, session.settings, warm=known and not anew, live=strokes)
        self._followed = strokes
        self._set_state(self._begins())

    def _begins(self) -> str:
        """What a round begins with."""
        return LEARNS if METHODS[self._session.method].segment is None else LOOKS

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)


def _timer(milliseconds: int, call: Callable[[], None]) -> QTimer:
    timer = QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(call)
    return timer


def _painted_px(result: Result) -> int:
    labels = result.sample.labels
    return 0 if labels is None else int(np.count_nonzero(labels))

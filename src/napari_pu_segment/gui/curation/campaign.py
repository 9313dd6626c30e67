"""Annotating a folder image by image: open the next, paint, learn, rank again; and what each image brought."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from psygnal import Signal

from napari_pu_segment.core.curation import ORDERS, agreement
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.image_set import SetReport, ranking

from ..jobs import Job, JobRunner
from ..results.one_class import merged, of_any
from ..session import Result, Session
from ..viewer.grid import own
from ..viewer.layers import SHOWN, LayerBook
from ..viewer.opening import add_image, read_to_look
from ..viewer.view import show_whole

if TYPE_CHECKING:
    from ..main_widget import MainWidget

OPENING, RANKING = "Opening to paint", "Ranking"


@dataclass(frozen=True)
class Score:
    """How well a model did on an image before it learnt from it.

    Parameters
    ----------
    n_annotated : int
        How many images it had learnt from.
    agreement : float, 0..1
        See `core.curation.agreement`.
    """

    n_annotated: int
    agreement: float


class Campaign:
    """Follows a report and the widget that paints and trains. Use it on the main thread only.

    Parameters
    ----------
    runner : JobRunner
        Of what is done beside the trainings.
    book : LayerBook
        Of the viewer.
    painter : callable
        Gives the widget that paints and trains; opens it if need be.

    Attributes
    ----------
    changed : Signal()
        What is opened, learnt or to come is different now.
    ranked : Signal(object)
        A new `SetReport`, with another list of what to annotate next.
    said : Signal(str, bool)
        A sentence, and whether it tells of a failure.
    report : SetReport or None
    order : str
        A row of `core.curation.ORDERS`.
    scores : list of Score
        The budget curve, oldest first.
    learning, busy : bool
        Whether a training goes on that was started here; whether an image is being opened, or all are being ranked.
    """

    changed = Signal()
    ranked = Signal(object)
    said = Signal(str, bool)

    def __init__(self, runner: JobRunner, book: LayerBook, painter: Callable[[], MainWidget]) -> None:
        self._runner, self._book, self._painter = runner, book, painter
        self._layers: dict[int, weakref.ref[Image]] = {}
        self._before: dict[int, tuple[np.ndarray, float, int]] = {}
        self._learnt: set[int] = set()
        self._followed: weakref.ref[Session] | None = None
        self.report: SetReport | None = None
        self.scores: list[Score] = []
        self.order = next(iter(ORDERS))
        self.learning = self.busy = False

    def begin(self, report: SetReport) -> None:
        """Another set: what was opened stays in the viewer, but is forgotten here."""
        self.report, self.scores, self.order = report, [], report.curation.settings.order
        self._layers, self._before, self._learnt = {}, {}, set()
        self.learning = False
        self.changed.emit()

    def opened(self) -> list[int]:
        """Numbers of the images that were opened here and still are, oldest first."""
        return [i for i in self._layers if self.layer(i) is not None]

    def layer(self, number: int) -> Image | None:
        """The layer of an image that was opened here."""
        layer = self._layers.get(number, lambda: None)()
        return layer if layer is not None and self._book.contains(layer) else None

    def coming(self) -> int | None:
        """The next image to annotate."""
        there = set(self._layers)
        return None if self.report is None else next((i for i in self.report.curation.next if i not in there), None)

    def open(self, number: int) -> None:
        """Open an image with brush layers, alone in sight; where there is a model, with its result and a place."""
        if self.report is None:
            return
        layer = self.layer(number)
        if layer is not None:
            self._show(layer)
            return
        path = self.report.scan.path(self.report.names[number])
        self._start(_reading(path), OPENING, partial(self._on_read, number, path))

    def open_next(self) -> None:
        """Open the image that comes next."""
        number = self.coming()
        if number is None:
            self.said.emit("There is no image left to suggest.", False)
        else:
            self.open(number)

    def learn(self) -> None:
        """Train on all images that were opened here and painted on, then rank the others anew."""
        session, panel = self._session(), self._painter().train_panel
        painted = {i: layer for i in self.opened() if (layer := self.layer(i)) is not None and _painted(session, layer)}
        if not painted:
            self.said.emit("Paint a few strokes on an image first.", False)
            return
        if not any(session.image is layer for layer in painted.values()):
            panel.image_combo.set_value(list(painted.values())[-1])
        session.train_on.choose([layer for layer in painted.values() if layer is not session.image])
        try:
            session.train(panel.method_combo.currentData(), panel.settings(), warm=False)
        except PuSegmentError as error:
            self.said.emit(str(error), True)
            return
        self._judge(session, painted)
        job = session.runner.current
        self.learning = job is not None
        if job is not None:
            job.returned.connect(lambda _: self._on_trained(set(painted)))
            job.finished.connect(self._on_training_ended)
        self.changed.emit()

    def rank(self) -> None:
        """Rank the images that are not annotated, with the model there is."""
        if self.report is not None:
            model = self._session().model if self._learnt else None
            work = ranking(self.report, sorted(self._learnt or self.opened()), model, self.order)
            self._start(work, RANKING, self._on_ranked)

    def _judge(self, session: Session, painted: dict[int, Image]) -> None:
        """Score the model by the strokes on images that it has not learnt from, as its result was when they opened."""
        for i in [i for i in painted if i in self._before]:
            probability, threshold, n = self._before.pop(i)
            labels = merged(session.book.snapshot(painted[i]).sample()).labels
            score = float("nan") if labels is None else agreement(probability, threshold, labels)
            if np.isfinite(score):
                self.scores.append(Score(n, score))

    def _on_read(self, number: int, path: Path, found: tuple[Any, Any]) -> None:
        session, (file, levels) = self._session(), found
        layers = [own(layer) for layer in add_image(self._book.viewer, path.stem, file, levels)]
        if len(layers) > 1:
            session.book.set_channels(layers[0], layers[1:])
        self._layers[number] = weakref.ref(layers[0])
        self._show(layers[0])
        if session.model is not None and self._learnt:
            try:
                session.apply(layers[0])
            except PuSegmentError as error:
                self.said.emit(str(error), True)
        self.changed.emit()

    def _show(self, layer: Image) -> None:
        """This image alone, with its brush layers, ready to be painted on."""
        roles = (*self._session().book.classes.brushes, *SHOWN)
        for other in (self.layer(i) for i in self.opened()):
            if other is not None and other is not layer:
                for one in (other, *(self._book.member(other, role) for role in roles)):
                    if one is not None:
                        one.visible = False
        layer.visible = True
        panel = self._painter().train_panel
        panel.image_combo.set_value(layer)
        panel.add_brushes()
        try:
            show_whole(self._book.viewer, self._book.channels.grid(layer))
        except PuSegmentError as error:  # an axis that is none of ours
            self.said.emit(str(error), True)

    def _session(self) -> Session:
        """The session of the widget that paints, which is listened to from now on."""
        session = self._painter().session
        if self._followed is None or self._followed() is not session:
            self._followed = weakref.ref(session)
            session.result_changed.connect(self._on_result)
            session.said.connect(self._on_said)  # its own status line is behind the dock of curation
        return session

    def _on_said(self, text: str, failed: bool) -> None:
        self.said.emit(text, failed)

    def _on_result(self, result: Result) -> None:
        if result.preview or result.plan is not None or result.large:
            return
        number = next((i for i in self.opened() if self.layer(i) is result.layer), None)
        if number is not None and number not in self._learnt:
            first = number not in self._before
            own_at = result.own_threshold  # several classes are judged as objects of any
            found, at = of_any(result), 0.5 if isinstance(own_at, tuple) else own_at
            self._before[number] = (np.asarray(found.probability), at, len(self._learnt))
            if first:
                self._painter().suggest_panel.guide.take_there()

    def _on_trained(self, painted: set[int]) -> None:
        self._learnt = painted
        self.rank()

    def _on_training_ended(self) -> None:
        self.learning = False
        self.changed.emit()

    def _on_ranked(self, report: SetReport) -> None:
        self.report = report
        self.ranked.emit(report)

    def _start(self, work: Work[Any], title: str, on_returned: Callable[[Any], None]) -> None:
        def connect(job: Job) -> None:
            job.returned.connect(on_returned)
            job.failed.connect(lambda error: self.said.emit(str(error), True))
            job.finished.connect(self._on_finished)

        self.busy = True
        self.changed.emit()
        self._runner.start(work, title, connect, "beside")

    def _on_finished(self) -> None:
        self.busy = False
        self.changed.emit()


def _painted(session: Session, layer: Image) -> bool:
    brushes = [session.book.member(layer, role) for role in session.book.classes.brushes if role != "ignore"]
    return any(brush is not None and bool(np.any(brush.data)) for brush in brushes)


def _reading(path: Path) -> Work[tuple[Any, Any]]:
    yield Progress(0, 0, "Reading the image")
    return read_to_look(path)

"""Follows searches for a pixel classifier: what was tried, which row is in use, and the way to another one."""

from __future__ import annotations

from psygnal import Signal

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.core.search.candidates import Tried
from napari_pu_segment.core.search.searching import SearchTable
from napari_pu_segment.core.settings import Settings

from ..jobs import Job
from ..session import TRAINING, Session


class SearchFollower:
    """Keeps the table of the latest search of a session.

    A search that is cancelled by hand leaves what it found: the best so far is fitted then, without a search.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    table : SearchTable or None
    searching : bool
        Whether the table still grows.
    changed : Signal()
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.table: SearchTable | None = None
        self.searching = False
        self._closing = False
        self._method, self._settings = session.method, session.settings  # of the search
        session.job_started.connect(self._on_job)
        session.model_changed.connect(self._on_model)
        session.closing.connect(self._on_closing)

    @property
    def in_use(self) -> int | None:
        """The row that the present model is, if it is one."""
        model, rows = self._session.model, () if self.table is None else self.table.rows
        text = "" if model is None else model.card.settings.get("chosen", "")
        return next((i for i, row in enumerate(rows) if row.model_dump_json() == text), None)

    def pick(self, row: Tried) -> None:
        """Fit the pipelines of a row, and segment the image with them; ends the search if it still runs."""
        session = self._session
        try:
            if self.searching and session.runner.current is not None:
                self.searching = False
                session.runner.current.cancel()
            changes = {"chosen": row.model_dump_json()}
            session.train(self._method, self._settings.changed(changes), warm=False)
        except PuSegmentError as error:
            session.said.emit(str(error), True)

    def _on_job(self, job: Job) -> None:
        if job.title == TRAINING:
            self._closing = False
            method, settings = self._session.method, self._session.settings
            job.progress.connect(lambda report: self._on_progress(report, method, settings))
            job.cancelled.connect(self._on_cancelled)
            job.finished.connect(self._on_finished)

    def _on_progress(self, report: Progress, method: str, settings: Settings) -> None:
        if isinstance(report.preview, SearchTable):
            self.table, self.searching = report.preview, True
            self._method, self._settings = method, settings
            self.changed.emit()

    def _on_cancelled(self) -> None:
        searching, self.searching = self.searching, False
        found = METHODS[self._method].cut_short(self.table) if searching and not self._closing else {}
        if found and self.table is not None:
            self.pick(self.table.rows[0])
            self._session.said.emit("The search was cut short; the best that it found is kept.", False)

    def _on_finished(self) -> None:
        self.searching = False
        self.changed.emit()

    def _on_model(self, _model: Model) -> None:
        self.changed.emit()

    def _on_closing(self) -> None:
        self._closing = True

"""The panel of batches: a folder of images and a model, with a dry run, pauses, and a table of what became of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QSize, Qt, QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_pu_segment.batch import BatchPlan, BatchReport, FileReport, time_in_words
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import Progress, Work

from ..jobs import Job
from ..parts.combo import Combo
from ..session import Session
from ..viewer.opening import Showcase
from .batch_form import BatchForm
from .batch_table import DOT_PX, BatchTable
from .batch_work import Gate, carried_out, in_words, opened, planned

TITLE = "Batch"
COUNT_MS = 300  # between two counts of states while a batch runs


class BatchPanel(QWidget):
    """Segment all images of a folder.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._job: Job | None = None
        self._gate, self._showcase = Gate(), Showcase(session.book)
        self._plan: BatchPlan | None = None
        self._begun = False  # a batch was cancelled or stopped, and can go on
        self.form = BatchForm()
        self.dry_button, self.start_button = QPushButton("Dry run"), QPushButton("Start")
        self.pause_button, self.cancel_button = QPushButton("Pause"), QPushButton("Cancel")
        self.plan_label, self.file_label, self.reason_label = (_wrapped() for _ in range(3))
        self.progress_bar = QProgressBar()
        self.only_combo = Combo()
        self.table_view, self.model = QTableView(), BatchTable()
        self.report_button = QPushButton("Open report")
        self._counting = QTimer(self)
        self._counting.setSingleShot(True)
        self._counting.setInterval(COUNT_MS)
        self._describe()
        self._lay_out()
        self._connect()
        self._on_row()
        self._count()
        self._refresh()

    @property
    def running(self) -> bool:
        """Whether a dry run or a batch is running, or paused."""
        return self._job is not None and self._job.running

    def dry_run(self) -> None:
        """Find out what a batch would do, in the background."""
        self._start(planned, self._on_plan)

    def start(self) -> None:
        """Begin a batch, or go on with it, in the background."""
        self._gate = Gate()
        if self._start(lambda order: carried_out(order, self._gate), self._on_report):
            self._session.said.emit("The batch runs in the background. You can go on working.", False)

    def pause(self) -> None:
        """Pause the batch, or let it go on."""
        self._gate.paused = not self._gate.paused
        self._refresh()

    def cancel(self) -> None:
        """End it; what is done stays, and a later start goes on from there."""
        if self._job is not None:
            self._job.cancel()

    def open_report(self) -> None:
        """Show the report in the browser."""
        if self._plan is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._plan.settings.out / "report.html")))

    def open_file(self, row: int) -> None:
        """Open the image of a row with its result in the viewer; or say why there is none."""
        report = self.model.report(row)
        if self._plan is None or report is None or report.state not in ("ok", "skipped"):
            self._session.said.emit(self.model.words(row), False)
            return
        self._session.aside(opened(self._plan, report), "Opening", self._showcase.show)

    def _describe(self) -> None:
        self.dry_button.setToolTip("Tell how many images there are, which cannot be used, and what it takes")
        self.start_button.setToolTip("Segment all images. What was done before is not done again.")
        self.pause_button.setToolTip("Hold on, and go on later")
        self.cancel_button.setToolTip("Stop. What is done stays, and Start goes on from there.")
        self.only_combo.setToolTip("Which files are listed")
        self.table_view.setToolTip("Double click a file to open it with its result")
        self.report_button.setToolTip("Show report.html, which lies in the folder of results")

    def _lay_out(self) -> None:
        view = self.table_view
        view.setModel(self.model)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setWordWrap(False)
        view.setIconSize(QSize(DOT_PX, DOT_PX))
        view.setMinimumHeight(200)
        rows, columns = view.verticalHeader(), view.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.hide()
        rows.setDefaultSectionSize(rows.minimumSectionSize())
        columns.setHighlightSections(False)
        for column, text in enumerate(("oo skipped", "a_typical_name.tif", "00.0 %", "Objects", "a" * 60)):
            columns.resizeSection(column, self.fontMetrics().horizontalAdvance(text) + 16)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        batch, files = QGroupBox("Batch"), QGroupBox("Files")
        for box, widgets in (
            (batch, (self.form, self.plan_label)),
            (files, (self.only_combo, view, self.reason_label, self.report_button)),
        ):
            inner = QVBoxLayout(box)
            inner.setContentsMargins(5, 9, 5, 5)
            for widget in widgets:
                inner.addWidget(widget)
            if box is batch:
                for buttons in ((self.dry_button, self.start_button), (self.pause_button, self.cancel_button)):
                    line = QHBoxLayout()
                    for button in buttons:
                        line.addWidget(button)
                    inner.addLayout(line)
                inner.addWidget(self.progress_bar)
                inner.addWidget(self.file_label)
            layout.addWidget(box)

    def _connect(self) -> None:
        self.dry_button.clicked.connect(self.dry_run)
        self.start_button.clicked.connect(self.start)
        self.pause_button.clicked.connect(self.pause)
        self.cancel_button.clicked.connect(self.cancel)
        self.report_button.clicked.connect(self.open_report)
        self.only_combo.currentIndexChanged.connect(lambda: self.model.set_only(self.only_combo.currentData() or ""))
        self.table_view.doubleClicked.connect(lambda index: self.open_file(index.row()))
        selection = self.table_view.selectionModel()
        assert selection is not None
        selection.currentRowChanged.connect(self._on_row)
        self.model.modelReset.connect(self._on_row)
        self.form.changed.connect(self._on_change)
        self._counting.timeout.connect(self._count)
        self._session.model_changed.connect(self._refresh)

    def _start(self, work: Callable[[Any], Work[Any]], on_returned: Callable[[Any], None]) -> bool:
        session = self._session
        try:
            order = self.form.value(session.model, session.threshold, session.crf)
        except PuSegmentError as error:
            session.said.emit(str(error), True)
            return False
        self._job = job = session.aside(work(order), TITLE, on_returned)
        self.progress_bar.setRange(0, 0)
        self.progress_bar.setFormat("")
        job.progress.connect(partial(self._on_progress, job))
        job.cancelled.connect(self._on_cancelled)
        job.finished.connect(self._on_finished)
        self._refresh()
        return True

    def _on_progress(self, job: Job, progress: Progress) -> None:
        if isinstance(progress.preview, BatchPlan):
            self._show_plan(progress.preview)
            self._begun = True
        elif isinstance(progress.preview, FileReport):
            self.model.put(progress.preview)
            if not self._counting.isActive():
                self._counting.start()
        seconds = None if self._gate.paused else job.remaining_s(progress)
        left = "" if seconds is None else f" · {time_in_words(seconds)} left"
        self.progress_bar.setRange(0, progress.total)
        self.progress_bar.setFormat(f"{progress.step} of {progress.total}{left}" if progress.total else "")
        self.progress_bar.setValue(progress.step)
        label = self.file_label
        label.setText(label.fontMetrics().elidedText(progress.message, Qt.TextElideMode.ElideMiddle, label.width()))

    def _show_plan(self, plan: BatchPlan) -> None:
        self._plan = plan
        self.model.set_plan(plan)
        self.plan_label.setText(in_words(plan))
        self._count()

    def _on_plan(self, plan: BatchPlan) -> None:
        self._show_plan(plan)
        self._session.said.emit("This is what a batch would do. Nothing has been written.", False)

    def _on_report(self, report: BatchReport) -> None:
        self._begun = False
        self.plan_label.setText("")
        self.model.set_apart(report.outliers())
        counts = ", ".join(f"{count} {state}" for state, count in report.counts.items() if count)
        self._session.said.emit(f"Batch: {counts}. The report is in {report.plan.settings.out}.", False)

    def _on_cancelled(self) -> None:
        then = "What is done stays; Resume goes on from there." if self._begun else "Nothing has been written."
        self._session.said.emit(f"Cancelled. {then}", False)

    def _on_finished(self) -> None:
        self._gate.paused = False
        self._count()
        self._refresh()

    def _on_change(self) -> None:
        """Another batch: what was found out for the former one no longer holds."""
        if not self.running:
            self._begun = False
            self.plan_label.setText("")
        self._refresh()

    def _on_row(self) -> None:
        row = self.table_view.currentIndex().row()
        words = self.model.words(row) if 0 <= row < self.model.rowCount() else ""
        self.reason_label.setText(re.sub(r"([/\\_.-])", "\\1\u200b", words))  # names may be broken there
        self.reason_label.setVisible(bool(words))

    def _count(self) -> None:
        counts, chosen = self.model.counts(), self.only_combo.currentData() or ""
        entries = {"": f"All files ({sum(counts.values())})"}
        entries |= {
            state: f"{state.capitalize()} ({count})" for state, count in counts.items() if count or state == chosen
        }
        with signals_blocked(self.only_combo):
            self.only_combo.clear()
            for state, text in entries.items():
                self.only_combo.addItem(text, state)
            self.only_combo.setCurrentIndex(self.only_combo.findData(chosen))

    def _refresh(self) -> None:
        running = self.running
        self.form.setEnabled(not running)
        for button in (self.dry_button, self.start_button):
            button.setVisible(not running)
        self.start_button.setText("Resume" if self._begun else "Start")
        for widget in (self.pause_button, self.cancel_button, self.progress_bar, self.file_label):
            widget.setVisible(running)
        self.pause_button.setText("Go on" if self._gate.paused else "Pause")
        self.plan_label.setVisible(bool(self.plan_label.text()))
        plan = self._plan
        self.report_button.setEnabled(plan is not None and (plan.settings.out / "report.html").is_file())


def _wrapped() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # a long name widens no dock
    return label

"""The panel of curation: a folder looked through, and the gallery of what was found."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.image_set import (
    ALL,
    NEXT,
    SORTS,
    SetReport,
    curating,
    facts,
    group_title,
    lists,
    ordered,
    seen_by,
    words_of,
    writing,
)

from ..jobs import Job, JobRunner
from ..parts.combo import Combo
from ..parts.settings_form import fold
from ..viewer.layers import LayerBook
from ..viewer.opening import Showcase, finding_of
from .balance import BalanceBar
from .curate_form import CurateForm
from .gallery import Entry, Gallery, GalleryView

LOOKING, EXPORT, OPENING = "Looking through", "Export", "Opening"
SIMILAR = "Similar to "


class CuratePanel(QWidget):
    """Look through a folder, and see what was found. Nothing is moved, changed or deleted.

    Parameters
    ----------
    runner : JobRunner
    book : LayerBook
        Of the viewer in which images are opened.

    Attributes
    ----------
    said : Signal(str, bool)
        A sentence for the status line, and whether it tells of a failure.
    looked : Signal(object)
        A folder was looked through: the `SetReport`.
    report : SetReport or None
    """

    said = Signal(str, bool)
    looked = Signal(object)

    def __init__(self, runner: JobRunner, book: LayerBook, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner, self._showcase = runner, Showcase(book)
        self._job: Job | None = None
        self._lists: dict[str, list[int]] = {}
        self.report: SetReport | None = None
        self.form = CurateForm()
        self.start_button, self.cancel_button = QPushButton("Look through"), QPushButton("Cancel")
        self.progress_bar, self.balance_bar = QProgressBar(), BalanceBar()
        self.summary_label, self.words_label, self.facts_label = _wrapped(), _wrapped(), _wrapped()
        self.facts = fold("Balance and drifts", self.facts_label)
        self.show_combo, self.sort_combo = Combo(), Combo()
        self.gallery = Gallery(runner, self._words)
        self.view = GalleryView(self.gallery)
        self.open_button, self.similar_button = QPushButton("Open"), QPushButton("Similar")
        self.export_button = QPushButton("Export …")
        self._describe()
        self._lay_out()
        self._connect()
        self._refresh()

    @property
    def running(self) -> bool:
        """Whether a folder is being looked through, or a report written."""
        return self._job is not None and self._job.running

    def start(self) -> None:
        """Look through the folder, in the background; nothing is written."""
        try:
            scan, settings = self.form.value()
        except PuSegmentError as error:
            self.said.emit(str(error), True)
            return
        self._start(curating(scan, settings), LOOKING, self._on_report)

    def cancel(self) -> None:
        """End what is running; the former report stays."""
        if self._job is not None:
            self._job.cancel()

    def export(self) -> None:
        """Ask for a folder, and write the report there: CSV, JSON and a page."""
        chosen = QFileDialog.getExistingDirectory(self, "Choose a folder for the report", "") if self.report else ""
        if self.report is not None and chosen:
            done = f"The report is in {chosen}."
            self._start(writing(self.report, Path(chosen)), EXPORT, lambda _: self.said.emit(done, False))

    def open(self, number: int) -> None:
        """Show an image in the viewer, with its mask, in the place of the one before."""
        if self.report is not None:
            work = finding_of(self.report, number)
            self._runner.start(work, OPENING, partial(self._listen, on_returned=self._showcase.show), "beside")

    def update_report(self, report: SetReport) -> None:
        """Show another report of the same images, ranked anew."""
        similar = {title: members for title, members in self._lists.items() if title.startswith(SIMILAR)}
        self.report, self._lists, title = report, lists(report) | similar, self.show_combo.currentData()
        self._fill_combo(title if title in self._lists else ALL)

    def show_similar(self) -> None:
        """Show all images by how much they look like the selected one."""
        number = self.view.number()
        if self.report is not None and number is not None:
            near = self.report.curation.embeddings.nearest(number, len(self.report.names))
            title = SIMILAR + self.report.names[number]
            self._lists = {name: members for name, members in self._lists.items() if not name.startswith(SIMILAR)}
            self._lists[title] = [number, *(i for i, _ in near)]
            with signals_blocked(self.sort_combo):
                self.sort_combo.setCurrentIndex(0)  # any other order would hide how similar they are
            self._fill_combo(title)
            self.view.scrollToTop()

    def _describe(self) -> None:
        for widget, tip in {
            self.start_button: "Look at every image once. Nothing is moved, changed or deleted.",
            self.cancel_button: "Stop. What was found before stays.",
            self.show_combo: "Which images are shown",
            self.sort_combo: "In what order",
            self.summary_label: "What was found in the folder",
            self.view: "Double click an image to open it",
            self.open_button: "Show the selected image in the viewer, with its mask, in the place of the one before",
            self.similar_button: "Show all images by how much they look like the selected one",
            self.export_button: "Write curation.csv, curation.json and report.html into a folder",
        }.items():
            widget.setToolTip(tip)
        self.sort_combo.addItems(list(SORTS))

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        images, found = QGroupBox("Folder"), QGroupBox("Gallery")
        buttons = (self.open_button, self.similar_button, self.export_button)
        told = (self.progress_bar, self.summary_label, self.facts)
        for box, parts in (
            (images, (self.form, self.start_button, self.cancel_button, *told)),
            (found, (self.balance_bar, self.show_combo, self.sort_combo, self.view, self.words_label, buttons)),
        ):
            inner = QVBoxLayout(box)
            inner.setContentsMargins(5, 9, 5, 5)
            for part in parts:
                inner.addLayout(_line(part)) if isinstance(part, tuple) else inner.addWidget(part)
            layout.addWidget(box, 1 if box is found else 0)

    def _connect(self) -> None:
        self.start_button.clicked.connect(self.start)
        self.cancel_button.clicked.connect(self.cancel)
        self.export_button.clicked.connect(self.export)
        self.similar_button.clicked.connect(self.show_similar)
        self.open_button.clicked.connect(lambda: self.view.open_current())
        self.view.chosen.connect(self.open)
        self.balance_bar.picked.connect(lambda number: self._choose(group_title(number + 1)))
        self.show_combo.currentIndexChanged.connect(self._show)
        self.sort_combo.currentIndexChanged.connect(self._show)
        self.view.current_changed.connect(self._refresh)

    def _start(self, work: Work[Any], title: str, on_returned: Callable[[Any], None]) -> None:
        def connect(job: Job) -> None:
            job.progress.connect(partial(self._on_progress, job))
            job.cancelled.connect(lambda: self.said.emit(f"{title} was cancelled.", False))
            job.finished.connect(self._refresh)
            self._listen(job, on_returned)

        self._job = self._runner.start(work, title, connect, "beside")
        self.progress_bar.setRange(0, 0)
        self.progress_bar.setFormat("")
        self._refresh()

    def _listen(self, job: Job, on_returned: Callable[[Any], None]) -> None:
        job.returned.connect(on_returned)
        job.failed.connect(lambda error: self.said.emit(str(error), True))

    def _on_progress(self, job: Job, progress: Progress) -> None:
        metrics, seconds = self.progress_bar.fontMetrics(), job.remaining_s(progress)
        left = "" if seconds is None else f" · {max(1, round(seconds))} s left"
        room = max(40, self.progress_bar.width() - 12 - metrics.horizontalAdvance(left))
        text = metrics.elidedText(progress.message, Qt.TextElideMode.ElideMiddle, room) + left
        self.progress_bar.setRange(0, progress.total)
        self.progress_bar.setFormat(text.replace("%", "%%"))
        self.progress_bar.setValue(progress.step)

    def _on_report(self, report: SetReport) -> None:
        self.report, self._lists = report, lists(report)
        counts = [f"{n} {name}" for name, n in report.summary().items() if n]
        self.summary_label.setText(f"{', '.join(counts)}. {seen_by(report)}".rstrip())
        self.facts_label.setText("<br>".join(facts(report)))
        groups = report.curation.groups
        titles = [f"{group_title(i)}: {len(group.members)} images" for i, group in enumerate(groups, 1)]
        words = [f"{title}, {one.balance}" if one.balance else title for title, one in zip(titles, groups, strict=True)]
        self.balance_bar.set_groups([group.share for group in groups], words)
        self.gallery.set_entries([], anew=True)
        self._fill_combo(NEXT if NEXT in self._lists else ALL)
        self.looked.emit(report)
        refused = report.scan.refused
        if refused:
            files = "file" if len(refused) == 1 else "files"
            self.said.emit(f"{len(refused)} {files} cannot be used. The first: {refused[0].reason}", False)
        else:
            self.said.emit("Nothing was moved or changed. Double click an image to open it.", False)

    def _fill_combo(self, title: str) -> None:
        with signals_blocked(self.show_combo):
            self.show_combo.clear()
            for name, members in self._lists.items():
                self.show_combo.addItem(name if name.startswith(SIMILAR) else f"{name} ({len(members)})", name)
        self._choose(title)

    def _choose(self, title: str) -> None:
        with signals_blocked(self.show_combo):
            self.show_combo.setCurrentIndex(max(0, self.show_combo.findData(title)))
        self._show()

    def _show(self) -> None:
        report, title, selected = self.report, self.show_combo.currentData(), self.view.number()
        if report is not None and title in self._lists:
            names = report.names
            members = ordered(report, self._lists[title], self.sort_combo.currentText())
            self.gallery.set_entries([Entry(i, report.scan.path(names[i]), Path(names[i]).stem) for i in members])
            if selected is not None:
                self.view.select(selected)
        self._refresh()

    def _words(self, number: int) -> str:
        return "" if self.report is None else words_of(self.report, number)

    def _refresh(self) -> None:
        running, number, there = self.running, self.view.number(), self.report is not None
        self.form.setEnabled(not running)
        self.start_button.setVisible(not running)
        of_job: list[QWidget] = [self.cancel_button, self.progress_bar]
        of_report: list[QWidget] = [self.summary_label, self.balance_bar, self.words_label]
        for widget in of_job:
            widget.setVisible(running)
        for widget in of_report:
            widget.setVisible(there)
        self.facts.setVisible(bool(self.facts_label.text()))
        for found in (self.show_combo, self.sort_combo, self.view):
            found.setEnabled(there)
        self.open_button.setEnabled(number is not None)
        self.similar_button.setEnabled(number is not None)
        self.export_button.setEnabled(there and not running)
        words = "" if number is None else self._words(number)
        self.words_label.setText(re.sub(r"([/\\_.-])", "\\1\u200b", words))  # names may be broken there


def _line(widgets: tuple[QWidget, ...]) -> QHBoxLayout:
    line = QHBoxLayout()
    line.setSpacing(3)
    for widget in widgets:
        line.addWidget(widget)
    return line


def _wrapped() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # a long name widens no dock
    return label

"""The dock widget, and the commands of the napari menus."""

from __future__ import annotations

import gc
from functools import partial

import napari
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pu_segment.core.progress import Progress

from .batch.batch_panel import BatchPanel
from .jobs import Job
from .keys import KeySet
from .looks import FAILED
from .model.autosave_bar import AutosaveBar
from .model.encoder_panel import EncoderPanel
from .model.model_panel import ModelPanel
from .model.record_panel import RecordPanel
from .paint.live_panel import LivePanel
from .paint.rounds_panel import RoundsPanel
from .paint.search_panel import SearchPanel
from .paint.suggest_panel import SuggestPanel
from .paint.train_panel import TrainPanel
from .parts.column import Column
from .parts.keys_button import KeysButton
from .preferences import preferences
from .results.classify_panel import ClassifyPanel
from .results.edit_box import KEY_TEXTS
from .results.objects_panel import ObjectsPanel
from .results.result_panel import ResultPanel
from .results.time_panel import TimePanel
from .session import Session
from .viewer.grid import own
from .viewer.layers import LayerBook

PLUGIN, TITLE = "napari-pu-segment", "Paint and segment"
DOCK = f"{TITLE} (PU segment)"  # as napari's menus name it, so that they show and hide this one and open no other
# Neighbours under the left hand, while the right one paints; the first set that is free is taken.
BRUSH_KEYS = (("Q", "W"), ("G", "H"), ("Shift-Q", "Shift-W"), ("Shift-G", "Shift-H"))
LIVE_KEYS = (("Shift-E",), ("Shift-T",))  # with Alt, the letters of menus open those instead
SUGGESTION_TEXTS = {
    "next": "take me there: to a place worth an answer",
    "object": "there is an object",
    "background": "there is background",
    "skip": "ask elsewhere",
}
# Python looks through all objects once a quarter of them is new: 0.3 s, which else come during the first training.
SETTLE_MS = 500
PATIENCE_MS = 700  # a yielding job that takes no longer shows no bar: rounds of live mode would make it flicker


class MainWidget(QWidget):
    """Paint a few strokes, train, see the segmentation.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Injected by napari under this name.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.session, wanted = Session(LayerBook(napari_viewer)), preferences()
        if not wanted.refine:
            self.session.crf = None
        taking = {role: partial(self._take, role) for role in ("positive", "negative")}
        self.brush_keys = KeySet(napari_viewer, BRUSH_KEYS, taking)
        living = {"live": lambda: self.session.set_live(not self.session.live)}
        self.live_keys = KeySet(napari_viewer, LIVE_KEYS, living)
        self.train_panel = TrainPanel(self.session, self.brush_keys.keys)
        self.search_panel, self.live_panel = SearchPanel(self.session), LivePanel(self.session, self.live_keys.keys)
        self.rounds_panel, self.suggest_panel = RoundsPanel(self.session), SuggestPanel(self.session)
        self.result_panel, self.autosave_bar = ResultPanel(self.session), AutosaveBar(self.session)
        self.objects_panel, self.classify_panel = ObjectsPanel(self.session), ClassifyPanel(self.session)
        self.time_panel, self.batch_panel = TimePanel(self.session), BatchPanel(self.session)
        self.model_panel, self.encoder_panel = ModelPanel(self.session), EncoderPanel(self.session)
        self.record_panel, self.tabs = RecordPanel(self.session), QTabWidget()
        self.tabs.setDocumentMode(True)
        # every pixel of a narrow dock counts
        self.tabs.setStyleSheet("QTabWidget::pane { border: 0; } QTabBar::tab { padding: 3px 4px; }")
        self.progress_bar, self.cancel_button = QProgressBar(), QToolButton()
        self.cancel_button.setText("✕")
        self.cancel_button.setToolTip("Cancel what is running; in live mode, stop it")
        self.status_label, self.keys_button = QLabel(), KeysButton(self.keys)
        self.status_label.setWordWrap(True)
        session, self._entered = self.session, False
        self._end = lambda: session.close()  # by then this widget itself is gone
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._lay_out()
        self._connect()
        self.session.set_live(wanted.live)

    def keys(self) -> dict[str, str]:
        """Our keys, and what they do."""
        texts = {
            **{key: f"take up the {role} brush" for role, key in self.brush_keys.keys.items()},
            **dict.fromkeys(self.live_keys.keys.values(), "live mode on and off"),
            **self.train_panel.class_keys.texts(),
        }
        for action, text in SUGGESTION_TEXTS.items():
            if action in self.suggest_panel.keys:
                texts[self.suggest_panel.keys[action]] = text
        return texts | {key: KEY_TEXTS[mode] for mode, key in self.objects_panel.edit_box.key_set.keys.items()}

    def event(self, event: QEvent | None) -> bool:
        """Let go when the dock is closed: no job and no key of ours is left behind."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._leave()
            else:
                self._enter()
        if event is not None and event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self._free_width()
        return super().event(event)

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            self.destroyed.disconnect(self._end)  # at the end of the program, timers may be gone before this widget
        self.session.close()
        self.session.book.changed.block()  # what listens may soon be gone
        for keys in (self.brush_keys, self.live_keys, self.train_panel.class_keys):
            keys.release()
        self.suggest_panel.leave()
        self.objects_panel.edit_box.leave()

    def _enter(self) -> None:
        if not self._entered:
            self._entered = True
            self.destroyed.connect(self._end)
            QTimer.singleShot(SETTLE_MS, gc.collect)
            self.session.book.changed.unblock()
            self.session.book.changed.emit()
        for keys in (self.brush_keys, self.live_keys, self.train_panel.class_keys):
            keys.bind()
        self.suggest_panel.enter()
        self.objects_panel.edit_box.enter()

    def _free_width(self) -> None:
        """Let the dock be as narrow as the panels allow: it was measured before napari's style made them smaller."""
        dock = self.parentWidget()
        if dock is not None and dock.minimumWidth() > self.minimumSizeHint().width():
            dock.setMinimumWidth(0)

    def _take(self, role: str) -> None:
        self.train_panel.take(role)

    def _lay_out(self) -> None:
        for title, panels in self._pages().items():
            self.tabs.addTab(Column(panels), title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 2)
        layout.addWidget(self.autosave_bar)
        layout.addWidget(self.tabs)
        for widgets in ((self.progress_bar, self.cancel_button), (self.status_label, self.keys_button)):
            row = QHBoxLayout()
            row.setContentsMargins(4, 0, 2, 0)
            row.addWidget(widgets[0], 1)
            row.addWidget(widgets[1])
            layout.addLayout(row)
        self._show_bar(False)

    def _pages(self) -> dict[str, list[QWidget]]:
        """The panels on each tab, from top to bottom."""
        return {
            "Paint": [self.train_panel, self.search_panel, self.live_panel, self.suggest_panel, self.rounds_panel],
            "Result": [self.result_panel],
            "Objects": [self.objects_panel, self.classify_panel],
            "Time": [self.time_panel],
            "Model": [self.model_panel, self.encoder_panel, self.record_panel],
            "Batch": [self.batch_panel],
        }

    def _connect(self) -> None:
        session, application = self.session, QApplication.instance()
        session.said.connect(self._say)
        session.job_started.connect(self._on_job)
        self.cancel_button.clicked.connect(session.cancel)
        self.objects_panel.found.connect(self.record_panel.recorder.note_objects)
        self.objects_panel.found.connect(self.classify_panel.take)
        self.result_panel.curve_box.object_settings = self.objects_panel.form.value
        self.classify_panel.classified.connect(self.objects_panel.show_table)
        self.classify_panel.follow(self.objects_panel.table_view, self.objects_panel.model)
        self._patience.timeout.connect(lambda: self._show_bar(session.runner.current is not None))
        image = session.book.selected_image()
        if image is not None:
            self.train_panel.image_combo.set_value(image)
        self._say("Open an image." if session.image is None else "Add brush layers, and paint on a few objects.")
        self._enter()
        if application is not None:
            application.aboutToQuit.connect(self._leave)

    def _on_job(self, job: Job) -> None:
        self.progress_bar.setRange(0, 0)
        self.progress_bar.setFormat(f"{job.title} …")
        if job.kind == "main":
            self._show_bar(True)
        elif not self._patience.isActive():
            self._patience.start(PATIENCE_MS)
        job.progress.connect(lambda progress: self._on_progress(job, progress))
        job.finished.connect(self._on_finished)

    def _on_progress(self, job: Job, progress: Progress) -> None:
        facts = "" if progress.risk is None else f" · risk {progress.risk:.3f}"
        seconds = job.remaining_s(progress)
        if seconds is not None:
            facts += f" · {max(1, round(seconds))} s left"
        bar, metrics = self.progress_bar, self.progress_bar.fontMetrics()
        room = bar.width() - metrics.horizontalAdvance(facts) - 12
        title = metrics.elidedText(progress.message or job.title, Qt.TextElideMode.ElideRight, room)
        bar.setRange(0, progress.total)
        bar.setFormat((title + facts).replace("%", "%%"))
        bar.setValue(progress.step)  # repaints, so it comes last

    def _on_finished(self) -> None:
        if self.session.runner.current is None:
            self._patience.stop()
            self._show_bar(False)

    def _show_bar(self, on: bool) -> None:
        self.progress_bar.setVisible(on)
        self.cancel_button.setVisible(on)

    def _say(self, text: str, failed: bool = False) -> None:
        self.status_label.setText(text)
        self.status_label.setStyleSheet(FAILED if failed else "")


def add_brush_layers(viewer: napari.Viewer) -> MainWidget:
    """Open the widget and add brush layers for the selected image; a command of the napari menus."""
    widget = opened_widget(viewer)
    widget.train_panel.add_brushes()
    return widget


def measure_objects(viewer: napari.Viewer) -> None:
    """Open the widget and measure the objects of the selected labels layer, else of the result; a menu command."""
    widget = opened_widget(viewer)
    widget.tabs.setCurrentIndex(list(widget._pages()).index("Objects"))
    widget.objects_panel.measure_layer(own(viewer.layers.selection.active))


def opened_widget(viewer: napari.Viewer, *, behind: bool = False) -> MainWidget:
    """The widget of a viewer, open, with the selected image chosen; `behind`: of an open one nothing is changed."""
    widget = next((one for one in viewer.window.dock_widgets.values() if isinstance(one, MainWidget)), None)
    if widget is None:
        widget = MainWidget(viewer)
        viewer.window.add_dock_widget(widget, name=DOCK, tabify=behind)
    elif behind:
        return widget
    dock = widget.parentWidget()
    if dock is not None:
        dock.show()
    image = widget.session.book.selected_image()
    if image is not None:
        widget.train_panel.image_combo.set_value(image)
    return widget

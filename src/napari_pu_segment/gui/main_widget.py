"""The dock widget, and the commands of the napari menus."""

from __future__ import annotations

import napari
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import QApplication, QFrame, QLabel, QProgressBar, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from napari_pu_segment.core.progress import Progress

from .jobs import Job
from .layers import LayerBook
from .model_panel import ModelPanel
from .result_panel import ResultPanel
from .session import Session
from .train_panel import TrainPanel

PLUGIN, TITLE = "napari-pu-segment", "Paint and segment"
DOCK = f"{TITLE} (PU segment)"  # as napari's menus name it, so that they show and hide this one and open no other
# Neighbours under the left hand, while the right one paints; the first pair that is free is taken.
KEY_PAIRS = (("Q", "W"), ("G", "H"), ("Shift-Q", "Shift-W"), ("Shift-G", "Shift-H"))


class MainWidget(QWidget):
    """Paint a few strokes, train, see the segmentation.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Injected by napari under this name.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.session = Session(LayerBook(napari_viewer))
        self.keys = dict(zip(("positive", "negative"), free_keys(napari_viewer), strict=False))
        self.train_panel = TrainPanel(self.session, self.keys)
        self.result_panel = ResultPanel(self.session)
        self.model_panel = ModelPanel(self.session)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.progress_bar = QProgressBar()
        self.status_label = QLabel()
        self.status_label.setWordWrap(True)
        self._lay_out()
        self.session.said.connect(self._say)
        self.session.job_started.connect(self._on_job)
        image = self.session.book.selected_image()
        if image is not None:
            self.train_panel.image_combo.set_value(image)
        self._say("Open an image." if self.session.image is None else "Add brush layers, and paint on a few objects.")
        self._bind_keys()
        application, session = QApplication.instance(), self.session
        self.destroyed.connect(lambda: session.close())  # by then this widget itself is gone
        if application is not None:
            application.aboutToQuit.connect(self._leave)

    def event(self, event: QEvent | None) -> bool:
        """Let go when the dock is closed: no job and no key of ours is left behind."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._leave()
            else:
                self._bind_keys()
        return super().event(event)

    def _leave(self) -> None:
        self.session.close()
        for key in self.keys.values():
            self._viewer.bind_key(key, None, overwrite=True)

    def _lay_out(self) -> None:
        for title, panels in self._pages().items():
            self.tabs.addTab(_Column(panels), title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 6, 2, 2)
        layout.addWidget(self.tabs)
        layout.addWidget(self.progress_bar)
        layout.addWidget(self.status_label)
        self.progress_bar.hide()

    def _pages(self) -> dict[str, list[QWidget]]:
        """The panels on each tab, from top to bottom."""
        return {"Paint": [self.train_panel], "Result": [self.result_panel], "Model": [self.model_panel]}

    def _on_job(self, job: Job) -> None:
        self.progress_bar.setRange(0, 0)
        self.progress_bar.setFormat(f"{job.title} …")
        self.progress_bar.show()
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
            self.progress_bar.hide()

    def _say(self, text: str, failed: bool = False) -> None:
        self.status_label.setText(text)
        self.status_label.setStyleSheet("color: #D55E00; font-weight: bold;" if failed else "")

    def _bind_keys(self) -> None:
        for role, key in self.keys.items():
            self._viewer.bind_key(key, lambda _viewer, role=role: self.train_panel.paint(role), overwrite=True)


class _Column(QScrollArea):
    """Panels one below the other; a dock cannot be made so narrow that something is cut off at their side."""

    def __init__(self, panels: list[QWidget]) -> None:
        super().__init__()
        inner = QWidget()
        rows = QVBoxLayout(inner)
        rows.setContentsMargins(0, 3, 0, 0)
        for panel in panels:
            rows.addWidget(panel)
        rows.addStretch()
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        inner, bar = self.widget(), self.verticalScrollBar()
        assert inner is not None
        assert bar is not None
        return QSize(inner.minimumSizeHint().width() + bar.sizeHint().width(), 200)


def free_keys(viewer: napari.Viewer) -> tuple[str, ...]:
    """The first pair of keys that neither napari, nor the user's settings, nor another plugin uses; else none."""
    taken = {str(coerce_keybinding(key)) for keys in get_settings().shortcuts.shortcuts.values() for key in keys}
    taken |= {str(coerce_keybinding(key)) for key in viewer.keymap}
    return next((pair for pair in KEY_PAIRS if not {str(coerce_keybinding(key)) for key in pair} & taken), ())


def add_brush_layers(viewer: napari.Viewer) -> None:
    """Open the widget and add brush layers for the selected image; a command of the napari menus."""
    widget = next((one for one in viewer.window.dock_widgets.values() if isinstance(one, MainWidget)), None)
    if widget is None:
        widget = MainWidget(viewer)
        viewer.window.add_dock_widget(widget, name=DOCK)
    dock = widget.parentWidget()
    if dock is not None:
        dock.show()
    image = widget.session.book.selected_image()
    if image is not None:
        widget.train_panel.image_combo.set_value(image)
    widget.train_panel.add_brushes()

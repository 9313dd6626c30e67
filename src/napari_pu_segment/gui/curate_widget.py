"""The dock of curation."""

from __future__ import annotations

import napari
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import QApplication, QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from .curate_panel import CuratePanel
from .jobs import JobRunner
from .layers import LayerBook
from .looks import FAILED


class CurateWidget(QWidget):
    """Know the images of a folder: a gallery of what was found.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Injected by napari under this name.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.runner = JobRunner()
        self.panel = CuratePanel(self.runner, LayerBook(napari_viewer))
        self.status_label = QLabel("Choose a folder of images, and look through it.")
        self.status_label.setWordWrap(True)
        runner = self.runner
        self._end, self._entered = (lambda: runner.close()), False  # by then this widget itself is gone
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 2)
        layout.addWidget(_Column(self.panel))
        layout.addWidget(self.status_label)
        self.panel.said.connect(self._say)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._leave)

    def event(self, event: QEvent | None) -> bool:
        """Let go when the dock is closed: no job of ours is left behind."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._leave()
            elif not self._entered:
                self._entered = True
                self.destroyed.connect(self._end)
        return super().event(event)

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            self.destroyed.disconnect(self._end)
        self.runner.close()

    def _say(self, text: str, failed: bool = False) -> None:
        self.status_label.setText(text)
        self.status_label.setStyleSheet(FAILED if failed else "")


class _Column(QScrollArea):
    """Scrolls up and down; the dock cannot be made so narrow that something is cut off at its side."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self.setWidget(panel)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        inner, bar = self.widget(), self.verticalScrollBar()
        assert inner is not None
        assert bar is not None
        return QSize(inner.minimumSizeHint().width() + bar.sizeHint().width(), 200)

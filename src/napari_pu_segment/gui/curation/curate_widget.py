"""The dock of curation."""

from __future__ import annotations

import gc
from functools import partial

import napari
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget

from ..jobs import Job, JobRunner
from ..looks import FAILED
from ..main_widget import SETTLE_MS, MainWidget, opened_widget
from ..parts.column import Column
from ..viewer.layers import LayerBook
from .annotate_box import AnnotateBox
from .campaign import Campaign
from .curate_panel import CuratePanel
from .ready import GETTING_READY, importing

# What looking through a folder takes from these libraries
_NEEDED = (
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.decomposition",
    "sklearn.ensemble",
    "sklearn.metrics",
    "sklearn.neighbors",
)


class CurateWidget(QWidget):
    """Know the images of a folder: a gallery of what was found, and the way to annotate those that tell most.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Injected by napari under this name.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.runner, book = JobRunner(), LayerBook(napari_viewer)
        self.panel = CuratePanel(self.runner, book)
        self.campaign = Campaign(self.runner, book, partial(self._painter, napari_viewer))
        self.annotate_box = AnnotateBox(self.campaign)
        self.status_label = QLabel("Choose a folder of images, and look through it.")
        self.status_label.setWordWrap(True)
        runner = self.runner
        self._end, self._entered = (lambda: runner.close()), False  # by then this widget itself is gone
        self._seen = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 2)
        layout.addWidget(Column([self.panel, self.annotate_box], fills=True))
        layout.addWidget(self.status_label)
        self._connect()
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._leave)

    def _connect(self) -> None:
        panel, campaign = self.panel, self.campaign
        panel.said.connect(self._say)
        campaign.said.connect(self._say)
        panel.looked.connect(campaign.begin)
        campaign.ranked.connect(panel.update_report)
        self.annotate_box.wanted.connect(self._paint)

    def _paint(self) -> None:
        number = self.panel.view.number()
        if number is None:
            self._say("Select an image in the gallery first.")
        else:
            self.campaign.open(number)

    def _painter(self, viewer: napari.Viewer) -> MainWidget:
        """The widget that paints; its dock is opened behind this one, which stays in front."""
        widget, dock = opened_widget(viewer, behind=True), self.parentWidget()
        if dock is not None and not self._seen:
            self._seen = True
            dock.raise_()
        return widget

    def event(self, event: QEvent | None) -> bool:
        """Let go when the dock is closed: no job of ours is left behind."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._leave()
            elif not self._entered:
                self._entered = True
                self.destroyed.connect(self._end)
                QTimer.singleShot(SETTLE_MS, self._get_ready)
        return super().event(event)

    def _get_ready(self) -> None:
        if self._entered:
            self.runner.start(importing(_NEEDED), GETTING_READY, _then_look_for_garbage, "beside")

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            self.destroyed.disconnect(self._end)
        self.runner.close()

    def _say(self, text: str, failed: bool = False) -> None:
        self.status_label.setText(text)
        self.status_label.setStyleSheet(FAILED if failed else "")


def _then_look_for_garbage(job: Job) -> None:
    job.returned.connect(lambda _: gc.collect())  # on the main thread, which other programs do not hold up

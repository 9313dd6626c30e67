"""The dock of stains: an image normalised to another, and its stains as layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils import Colormap
from qtpy.QtWidgets import (
    QApplication,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.images.stained import measuring, normalising, separating
from napari_pu_segment.core.images.stains import NORMALISERS, STAINS
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import Sample

from .jobs import Job, JobRunner
from .looks import FAILED
from .parts.combo import Combo
from .parts.image_combo import ImageCombo
from .viewer.layers import LayerBook

_LOOKED_AT_PX = 2**20  # of a stain's layer, for where its colours end
COLOURS = dict(zip(STAINS, ("#26267f", "#c8387f", "#6b3a0a"), strict=True))  # of much stain; none is white


class StainsWidget(QWidget):
    """Normalise the stains of an RGB image to those of another, or show its stains one by one.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Injected by napari under this name.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.runner, self.book = JobRunner(), LayerBook(napari_viewer)
        self.image_combo, self.target_combo = ImageCombo(self.book), ImageCombo(self.book)
        self.method_combo = Combo()
        for name, row in NORMALISERS.items():
            self.method_combo.addItem(row.title, name)
        self.separate_button, self.normalise_button = QPushButton("Separate stains"), QPushButton("Normalise")
        self.progress_bar, self.cancel_button = QProgressBar(), QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; no layer is added")
        self._job: Job | None = None
        self.status_label = QLabel("Choose an RGB image of stained tissue.")
        self.status_label.setWordWrap(True)
        self._lay_out()
        self.separate_button.clicked.connect(self.separate)
        self.normalise_button.clicked.connect(self.normalise)
        self.cancel_button.clicked.connect(self.cancel)
        runner = self.runner
        self.destroyed.connect(lambda: runner.close())
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(runner.close)

    def _lay_out(self) -> None:
        self.separate_button.setToolTip("Add a layer for each stain: haematoxylin, eosin and DAB, in optical density")
        self.normalise_button.setToolTip("Add a copy of the image with the stains of the target")
        self.target_combo.setToolTip("The image whose stains the copy is to have")
        rows, layout = QFormLayout(), QVBoxLayout(self)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Image", self.image_combo)
        rows.addRow(self.separate_button)
        rows.addRow("Target", self.target_combo)
        rows.addRow("Method", self.method_combo)
        rows.addRow(self.normalise_button)
        running = QHBoxLayout()
        running.addWidget(self.progress_bar)
        running.addWidget(self.cancel_button)
        layout.addLayout(rows)
        layout.addLayout(running)
        layout.addWidget(self.status_label)
        layout.addStretch()
        self._show_running(False)

    def separate(self) -> None:
        """Add a layer for each stain of the image, in the background."""
        image = self.image_combo.value()
        if image is not None:
            self._start(_separated, (image,), lambda found: self._show_stains(image, found))

    def normalise(self) -> None:
        """Add a copy of the image with the stains of the target, in the background."""
        image, target, method = self.image_combo.value(), self.target_combo.value(), self.method_combo.currentData()
        if image is None or target is None:
            return
        if image is target:
            self._say("Image and target are the same. Choose another image as target.", True)
            return
        self._start(partial(_normalised, method), (image, target), lambda found: self._show(image, found))

    def cancel(self) -> None:
        """Stop what is running."""
        if self._job is not None:
            self._job.cancel()

    def _start(self, work: Callable[..., Work[Any]], images: tuple[Image, ...], show: Callable[[Any], None]) -> None:
        def connect(job: Job) -> None:
            job.returned.connect(show)
            job.failed.connect(lambda error: self._say(str(error), True))
            job.cancelled.connect(lambda: self._say("Cancelled."))
            job.progress.connect(self._on_progress)
            job.finished.connect(lambda: self._show_running(False))

        try:
            samples = [self.book.snapshot(image).sample() for image in images]
            self._show_running(True)
            self._say("Working …")
            self._job = self.runner.start(work(*samples), "Stains", connect)
        except PuSegmentError as error:
            self._show_running(False)
            self._say(str(error), True)

    def _show_running(self, on: bool) -> None:
        self.progress_bar.setRange(0, 0)
        for shown in (self.progress_bar, self.cancel_button):
            shown.setVisible(on)
        for button in (self.separate_button, self.normalise_button):
            button.setEnabled(not on)

    def _on_progress(self, progress: Progress) -> None:
        self.progress_bar.setRange(0, progress.total)
        self.progress_bar.setFormat(progress.message)
        self.progress_bar.setValue(progress.step)

    def _show(self, image: Image, found: np.ndarray) -> None:
        self._add(image, np.moveaxis(found, 0, -1), f"{image.name} normalised", rgb=True)
        self._say("The copy is a layer of its own.")

    def _show_stains(self, image: Image, found: tuple[np.ndarray, list[float]]) -> None:
        for name, amounts, top in zip(STAINS, *found, strict=True):
            look = {"colormap": Colormap(["white", COLOURS[name]], name), "contrast_limits": (0, top)}
            self._add(image, amounts, f"{image.name} {name}", visible=name == STAINS[0], **look)
        self._say("Each stain is a layer. Only haematoxylin is visible yet.")

    def _add(self, image: Image, data: np.ndarray, name: str, **look: Any) -> None:
        if self.book.contains(image):
            chosen = self.image_combo.value(), self.target_combo.value()
            place = self.book.channels.grid(image).placement
            self.book.viewer.add_image(data, name=name, **place, **look)
            self.image_combo.set_value(chosen[0])
            self.target_combo.set_value(chosen[1])

    def _say(self, text: str, failed: bool = False) -> None:
        self.status_label.setText(text)
        self.status_label.setStyleSheet(FAILED if failed else "")


def _separated(sample: Sample) -> Work[tuple[np.ndarray, list[float]]]:
    """The stains (3, Y, X) of an image, and how much of each has its full colour on screen."""
    found = yield from separating(sample.image, f"The image {sample.name!r}")
    yield Progress(0, 0, "Choosing colours")
    step = max(1, round((found[0].size / _LOOKED_AT_PX) ** 0.5))
    return found, [max(float(np.percentile(one[::step, ::step], 99.9)), 1e-3) for one in found]


def _normalised(method: str, sample: Sample, target: Sample) -> Work[np.ndarray]:
    aim = yield from measuring(method, target.image, f"The image {target.name!r}")
    return (yield from normalising(sample.image, aim, f"The image {sample.name!r}"))

"""The dock of stains: an image normalised to another, and its stains as layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils import Colormap
from qtpy.QtWidgets import QApplication, QComboBox, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.stains import NORMALISERS, STAINS, check_rgb, normalise_stains, separate

from .image_combo import ImageCombo
from .jobs import Job, JobRunner
from .layers import LayerBook
from .looks import FAILED
from .settings_form import narrow

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
        self.method_combo = QComboBox()
        narrow(self.method_combo)
        for name, row in NORMALISERS.items():
            self.method_combo.addItem(row.title, name)
        self.separate_button, self.normalise_button = QPushButton("Separate stains"), QPushButton("Normalise")
        self.status_label = QLabel("Choose an RGB image of stained tissue.")
        self.status_label.setWordWrap(True)
        self._lay_out()
        self.separate_button.clicked.connect(self.separate)
        self.normalise_button.clicked.connect(self.normalise)
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
        layout.addLayout(rows)
        layout.addWidget(self.status_label)
        layout.addStretch()

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

    def _start(
        self, work: Callable[..., Work[np.ndarray]], images: tuple[Image, ...], show: Callable[[np.ndarray], None]
    ) -> None:
        def connect(job: Job) -> None:
            job.returned.connect(show)
            job.failed.connect(lambda error: self._say(str(error), True))
            job.finished.connect(lambda: self._enable(True))

        try:
            samples = [self.book.snapshot(image).sample() for image in images]
            self._enable(False)
            self._say("Working …")
            self.runner.start(work(*samples), "Stains", connect)
        except PuSegmentError as error:
            self._enable(True)
            self._say(str(error), True)

    def _enable(self, on: bool) -> None:
        self.separate_button.setEnabled(on)
        self.normalise_button.setEnabled(on)

    def _show(self, image: Image, found: np.ndarray) -> None:
        self._add(image, np.moveaxis(found, 0, -1), f"{image.name} normalised", rgb=True)
        self._say("The copy is a layer of its own.")

    def _show_stains(self, image: Image, found: np.ndarray) -> None:
        for name, amounts in zip(STAINS, found, strict=True):
            top = max(float(np.percentile(amounts, 99.9)), 1e-3)
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


def _light(sample: Sample) -> np.ndarray:
    return check_rgb(sample.image, f"The image {sample.name!r}")


def _separated(sample: Sample) -> Work[np.ndarray]:
    yield Progress(0, 0, "Separating stains")
    return separate(_light(sample))


def _normalised(method: str, sample: Sample, target: Sample) -> Work[np.ndarray]:
    yield Progress(0, 0, "Measuring the target")
    aim = NORMALISERS[method].measure(_light(target), f"The image {target.name!r}")
    yield Progress(0, 0, "Normalising stains")
    return normalise_stains(_light(sample), aim, f"The image {sample.name!r}")

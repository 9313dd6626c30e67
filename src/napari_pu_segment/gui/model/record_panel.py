"""The panel of what can be kept of a session: its record, and its strokes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QGridLayout, QGroupBox, QPushButton, QVBoxLayout, QWidget

from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.io import read_strokes, sanitise_name, write_strokes

from ..session import Session
from ..viewer.classes import OTHERS, ClassBook
from ..viewer.grid import planes
from ..viewer.snapshots import Snapshot
from .recorder import Recorder

GEOJSON, LABELS = "GeoJSON (*.geojson)", "Label image (*.tif)"


class RecordPanel(QWidget):
    """Save a record of the result; write strokes to a file, and read them again.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    recorder : Recorder
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.recorder = Recorder(session)
        self.record_button = QPushButton("Save record …")
        self.record_button.setToolTip(
            "Write down every step that led to this result: strokes, settings, trainings, threshold, refinement. "
            "“napari-pu-segment replay RECORD IMAGE --out FOLDER” makes the same result again, byte for byte."
        )
        self.export_button = QPushButton("Export strokes …")
        self.export_button.setToolTip(
            "Write the strokes of the chosen image as GeoJSON, which QuPath reads, or as an image of label codes "
            "(1 positive, 2 negative, 3 ignore, 4 and so on further classes)"
        )
        self.import_button = QPushButton("Import strokes …")
        self.import_button.setToolTip(
            "Replace the strokes of the chosen image by those of a file: GeoJSON, also from QuPath, or an image of "
            "label codes. Undo (Ctrl+Z on the brush layer) brings the old ones back."
        )
        self._lay_out()
        self.record_button.clicked.connect(self.save_record)
        self.export_button.clicked.connect(self.export_strokes)
        self.import_button.clicked.connect(self.import_strokes)
        session.result_changed.connect(self._refresh)
        session.image_changed.connect(self._refresh)
        session.book.changed.connect(self._refresh)
        self._refresh()

    def save_record(self) -> None:
        """Ask where, and write the record there."""
        name = f"{self._stem()}_record.json"
        path, _ = QFileDialog.getSaveFileName(self, "Save the record", name, "Record (*.json)")
        if path:
            self._try(lambda: self.recorder.save(path))

    def export_strokes(self) -> None:
        """Ask where, and write the strokes there."""
        name = f"{self._stem()}_strokes.geojson"
        path, chosen = QFileDialog.getSaveFileName(self, "Export strokes", name, f"{GEOJSON};;{LABELS}")
        if path and chosen == LABELS and not path.lower().endswith((".tif", ".tiff")):
            path = path.removesuffix(".geojson") + ".tif"
        if path:
            self._try(lambda: self._export(path))

    def import_strokes(self) -> None:
        """Ask which file, and put its strokes in place of those there are."""
        kinds = "Strokes (*.geojson *.json *.tif *.tiff *.png *.npy);;All files (*)"
        path, _ = QFileDialog.getOpenFileName(self, "Import strokes", "", kinds)
        if path:
            self._try(lambda: self._import(path))

    def _lay_out(self) -> None:
        group = QGroupBox("Session")
        grid = QGridLayout(group)
        grid.setContentsMargins(5, 9, 5, 5)
        grid.addWidget(self.record_button, 0, 0, 1, 2)
        grid.addWidget(self.export_button, 1, 0)
        grid.addWidget(self.import_button, 1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(group)

    def _export(self, path: str) -> None:
        snapshot = self._session.book.snapshot(self._need_image())
        if not any(snapshot.painted(role) for role in snapshot.strokes):
            raise InputError("There are no strokes to export. Paint some first.")
        said = f"Strokes written to {path}."
        self._session.aside(
            _written(snapshot, path), "Exporting strokes", lambda _: self._session.said.emit(said, False)
        )

    def _import(self, path: str) -> None:
        image = self._need_image()
        snapshot = self._session.book.snapshot(image)
        self._session.aside(_read(path, snapshot), "Importing strokes", lambda masks: self._put(image, masks))

    def _put(self, image: Image, masks: Mapping[str, np.ndarray]) -> None:
        book = self._session.book
        if not book.contains(image):
            self._session.said.emit("The image was removed meanwhile, so no strokes were imported.", True)
            return

        def put() -> None:
            roles = {name: _role(book.classes, name, mask) for name, mask in masks.items()}
            nothing = np.zeros_like(next(iter(masks.values())))
            found = {role: masks[name] for name, role in roles.items() if role}
            for role in book.classes.brushes:
                mask = found.get(role, nothing)
                if mask.any() or book.member(image, role) is not None:
                    book.put_strokes(image, role, mask)
            self._session.said.emit(f"Strokes imported for {image.name!r}; undo brings the old ones back.", False)

        self._try(put)

    def _need_image(self) -> Image:
        image = self._session.image
        if image is None or not self._session.book.contains(image):
            raise InputError("There is no image. Open one in napari, and choose it above.")
        return image

    def _stem(self) -> str:
        image = self._session.image
        return sanitise_name("strokes" if image is None else image.name)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)

    def _refresh(self) -> None:
        image, book = self._session.image, self._session.book
        there = image is not None and book.contains(image)
        painted = there and any(book.member(image, role) is not None for role in book.classes.brushes)
        self.record_button.setEnabled(self._session.result is not None)
        self.export_button.setEnabled(painted)
        self.import_button.setEnabled(there)


def _role(classes: ClassBook, name: str, mask: np.ndarray) -> str:
    """The role that strokes of a file play; a class that there is not yet is added if it is painted on."""
    if name in OTHERS:
        return name
    known = classes.called(name)
    if known is None and mask.any():
        known = classes.add(name)
    return "" if known is None else known.role


def _written(snapshot: Snapshot, path: str) -> Work[None]:
    yield Progress(0, 0, "Writing the strokes")
    write_strokes(path, snapshot.masks(), snapshot.sample_size, snapshot.pixel_unit, snapshot.sample_axes)


def _read(path: str, snapshot: Snapshot) -> Work[dict[str, np.ndarray]]:
    yield Progress(0, 0, "Reading the strokes")
    return read_strokes(path, planes(snapshot.shape), snapshot.sample_axes)

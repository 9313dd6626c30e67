"""The panel that tells objects apart without labels, and shows their classes in table and layer and on a map."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QGroupBox, QLabel, QPushButton, QTableView, QVBoxLayout, QWidget

from napari_pu_segment.core.classify import ClassifySettings, Scene, classify, painted, with_classes
from napari_pu_segment.core.embedding_map import embedding_map
from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.progress import Progress, Work

from .jobs import Job
from .map_plot import MapPlot
from .measuring import Found
from .numbers import PERCENT
from .objects_table import ObjectsTable
from .session import Session
from .settings_form import SettingsForm
from .snapshots import Snapshot

CLASSIFY = "Find classes"
_LEAD = ("frame", "plane")  # columns that tell objects of one label apart


@dataclass(frozen=True, eq=False)
class Classified:
    """Objects with their classes in the table, where each class lies, and a map of the objects.

    Parameters
    ----------
    found : Found
    layer : ndarray of uint8, ([T,] [Z,] Y, X)
    numbers : ndarray, (n,)
    points : ndarray, (n, 2)
        None, (0, 2), where no map can be drawn.
    hindrance : str
        Why, or nothing.
    """

    found: Found
    layer: np.ndarray
    numbers: np.ndarray
    points: np.ndarray
    hindrance: str = ""


class ClassifyPanel(QWidget):
    """Put the objects that were found into classes, without labels.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    classified : Signal(Found)
        The objects that were given, their classes in the table.
    """

    classified = Signal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._found: Found | None = None
        self._shown: Image | None = None  # the image over which classes are shown
        self._job: Job | None = None
        self._table: tuple[QTableView, ObjectsTable] | None = None
        self.form = SettingsForm(ClassifySettings)
        self.button = QPushButton(CLASSIFY)
        self.button.setToolTip(
            "Put the objects of the table into classes by how they look, without labels. The classes come into the "
            "table, and into a layer of their own."
        )
        self.count_label = QLabel()
        self.count_label.setWordWrap(True)
        self.map_plot = MapPlot()
        box = QGroupBox("Classes without labels")
        inner = QVBoxLayout(box)
        inner.setContentsMargins(5, 9, 5, 5)
        for widget in (self.form, self.button, self.count_label, self.map_plot):
            inner.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        self.button.clicked.connect(self.classify_or_cancel)
        self.map_plot.picked.connect(self._on_point)
        self._refresh()

    @property
    def running(self) -> bool:
        """Whether classes are being looked for."""
        return self._job is not None and self._job.running

    def follow(self, view: QTableView, model: ObjectsTable) -> None:
        """A table of the objects: a point that is clicked chooses its row, and of a chosen row the point is marked."""
        self._table = view, model
        selection = view.selectionModel()
        assert selection is not None
        selection.selectionChanged.connect(self._on_row)

    def take(self, found: Found) -> None:
        """Objects were found or measured anew: what was known of their classes does not hold for them."""
        if self._job is not None and self.running:
            self._job.cancel()
        self._found = found
        if self._shown is not None and self._session.book.contains(self._shown):
            self._session.book.hide(self._shown, "classes")
        self._shown = None
        self.count_label.setText("")
        self.map_plot.set_value(np.zeros((0, 2)), np.zeros(0, np.int64))
        self._refresh()

    def classify_or_cancel(self) -> None:
        """Look for classes in the background; while that runs, cancel it."""
        if self._job is not None and self.running:
            self._job.cancel()
            return
        found, image, book = self._found, self._session.image, self._session.book
        try:
            if found is None or image is None or not book.contains(image):
                raise InputError("There are no objects of an image yet. Find them first.")
            work = classes_of(found, book.snapshot(image), self.form.value(), self._session.encoder.model)
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        self._job = self._session.aside(work, "Classifying", lambda done: self._on_done(found, image, done))
        self._job.progress.connect(self._on_progress)
        self._job.finished.connect(self._refresh)
        self._refresh()

    def _on_progress(self, progress: Progress) -> None:
        share = f" ({100 * progress.step // progress.total}{PERCENT})" if progress.total else ""
        self.button.setText(f"Cancel{share}")

    def _on_done(self, found: Found, image: Image, done: Classified) -> None:
        if found is not self._found:
            return  # of objects that are gone
        try:
            self._session.book.show(image, "classes", done.layer)
        except InputError as error:
            self._session.said.emit(str(error), True)
            return
        self._shown = image
        counts, total = np.bincount(done.numbers)[1:], len(done.numbers)
        shares = [f"class {k}: {n} ({round(100 * n / total)}{PERCENT})" for k, n in enumerate(counts, 1)]
        self.count_label.setText(f"{', '.join(shares).capitalize()}. {done.hindrance}".strip())
        self._session.said.emit(f"{total} objects in {len(shares)} classes.", False)
        self.classified.emit(done.found)
        self.map_plot.set_value(done.points, done.numbers[: len(done.points)])
        self._refresh()

    def _on_point(self, index: int) -> None:
        """Choose the row of a point; the table then goes to the object."""
        if self._table is None or self._found is None:
            return
        view, model = self._table
        place = self._found.table.row(index)
        row = model.find(place["label"], {name: place[name] for name in _LEAD if name in place})
        if row is not None:
            view.selectRow(row)
            view.scrollTo(model.index(row, 0))

    def _on_row(self) -> None:
        """Mark the point of the chosen row."""
        if self._table is None or self._found is None:
            return
        view, model = self._table
        selection = view.selectionModel()
        rows = selection.selectedRows() if selection is not None else []
        columns, index = self._found.table.columns, None
        if rows:
            place = model.table_row(rows[0].row())
            same = [columns[name] == place[name] for name in ("label", *_LEAD) if name in columns and name in place]
            index = next(iter(np.flatnonzero(np.logical_and.reduce(same))), None)
        self.map_plot.mark(None if index is None or index >= self.map_plot.n_points() else int(index))

    def _refresh(self) -> None:
        if not self.running:
            self.button.setText(CLASSIFY)
        self.map_plot.setVisible(self.map_plot.n_points() > 0)
        self.button.setEnabled(self.running or (self._found is not None and len(self._found.table) > 0))


def classes_of(
    found: Found, snapshot: Snapshot, settings: ClassifySettings, encoder: Model | None = None
) -> Work[Classified]:
    """Classes of objects by how they look in an image.

    Raises
    ------
    InputError
        If the image has another shape than the objects, or there are too few of these.
    """
    yield Progress(0, 0, "Reading the image")
    sample = snapshot.sample()
    if sample.spatial_shape != found.labels.shape:
        raise InputError("The chosen image has another shape than the objects. Choose the image that they lie in.")
    scene = Scene(sample.image, found.labels, found.table, f"The image {sample.name!r}", sample.axes)
    classes = yield from classify([scene], settings, encoder)
    points, hindrance = np.zeros((0, 2)), ""
    try:
        points = yield from embedding_map(classes.embedding, settings.seed)
    except InputError as error:  # classes are worth having without a map
        hindrance = str(error)
    table = with_classes(found.table, classes.numbers)
    return Classified(replace(found, table=table), painted(scene, classes.numbers), classes.numbers, points, hindrance)

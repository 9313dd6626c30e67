"""The panel that tells objects apart without labels, and shows their classes in table and layer and on a map."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QGroupBox, QLabel, QPushButton, QTableView, QVBoxLayout, QWidget

from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.core.objects.classify import ClassifySettings
from napari_pu_segment.core.progress import Progress

from ..jobs import Job
from ..numbers import PERCENT
from ..parts.map_plot import MapPlot
from ..parts.settings_form import SettingsForm
from ..session import Session
from .classifying import Classified, classes_of
from .images_box import ImagesBox
from .measuring import Found, exported
from .objects_table import ObjectsTable

CLASSIFY = "Find classes"
_LEAD = ("frame", "plane")  # columns that tell objects of one label apart
_CENTRE = (*_LEAD, "centroid_z_px", "centroid_y_px", "centroid_x_px")


class ClassifyPanel(QWidget):
    """Put the objects that were found into classes, without labels; of one image, or of all open ones together.

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
        self._known: WeakKeyDictionary[Image, Found] = WeakKeyDictionary()  # what was found of each image
        self._done: tuple[list[Image], Classified] | None = None  # what is shown
        self._job: Job | None = None
        self._table: tuple[QTableView, ObjectsTable] | None = None
        self.form, self.images_box = SettingsForm(ClassifySettings), ImagesBox()
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
        box_parts = (self.form, self.images_box, self.button, self.count_label)
        for widget in (*box_parts, self.images_box.view, self.images_box.export_button, self.map_plot):
            inner.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        self.button.clicked.connect(self.classify_or_cancel)
        self.map_plot.picked.connect(self._on_point)
        self.images_box.exported.connect(self._export)
        session.book.changed.connect(self._refresh)
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
        image = found.layer if isinstance(found.layer, Image) else self._session.image
        if image is not None:
            self._known[image] = found
        for shown in self._done[0] if self._done is not None else ():
            if self._session.book.contains(shown):
                self._session.book.hide(shown, "classes")
        self._done = None
        self.images_box.show_table(None)
        self.count_label.setText("")
        self.map_plot.set_value(np.zeros((0, 2)), np.zeros(0, np.int64))
        self._refresh()

    def classify_or_cancel(self) -> None:
        """Look for classes in the background; while that runs, cancel it."""
        if self._job is not None and self.running:
            self._job.cancel()
            return
        found, book = self._found, self._session.book
        try:
            parts = [(image, one) for image, one in self._with_objects() if self.images_box.together or one is found]
            if found is None or not any(one is found for _, one in parts):
                raise InputError("There are no objects of an image yet. Find them first.")
            images, frozen = [image for image, _ in parts], [(one, book.snapshot(image)) for image, one in parts]
            box = self.images_box
            work = classes_of(frozen, self.form.value(), self._session.encoder.model, box.n_classes(), box.known())
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        self._job = self._session.aside(work, "Classifying", lambda done: self._on_done(found, images, done))
        self._job.progress.connect(self._on_progress)
        self._job.finished.connect(self._refresh)
        self._refresh()

    def _on_progress(self, progress: Progress) -> None:
        share = f" ({100 * progress.step // progress.total}{PERCENT})" if progress.total else ""
        self.button.setText(f"Cancel{share}")

    def _with_objects(self) -> list[tuple[Image, Found]]:
        """The open images whose objects are known, with these."""
        book, found = self._session.book, []
        for image in book.images():
            one = self._known.get(image)
            layer = None if one is None else one.layer if one.mask is None else book.member(one.layer, "objects")
            if one is not None and book.contains(layer):
                found.append((image, one))
        return found

    def _on_done(self, found: Found, images: list[Image], done: Classified) -> None:
        if found is not self._found:
            return  # of objects that are gone
        try:
            for image, layer in zip(images, done.layers, strict=True):
                self._show(image, layer)
        except InputError as error:
            self._session.said.emit(str(error), True)
            return
        self._done, numbers, titles = (images, done), done.classes.numbers, done.classes.titles
        counts, total = np.bincount(numbers, minlength=len(titles) + 1)[1:], len(numbers)
        shares = [f"{title}: {n} ({round(100 * n / total)}{PERCENT})" for title, n in zip(titles, counts, strict=True)]
        told = [f"{', '.join(shares).capitalize()}.", _of_learnt(done), done.hindrance]
        self.count_label.setText(" ".join(filter(None, told)))
        among = f" of {len(images)} images" if len(images) > 1 else ""
        self._session.said.emit(f"{total} objects{among} in {len(shares)} classes.", False)
        self.images_box.show_table(done.images if len(images) > 1 else None)
        self.classified.emit(done.found[self._which(found)])
        self.map_plot.set_value(done.points, numbers[: len(done.points)])
        self._refresh()

    def _show(self, image: Image, layer: np.ndarray) -> None:
        """Show where each class lies; hidden with its image, which may lie where another one is looked at."""
        book = self._session.book
        new = book.member(image, "classes") is None
        book.show(image, "classes", layer)
        shown = book.member(image, "classes")
        if new and shown is not None:
            shown.visible = image.visible

    def _which(self, found: Found) -> int:
        """Which of the images that are shown these objects are of."""
        assert self._done is not None
        return next(i for i, one in enumerate(self._done[1].found) if one.labels is found.labels)

    def _export(self, path: str) -> None:
        if self._done is not None:
            said = f"Table written to {path}."
            work = exported(self._done[1].images, path)
            self._session.aside(work, "Exporting", lambda _: self._session.said.emit(said, False))

    def _on_point(self, index: int) -> None:
        """Choose the row of a point; the table then goes to the object. One of another image is gone to at once."""
        if self._table is None or self._found is None or self._done is None:
            return
        images, done = self._done
        ends = np.cumsum(done.classes.counts)
        which = int(np.searchsorted(ends, index, side="right"))
        place = done.found[which].table.row(index - int(ends[which - 1]) if which else index)
        if which != self._which(self._found):
            if self._session.book.contains(images[which]):
                self._session.book.go_to(images[which], [place[name] for name in _CENTRE if name in place])
            return
        view, model = self._table
        row = model.find(place["label"], {name: place[name] for name in _LEAD if name in place})
        if row is not None:
            view.selectRow(row)
            view.scrollTo(model.index(row, 0))

    def _on_row(self) -> None:
        """Mark the point of the chosen row."""
        if self._table is None or self._found is None or self._done is None:
            return
        view, model = self._table
        selection = view.selectionModel()
        rows = selection.selectedRows() if selection is not None else []
        columns, index = self._found.table.columns, None
        if rows:
            place = model.table_row(rows[0].row())
            same = [columns[name] == place[name] for name in ("label", *_LEAD) if name in columns and name in place]
            index = next(iter(np.flatnonzero(np.logical_and.reduce(same))), None)
        if index is not None:
            index += sum(self._done[1].classes.counts[: self._which(self._found)])
        self.map_plot.mark(None if index is None or index >= self.map_plot.n_points() else int(index))

    def _refresh(self) -> None:
        if not self.running:
            self.button.setText(CLASSIFY)
            self.images_box.offer(len(self._with_objects()))
        self.map_plot.setVisible(self.map_plot.n_points() > 0)
        self.button.setEnabled(self.running or (self._found is not None and len(self._found.table) > 0))


def _of_learnt(done: Classified) -> str:
    """How far the classes of images can be trusted that were learnt from a few, in words."""
    learnt = done.learnt
    if learnt is None:
        return ""
    n = np.count_nonzero(learnt.given)
    return f"Learnt from {n} images, of which {round(100 * learnt.accuracy)}{PERCENT} are told rightly unseen."

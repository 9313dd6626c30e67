"""The panel from mask to objects: find them, measure them, look at each, export the table."""

from __future__ import annotations

from napari.layers import Labels
from qtpy.QtCore import QItemSelectionModel, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.progress import Progress

from ..jobs import Job
from ..numbers import PERCENT
from ..parts.combo import Combo
from ..parts.settings_form import SettingsForm, fold
from ..session import Session
from .edit_box import EditBox
from .measuring import Found, exported, labels_layers, mask_of, of_layer, of_result
from .objects_table import ObjectsTable, summary

FIND, TITLE = "Find objects", "Measuring"


class ObjectsPanel(QWidget):
    """Find the objects of the mask, or take those of a labels layer; measure them.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    found : Signal(Found)
    """

    found = Signal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._found: Found | None = None
        self._job: Job | None = None
        self._layers: list[Labels] = []  # of the combo, below its first entry
        self._shown: Labels | None = None  # the layer that the objects of the table are in
        self._picking = False  # a row is being chosen because its object was
        self.source_combo = Combo()
        self.source_combo.setToolTip(
            "The result: its refined mask where there is one. Or a layer whose labels are the objects: yours, or "
            "the objects found before, which you may have corrected by hand."
        )
        self.form = SettingsForm(ObjectSettings)
        self.find_button = QPushButton(FIND)
        self.find_button.setToolTip("Find the objects, show them in a layer of their own, and measure them")
        self.stale_label, self.count_label = QLabel(), QLabel()
        self.table_view, self.model = QTableView(), ObjectsTable()
        self.edit_box = EditBox(session)
        self.only_box = QCheckBox("Show only the chosen object")
        self.only_box.setChecked(True)
        self.only_box.setToolTip("While a row is chosen, the other objects are hidden")
        self.all_button = QPushButton("Show all")
        self.all_button.setToolTip("Choose no row, and show all objects again")
        self.export_button = QPushButton("Export CSV …")
        self.export_button.setToolTip("Write the table to a file, with units in its header")
        self._lay_out()
        self._connect()
        self._refresh_sources()
        self._refresh()

    @property
    def running(self) -> bool:
        """Whether objects are being found or measured."""
        return self._job is not None and self._job.running

    def find_or_cancel(self) -> None:
        """Find and measure the objects in the background; while that runs, cancel it."""
        if self._job is not None and self._job.running:
            self._job.cancel()
            return
        self._measure()

    def _measure(self, *, as_it_is: bool = False) -> None:
        try:
            layer, settings = self._source(), self.form.value()
            if layer is not None:
                image, book = self._session.image, self._session.book
                snapshot = book.snapshot(image) if image is not None and book.contains(image) else None
                work = of_layer(layer, snapshot, settings, as_it_is=as_it_is)
            elif self._session.result is not None:
                work = of_result(self._session.result, settings)
            else:
                raise InputError("There is no mask yet. Paint and train first, or choose a labels layer.")
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        self._job = self._session.aside(work, TITLE, self._on_found)
        self._job.progress.connect(self._on_progress)
        self._job.finished.connect(self._refresh)
        self._refresh()

    def measure_layer(self, layer: Labels | None) -> None:
        """Measure a labels layer; the objects of the result where None or a layer of the result is given."""
        self._choose(layer)
        self.find_or_cancel()

    def _choose(self, layer: Labels | None) -> None:
        self.source_combo.setCurrentIndex(next((i for i, own in enumerate(self._layers, 1) if own is layer), 0))

    def _follow(self) -> None:
        """The labels that the table is of were edited."""
        if self._shown is not None and self._session.book.contains(self._shown):
            self._choose(self._shown)
            self._measure(as_it_is=True)

    def export(self) -> None:
        """Ask where, and write the table there."""
        if self._found is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Export the table", "objects.csv", "Table (*.csv)")
        if path:
            said = f"Table written to {path}."
            self._session.aside(
                exported(self._found.table, path), "Exporting", lambda _: self._session.said.emit(said, False)
            )

    def _lay_out(self) -> None:
        for label in (self.stale_label, self.count_label):
            label.setWordWrap(True)
        view = self.table_view
        view.setModel(self.model)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setSortingEnabled(True)
        view.setMinimumHeight(240)
        view.setToolTip("Click a row to go to its object, and a header to sort")
        rows, columns = view.verticalHeader(), view.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.hide()
        rows.setDefaultSectionSize(rows.minimumSectionSize())
        columns.setResizeContentsPrecision(50)  # rows looked at for the width; all of them would take long
        columns.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        box = QGroupBox("Objects")
        inner = QVBoxLayout(box)
        inner.setContentsMargins(5, 9, 5, 5)
        for widget in (self.source_combo, fold("Settings", self.form), self.find_button, self.stale_label):
            inner.addWidget(widget)
        table = QGroupBox("Measurements")
        inner = QVBoxLayout(table)
        inner.setContentsMargins(5, 9, 5, 5)
        for part in (self.count_label, view, self.edit_box, self.only_box):
            inner.addWidget(part)
        buttons = QHBoxLayout()
        buttons.addWidget(self.all_button)
        buttons.addWidget(self.export_button)
        inner.addLayout(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        layout.addWidget(table)

    def _connect(self) -> None:
        self.find_button.clicked.connect(self.find_or_cancel)
        self.source_combo.currentIndexChanged.connect(self._refresh)
        self.form.changed.connect(self._refresh)
        self.only_box.toggled.connect(self._highlight)
        self.all_button.clicked.connect(self.table_view.clearSelection)
        self.export_button.clicked.connect(self.export)
        selection = self.table_view.selectionModel()
        assert selection is not None
        selection.selectionChanged.connect(self._on_row)
        self._session.book.changed.connect(self._refresh_sources)
        self._session.result_changed.connect(self._refresh)
        self.edit_box.edits.changed.connect(self._follow)
        self._session.closing.connect(lambda: self._watch(None))

    def _source(self) -> Labels | None:
        index = self.source_combo.currentIndex()
        return self._layers[index - 1] if index > 0 else None

    def _refresh_sources(self) -> None:
        chosen = self._source()
        self._layers = labels_layers(self._session.book)
        with signals_blocked(self.source_combo):
            self.source_combo.clear()
            self.source_combo.addItems(["The result", *(layer.name for layer in self._layers)])
            self._choose(chosen)
        self.source_combo.setVisible(bool(self._layers))

    def _on_progress(self, progress: Progress) -> None:
        share = f" ({100 * progress.step // progress.total}{PERCENT})" if progress.total else ""
        self.find_button.setText(f"Cancel{share}")

    def _on_found(self, found: Found) -> None:
        layer = found.layer if isinstance(found.layer, Labels) else None
        if layer is None or found.mask is not None:
            try:
                self.edit_box.edits.show(found)
            except InputError as error:
                self._session.said.emit(str(error), True)
                return
            layer = self._session.book.member(found.layer, "objects")
        self._watch(layer)
        self.edit_box.edits.follow(layer, found.settings.min_size_px)
        self.show_table(found)
        self._session.said.emit(summary(found.table), False)
        self.found.emit(found)

    def show_table(self, found: Found) -> None:
        """Show the table of the objects that are on screen."""
        self._found = found
        self.model.set_table(found.table)
        self.table_view.resizeColumnsToContents()
        self._highlight()
        self._refresh()

    def _watch(self, layer: Labels | None) -> None:
        if self._shown is not None:
            self._shown.events.selected_label.disconnect(self._on_pick)
        self._shown = layer
        if layer is not None:
            layer.events.selected_label.connect(self._on_pick)

    def _on_row(self) -> None:
        row, found = self._row(), self._found
        if self._picking or found is None:
            return
        if row is not None and self._session.book.contains(found.layer):
            place = self.model.table_row(row)
            names = ("frame", "plane", "centroid_z_px", "centroid_y_px", "centroid_x_px")
            extent_px = place["volume_px"] ** (1 / 3) if "volume_px" in place else place["area_px"] ** 0.5
            self._session.book.go_to(found.layer, [place[name] for name in names if name in place], extent_px)
        self._highlight()

    def _highlight(self) -> None:
        layer, row = self._shown, self._row()
        if layer is None or not self._session.book.contains(layer):
            return
        with layer.events.selected_label.blocker(self._on_pick):
            if row is not None:
                layer.selected_label = self.model.table_row(row)["label"]
            layer.show_selected_label = row is not None and self.only_box.isChecked()

    def _on_pick(self) -> None:
        layer, selection = self._shown, self.table_view.selectionModel()
        assert layer is not None
        assert selection is not None
        point = layer.world_to_data(self._session.book.viewer.dims.point[-layer.ndim :])
        here = {"frame": round(point[0]), "plane": round(point[-3])} if layer.ndim > 2 else {}
        row = self.model.find(layer.selected_label, here)
        if row is not None:
            self._picking = True
            flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
            selection.select(self.model.index(row, 0), flags)
            self.table_view.scrollTo(self.model.index(row, 0))
            self._picking = False

    def _row(self) -> int | None:
        selection = self.table_view.selectionModel()
        rows = selection.selectedRows() if selection is not None else []
        return rows[0].row() if rows else None

    def _refresh(self) -> None:
        if not self.running:
            self.find_button.setText(FIND if self._source() is None else "Measure objects")
        self.find_button.setEnabled(self.running or self._source() is not None or self._session.result is not None)
        found = self._found
        self.stale_label.setText(self._stale(found))
        self.stale_label.setVisible(bool(self.stale_label.text()))
        self.count_label.setText("No objects yet." if found is None else summary(found.table))
        for widget in (self.table_view, self.only_box, self.all_button, self.export_button):
            widget.setEnabled(found is not None and len(found.table) > 0)

    def _stale(self, found: Found | None) -> str:
        """Why what is shown is not what would be found now, or nothing."""
        if found is None or found.mask is None:
            return ""
        result = self._session.result
        if not isinstance(found.layer, Labels) and (result is None or mask_of(result) is not found.mask):
            return f"Out of date: the mask has changed since. Press “{self.find_button.text()}”."
        try:
            changed = self.form.value() != found.settings
        except InputError:
            return ""
        return f"Out of date: the settings have changed. Press “{self.find_button.text()}”." if changed else ""

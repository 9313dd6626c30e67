"""The panel of time: area, objects and intensity of every frame as a plot, a table on disk, and keograms."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Labels
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.core.frames.keogram import KeogramSettings
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.series_files import FileSeries

from ..jobs import Job
from ..parts.combo import Combo
from ..parts.number_box import NumberBox
from ..parts.path_row import PathRow
from ..parts.settings_form import SettingsForm, fold
from ..session import Session
from .measuring import labels_layers, mask_of
from .time_view import TimeView
from .timing import (
    Scene,
    Timed,
    frame_on_screen,
    measured,
    measured_files,
    of_layer,
    of_result,
    retraced,
    saved,
    show_frame,
)

MEASURE, TITLE = "Measure frames", "Time series"


class TimePanel(QWidget):
    """Measure every frame of a series, see it against time, go to frames.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    changed : Signal()
        Another series, or another keogram of it, is shown.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._timed: Timed | None = None
        self._job: Job | None = None
        self._layers: list[Labels] = []  # of the combo, below its first entry
        self.source_combo = Combo()
        self.images_row = PathRow("Choose the frames", "Folder of frames in the order of their names, or a stack")
        self.masks_row = PathRow("Choose the masks", "Folder of their masks, such as results of a batch, or a stack")
        self.files_form = QWidget()
        self.interval_box = NumberBox()
        self.objects_form, self.line_form = SettingsForm(ObjectSettings), SettingsForm(KeogramSettings)
        self.measure_button = QPushButton(MEASURE)
        self.stale_label, self.view = QLabel(), TimeView()
        self.table_button, self.keogram_button = QPushButton("Export CSV …"), QPushButton("Save keogram …")
        self.line_button = QPushButton("Draw it again")
        line = QWidget()
        inner = QVBoxLayout(line)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.line_form)
        inner.addWidget(self.line_button)
        self.line_fold = fold("Line of the keogram", line)
        self._describe()
        self._lay_out()
        self._connect()
        self._refresh_sources()
        self._refresh()

    @property
    def running(self) -> bool:
        """Whether frames are being measured."""
        return self._job is not None and self._job.running

    def value(self) -> Timed | None:
        """The series that is shown."""
        return self._timed

    @property
    def _from_files(self) -> bool:
        return self.source_combo.currentIndex() == self.source_combo.count() - 1

    def measure_or_cancel(self) -> None:
        """Measure all frames in the background; while that runs, cancel it."""
        if self._job is not None and self._job.running:
            self._job.cancel()
            return
        session = self._session
        try:
            settings = self.objects_form.value(), self.line_form.value(), self.interval_box.value()
            if self._from_files:
                images, masks = self.images_row.value(), self.masks_row.value()
                if images is None or masks is None:
                    raise InputError("Choose the folder of the frames and the folder of their masks.")
                work = measured_files(images, masks, *settings)
            else:
                scene = self._scene()
                scene.check()
                work = measured(scene, *settings)
        except PuSegmentError as error:
            session.said.emit(str(error), True)
            return
        self._start(work)

    def draw_line(self) -> None:
        """Make the keogram again, along the line of the form."""
        try:
            if self._timed is not None and not self.running:
                self._start(retraced(self._timed, self.line_form.value()))
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)

    def export(self) -> None:
        """Ask where, and write the table there."""
        self._save("Export the time series", "time_series.csv", "Table (*.csv)")

    def save_keogram(self) -> None:
        """Ask where, and write the keogram there."""
        self._save("Save the keogram", "keogram.png", "Picture (*.png);;Values (*.tif)")

    def _describe(self) -> None:
        self.source_combo.setToolTip(
            "The result: its refined mask where there is one. Or a layer of labels. Or files, read frame by frame."
        )
        self.interval_box.setRange(0, 1e9)
        self.interval_box.setToolTip(
            "Seconds from frame to frame. 0: as the axis of time tells, or the names of the files in the folder that "
            "was opened, such as 20120217_101530.png; if neither does, frames are numbered."
        )
        self.measure_button.setToolTip("Measure area, objects and intensity of each frame, and make its keogram")
        self.table_button.setToolTip("Write all values to a file, with times and with units in its header")
        self.keogram_button.setToolTip("Write a picture of both (PNG), or their values (TIFF)")
        self.line_button.setToolTip("Make the keogram along this line; the table stays as it is")

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        rows = _group(layout, QGroupBox("Frames"))
        rows.addWidget(self.source_combo)
        files = QFormLayout(self.files_form)
        files.setContentsMargins(0, 0, 0, 0)
        files.addRow("Frames", self.images_row)
        files.addRow("Masks", self.masks_row)
        rows.addWidget(self.files_form)
        form = QFormLayout()
        form.addRow("Seconds apart", self.interval_box)
        rows.addLayout(form)
        rows.addWidget(fold("Settings of objects", self.objects_form))
        rows.addWidget(self.measure_button)
        self.stale_label.setWordWrap(True)
        rows.addWidget(self.stale_label)
        rows = _group(layout, QGroupBox("Against time"))
        rows.addWidget(self.view)
        buttons = QHBoxLayout()
        buttons.addWidget(self.table_button)
        buttons.addWidget(self.keogram_button)
        rows.addLayout(buttons)
        rows.addWidget(self.line_fold)

    def _connect(self) -> None:
        session = self._session
        self.measure_button.clicked.connect(self.measure_or_cancel)
        self.line_button.clicked.connect(self.draw_line)
        self.table_button.clicked.connect(self.export)
        self.keogram_button.clicked.connect(self.save_keogram)
        self.source_combo.currentIndexChanged.connect(self._refresh)
        self.objects_form.changed.connect(self._refresh)
        self.view.picked.connect(self._go)
        session.book.changed.connect(self._refresh_sources)
        session.result_changed.connect(self._refresh)
        session.book.viewer.dims.events.current_step.connect(self._follow)
        session.closing.connect(lambda: session.book.viewer.dims.events.current_step.disconnect(self._follow))

    def _start(self, work: Work[Timed]) -> None:
        self._job = self._session.aside(work, TITLE, self._on_measured)
        self._job.progress.connect(self._on_progress)
        self._job.finished.connect(self._refresh)
        self._refresh()

    def _scene(self) -> Scene:
        session, layer, image = self._session, self._source(), self._session.image
        if layer is not None:
            if image is None or not session.book.contains(image):
                return of_layer(layer, None, None)
            return of_layer(layer, session.book.snapshot(image), session.book.channels.grid(image))
        if session.result is None:
            raise InputError("There is no segmentation yet. Paint and train first, or choose a labels layer.")
        return of_result(session.result, session.book.channels.grid(session.result.layer))

    def _source(self) -> Labels | None:
        index = self.source_combo.currentIndex()
        return self._layers[index - 1] if 0 < index <= len(self._layers) else None

    def _refresh_sources(self) -> None:
        chosen, from_files = self._source(), self.source_combo.count() > 0 and self._from_files
        self._layers = [layer for layer in labels_layers(self._session.book) if layer.ndim > 2]
        with signals_blocked(self.source_combo):
            self.source_combo.clear()
            self.source_combo.addItems(["The result", *(layer.name for layer in self._layers), "Files on disk"])
            index = next((i for i, layer in enumerate(self._layers, 1) if layer is chosen), 0)
            self.source_combo.setCurrentIndex(len(self._layers) + 1 if from_files else index)

    def _on_progress(self, progress: Progress) -> None:
        share = f" ({100 * progress.step // progress.total} %)" if progress.total else ""
        self.measure_button.setText(f"Cancel{share}")

    def _on_measured(self, timed: Timed) -> None:
        self._timed = timed
        self.view.set_value(timed.series)
        self._session.said.emit(f"{len(timed.series.table)} frames measured.", False)
        self._follow()
        self._refresh()
        self.changed.emit()

    def _go(self, frame: int) -> None:
        scene = None if self._timed is None else self._timed.scene
        if isinstance(scene, Scene) and self._session.book.contains(scene.layer):
            show_frame(self._session.book.viewer, scene, frame)

    def _follow(self) -> None:
        """The viewer went to another frame."""
        scene = None if self._timed is None else self._timed.scene
        if isinstance(scene, Scene) and self._session.book.contains(scene.layer):
            self.view.set_frame(frame_on_screen(self._session.book.viewer, scene))

    def _save(self, title: str, name: str, kinds: str) -> None:
        if self._timed is None:
            return
        path, kind = QFileDialog.getSaveFileName(self, title, name, kinds)
        if path:
            if not Path(path).suffix:
                path += ".tif" if "tif" in kind else Path(name).suffix
            said = f"Written to {path}."
            self._session.aside(
                saved(self._timed.series, path), "Saving", lambda _: self._session.said.emit(said, False)
            )

    def _refresh(self) -> None:
        timed = self._timed
        if not self.running:
            self.measure_button.setText(MEASURE)
        self.files_form.setVisible(self._from_files)
        there = self._from_files or self._source() is not None or self._session.result is not None
        self.measure_button.setEnabled(self.running or there)
        self.stale_label.setText(self._stale(timed))
        self.stale_label.setVisible(bool(self.stale_label.text()))
        keogram = None if timed is None else timed.series.keogram
        self.table_button.setEnabled(timed is not None)
        self.keogram_button.setEnabled(keogram is not None)
        self.line_button.setEnabled(keogram is not None and not self.running)

    def _stale(self, timed: Timed | None) -> str:
        """Why what is shown is not what would be measured now, or nothing."""
        if timed is None or isinstance(timed.scene, FileSeries) or isinstance(timed.scene.source, Labels):
            return ""
        result = self._session.result
        if result is None or mask_of(result) is not timed.scene.mask:
            return f"Out of date: the mask has changed since. Press “{MEASURE}”."
        try:
            changed = self.objects_form.value() != timed.settings
        except InputError:
            return ""
        return f"Out of date: the settings have changed. Press “{MEASURE}”." if changed else ""


def _group(layout: QVBoxLayout, box: QGroupBox) -> QVBoxLayout:
    rows = QVBoxLayout(box)
    rows.setContentsMargins(5, 9, 5, 5)
    layout.addWidget(box)
    return rows

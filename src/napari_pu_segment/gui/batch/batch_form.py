"""The form of a batch: which images, which model, which results, where to."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_pu_segment.batch import FORMATS, OUTPUTS, BatchSettings
from napari_pu_segment.core.classes import Thresholds
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.objects import ObjectSettings

from ..parts.combo import Combo
from ..parts.path_row import MODELS, PathRow
from ..parts.settings_form import SettingsForm, fold
from ..preferences import preferences
from .batch_work import MODEL_NAME, Order, can_have_workers

FIELDS = BatchSettings.model_fields
MOST_WORKERS = 64
FORMAT_TITLES = {"tiff": "TIFF", "ome-zarr": "OME-Zarr"}


class BatchForm(QWidget):
    """Edits what a batch shall do.

    Attributes
    ----------
    changed : Signal()
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        wanted = preferences()
        self.folder_row, self.out_row = (PathRow(_title(name), _about(name)) for name in ("folder", "out"))
        self.model_combo = Combo()
        self.model_combo.addItems(["The present model", "A file"])
        self.model_combo.setToolTip(
            "The present model is used with its threshold and refinement as on the tab Result, and is written into the "
            "folder of results; a model file with its own threshold."
        )
        self.model_row = PathRow("Choose a model", _about("model"), files=MODELS)
        self.output_boxes = {kind: QCheckBox(about.title) for kind, about in OUTPUTS.items()}
        for kind, box in self.output_boxes.items():
            box.setToolTip(_about("outputs"))
            box.setChecked(kind in wanted.batch_outputs.split(","))
        self.format_combo = Combo()
        self.format_combo.setToolTip(_about("format"))
        for name in FORMATS:
            self.format_combo.addItem(FORMAT_TITLES.get(name, name), name)
        self.format_combo.setCurrentIndex(max(0, self.format_combo.findData(wanted.batch_format)))
        self.pattern_edit = QLineEdit(str(FIELDS["pattern"].default))
        self.pattern_edit.setToolTip(_about("pattern"))
        self.recursive_box, self.overwrite_box = _box("recursive"), _box("overwrite")
        self.workers_box = QSpinBox()
        self.workers_box.setRange(1, MOST_WORKERS if can_have_workers() else 1)
        self.workers_box.setValue(wanted.batch_workers)
        self.workers_box.setEnabled(can_have_workers())
        self.workers_box.setToolTip(
            "How many processes work at once; 1 is this one. More need the extra “cluster”, and about as much memory "
            "each."
        )
        self.objects_form = SettingsForm(ObjectSettings)
        self._objects = fold("Settings of objects", self.objects_form)
        self._lay_out()
        self._connect()
        self._refresh()

    def uses_present_model(self) -> bool:
        """Whether the present model is to be used, rather than one in a file."""
        return self.model_combo.currentIndex() == 0

    def value(self, model: Model | None, threshold: Thresholds | None, crf: CrfSettings | None) -> Order:
        """What shall be done.

        Parameters
        ----------
        model : Model or None
            The present model.
        threshold : float, a tuple of K for several classes, or None
            For the present model; None: its own.
        crf : CrfSettings or None
            How to refine, where that is asked for.

        Raises
        ------
        InputError
            If something is missing or cannot be used.
        """
        present, folder, out = self.uses_present_model(), self.folder_row.value(), self.out_row.value()
        path = self.model_row.value()
        if folder is None or out is None:
            raise InputError("Choose the folder of the images, and a folder for the results.")
        if present and model is None:
            raise InputError("There is no model yet. Train one, load one, or choose a model file.")
        if not present and path is None:
            raise InputError("Choose a model file.")
        settings = BatchSettings(
            model=path if not present and path is not None else out / MODEL_NAME,
            folder=folder,
            out=out,
            recursive=self.recursive_box.isChecked(),
            pattern=self.pattern_edit.text().strip() or "*",
            outputs=tuple(kind for kind, box in self.output_boxes.items() if box.isChecked()),
            format=self.format_combo.currentData(),
            threshold=threshold if present else None,
            crf=crf or CrfSettings(),
            objects=self.objects_form.value(),
            overwrite=self.overwrite_box.isChecked(),
        )
        return Order(settings, model if present else None, self.workers_box.value())

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Images", self.folder_row)
        form.addRow(_title("out"), self.out_row)
        form.addRow(_title("model"), self.model_combo)
        form.addRow("", self.model_row)
        self._form = form
        boxes = QGridLayout()
        boxes.setContentsMargins(0, 0, 0, 0)
        for i, box in enumerate(self.output_boxes.values()):
            boxes.addWidget(box, i // 2, i % 2)
        more, rows = QWidget(), QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow(_title("format"), self.format_combo)
        rows.addRow(_title("pattern"), self.pattern_edit)
        rows.addRow("Workers", self.workers_box)
        inner = QVBoxLayout(more)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(rows)
        inner.addWidget(self.recursive_box)
        inner.addWidget(self.overwrite_box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(QLabel(_title("outputs")))
        layout.addLayout(boxes)
        layout.addWidget(self._objects)
        layout.addWidget(fold("More", more))

    def _connect(self) -> None:
        boxes = [*self.output_boxes.values(), self.recursive_box, self.overwrite_box]
        signals = [
            *(row.changed for row in (self.folder_row, self.out_row, self.model_row)),
            *(combo.currentIndexChanged for combo in (self.model_combo, self.format_combo)),
            *(box.toggled for box in boxes),
            self.pattern_edit.textChanged,
            self.workers_box.valueChanged,
            self.objects_form.changed,
        ]
        for signal in signals:
            signal.connect(self._refresh)

    def _refresh(self) -> None:
        self._form.setRowVisible(self.model_row, not self.uses_present_model())
        self._objects.setVisible(any(self.output_boxes[kind].isChecked() for kind in ("instances", "measurements")))
        self.changed.emit()


def _title(name: str) -> str:
    return FIELDS[name].title or name


def _about(name: str) -> str:
    return FIELDS[name].description or _title(name)


def _box(name: str) -> QCheckBox:
    box = QCheckBox(_title(name))
    box.setToolTip(_about(name))
    return box

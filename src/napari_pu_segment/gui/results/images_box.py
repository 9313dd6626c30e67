"""What is to be classified, one image or all that have objects; and the table of the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QPushButton,
    QSpinBox,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_pu_segment.core.table import Table

from ..parts.path_row import TABLES, PathRow
from .objects_table import ObjectsTable

_CLASSES = {"image_label": "known", "image_class_learnt": "learnt", "image_class": "class"}
_MOST_ROWS = 6  # that the table shows without scrolling


class ImagesBox(QWidget):
    """Whether all open images with objects are classified together, and into how many classes they are put.

    Parameters
    ----------
    parent : QWidget, optional

    Attributes
    ----------
    exported : Signal(str)
        The table is to be written to this file.
    """

    exported = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.all_box, self.classes_box = QCheckBox(), QSpinBox()
        self.all_box.setToolTip(
            "Classify the objects of all open images for which objects were found: class 1 is then the same in all"
        )
        self.classes_box.setRange(0, 12)
        self.classes_box.setSpecialValueText("none")
        self.classes_box.setToolTip("Also put the images into so many classes, by the shares of the objects' classes")
        self._classes_row = QWidget()
        row = QFormLayout(self._classes_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addRow("Classes of images", self.classes_box)
        self.known_row = PathRow(
            "Known classes of images",
            "A table of the classes of some images, to learn those of the others; its columns: image, class",
            files=TABLES,
        )
        row.addRow("Known classes", self.known_row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.all_box)
        layout.addWidget(self._classes_row)
        self.model, self.view, self.export_button = ObjectsTable(), QTableView(), QPushButton("Export images CSV …")
        self.export_button.setToolTip("Write the table of the images to a file")
        self.view.setModel(self.model)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.view.setToolTip("The share of each class among the objects of each image")
        rows = self.view.verticalHeader()
        if rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(rows.minimumSectionSize())
        self.all_box.toggled.connect(self._classes_row.setVisible)
        self.export_button.clicked.connect(self._export)
        self._classes_row.hide()
        self.hide()

    def offer(self, n_images: int) -> None:
        """There are so many open images with objects."""
        self.all_box.setText(f"All {n_images} images with objects")
        self.setVisible(n_images > 1)

    @property
    def together(self) -> bool:
        """Whether all images are to be classified together."""
        return self.all_box.isChecked() and not self.isHidden()

    def n_classes(self) -> int:
        """Into how many classes the images are to be put; 0 for none."""
        return self.classes_box.value() if self.together else 0

    def known(self) -> Path | None:
        """The table of the classes of some images, if there is one."""
        return self.known_row.value() if self.together else None

    def show_table(self, table: Table | None) -> None:
        """Show the table of the images, or none."""
        self.model.set_table(Table({}, {}) if table is None else _short(table))
        self.view.resizeColumnsToContents()
        header, n = self.view.horizontalHeader(), self.model.rowCount()
        height = 0 if header is None else header.sizeHint().height()
        self.view.setFixedHeight(height + self.view.rowHeight(0) * min(max(n, 1), _MOST_ROWS) + 20)  # a scroll bar
        for widget in (self.view, self.export_button):
            widget.setVisible(n > 0)

    def _export(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Export the images", "images.csv", "Table (*.csv)")
        if path:
            self.exported.emit(path)


def _short(table: Table) -> Table:
    """The table of the images as a narrow dock shows it: the class first, and whole percents."""
    given = table.columns
    columns = {"image": given["image"], **{short: given[name] for name, short in _CLASSES.items() if name in given}}
    for name, column in given.items():
        if name.endswith("_fraction"):
            columns[name.replace("_fraction", "_percent")] = np.round(100 * column)
    columns["objects"] = given["n_objects"]
    return Table(columns, {name: "%" if name.endswith("_percent") else "" for name in columns})

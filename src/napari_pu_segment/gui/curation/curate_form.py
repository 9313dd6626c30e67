"""The form of curation: which images, which masks and models, and what counts as odd or alike."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from napari_pu_segment.core.curation import CurateSettings
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.image_set import ScanSettings

from ..parts.path_row import MODELS, PathRow
from ..parts.settings_form import SettingsForm, fold


class CurateForm(QWidget):
    """Edits what shall be looked through, and how."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folder_row = PathRow("Choose the folder of the images", "Where the images are")
        self.masks_row = PathRow(
            "Choose the folder of the masks",
            "Masks with the names of their images: balance of classes, and masks that look wrong. May be empty",
        )
        self.strokes_row = PathRow(
            "Choose the folder of strokes",
            "Strokes with the names of their images: these are annotated already. May be empty",
        )
        self.model_row = PathRow(
            "Choose a model",
            "A model: images that it is unsure of are to be annotated first. May be empty",
            files=MODELS,
        )
        self.encoder_row = PathRow(
            "Choose an encoder",
            "An encoder of such images, made on the tab Model: images are compared by it. Empty: by the filter bank",
            files=MODELS,
        )
        self.pattern_edit = QLineEdit("*")
        self.pattern_edit.setToolTip("Only images whose names match, such as *_dapi.tif")
        self.recursive_box = QCheckBox("Also the folders below")
        self.recursive_box.setToolTip("Also the images in folders below this one")
        self.settings_form = SettingsForm(CurateSettings)
        self._lay_out()

    def _lay_out(self) -> None:
        rows, more, inner = QFormLayout(), QWidget(), QFormLayout()
        for form in (rows, inner):
            form.setContentsMargins(0, 0, 0, 0)
            form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Images", self.folder_row)
        rows.addRow("Masks", self.masks_row)
        inner.addRow("Names", self.pattern_edit)
        inner.addRow(self.recursive_box)
        inner.addRow("Strokes", self.strokes_row)
        inner.addRow("Model", self.model_row)
        inner.addRow("Encoder", self.encoder_row)
        inner.addRow(self.settings_form)
        more.setLayout(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(rows)
        layout.addWidget(fold("Settings", more))

    def value(self) -> tuple[ScanSettings, CurateSettings]:
        """What shall be looked through, and how.

        Raises
        ------
        InputError
            If there is no folder, or a setting cannot be used.
        """
        folder, settings = self.folder_row.value(), self.settings_form.value()
        if folder is None:
            raise InputError("Choose the folder of the images first.")
        pattern = self.pattern_edit.text().strip() or "*"
        more = (row.value() for row in (self.masks_row, self.strokes_row, self.model_row, self.encoder_row))
        return ScanSettings(folder, self.recursive_box.isChecked(), pattern, *more), settings

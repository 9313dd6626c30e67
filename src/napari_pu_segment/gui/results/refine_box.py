"""Switches the refinement on and off, and sets it."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QGroupBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_pu_segment.core.crf import CRF_PRESETS, CrfSettings
from napari_pu_segment.core.errors import PuSegmentError

from ..parts.combo import Combo
from ..parts.settings_form import SettingsForm, fold
from ..session import Result, Session

CUSTOM = "custom"


class RefineBox(QGroupBox):
    """Whether and how to refine by the dense CRF; the choice goes to `session.crf`.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    changed : Signal()
        The user chose anew; the refinement itself is up to who listens.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Refinement", parent)
        self._session = session
        self.crf_box = QCheckBox("Refine (CRF)")
        self.crf_box.setToolTip("A dense conditional random field moves the outline to the edges in the image.")
        self.preset_combo = Combo()
        self.preset_combo.addItems([*CRF_PRESETS, CUSTOM])
        self.preset_combo.setToolTip("Settings for a kind of image; change one below, and it is your own")
        self.crf_form = SettingsForm(CrfSettings)
        self.refined_label = QLabel()
        self.refined_label.setWordWrap(True)
        self.refined_label.hide()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(5, 9, 5, 5)
        row = QHBoxLayout()
        row.addWidget(self.crf_box)
        row.addWidget(self.preset_combo)
        rows.addLayout(row)
        rows.addWidget(fold("CRF settings", self.crf_form))
        rows.addWidget(self.refined_label)
        self._show()
        self.crf_box.toggled.connect(self._choose)
        self.preset_combo.textActivated.connect(self._choose_preset)
        self.crf_form.changed.connect(self._choose)
        session.result_changed.connect(self._on_result)
        session.choices_changed.connect(self._show)

    def _choose_preset(self, name: str) -> None:
        if name != CUSTOM:
            self.crf_form.set_value(CRF_PRESETS[name])

    def _choose(self) -> None:
        try:
            settings = self.crf_form.value()
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        self._session.crf = settings if self.crf_box.isChecked() else None
        names = [name for name, preset in CRF_PRESETS.items() if preset == settings]
        self.preset_combo.setCurrentText(names[0] if names else CUSTOM)
        self.preset_combo.setEnabled(self.crf_box.isChecked())
        self.crf_form.setEnabled(self.crf_box.isChecked())
        self.changed.emit()

    def _show(self) -> None:
        crf = self._session.crf
        self.crf_box.setChecked(crf is not None)
        self.preset_combo.setEnabled(crf is not None)
        self.crf_form.setEnabled(crf is not None)
        if crf is not None:
            self.crf_form.set_value(crf)
            names = [name for name, preset in CRF_PRESETS.items() if preset == crf]
            self.preset_combo.setCurrentText(names[0] if names else CUSTOM)

    def _on_result(self, result: Result) -> None:
        by = result.segmentation.refined_by
        self.refined_label.setText(f"Refined with the {by!r} backend.")
        self.refined_label.setVisible(bool(by))

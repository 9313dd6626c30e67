"""The panel from model to result: threshold, refinement, other images, model files."""

from __future__ import annotations

import math
from collections.abc import Callable

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_pu_segment.core.crf import CRF_PRESETS, CrfSettings
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.networks import NETWORKS

from .image_combo import ImageCombo
from .jobs import Job
from .session import Result, Session
from .settings_form import NumberBox, SettingsForm, fold, narrow

SLIDER_STEPS = 1000
DEBOUNCE_MS = 250
CUSTOM = "custom"


class PredictPanel(QWidget):
    """Set the threshold and the refinement, apply the model to other images, save and load it.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.threshold_slider = QSlider(Qt.Orientation.Horizontal)
        self.threshold_slider.setRange(0, SLIDER_STEPS)
        self.threshold_box = NumberBox()
        self.threshold_box.setRange(0, 1)
        self.threshold_box.setFixedWidth(112)
        for widget in (self.threshold_slider, self.threshold_box):
            widget.setToolTip("The mask covers what is at least so probable. It follows the model until you move it.")
        self.threshold_reset = QToolButton()
        self.threshold_reset.setText("↺")
        self.threshold_reset.setToolTip("Back to the threshold of the model, found when it was trained")
        self.crf_box = QCheckBox("Refine (CRF)")
        self.crf_box.setToolTip("A dense conditional random field moves the outline to the edges in the image.")
        self.preset_combo = narrow(QComboBox())
        self.preset_combo.addItems([*CRF_PRESETS, CUSTOM])
        self.crf_form = SettingsForm(CrfSettings)
        self.refined_label = QLabel()
        self.model_label = QLabel()
        self.save_button = QPushButton("Save model …")
        self.load_button = QPushButton("Load model …")
        self.apply_combo = ImageCombo(session.book)
        self.apply_button = QPushButton("Apply")
        self.apply_button.setToolTip("Segment this image with the current model")
        for label in (self.refined_label, self.model_label):
            label.setWordWrap(True)
        # A drag of the slider or a burst of edits refines once, at its end.
        self._debounce = QTimer(self)
        self._debounce.setSingleShot(True)
        self._debounce.setInterval(DEBOUNCE_MS)
        self._lay_out()
        self.refined_label.hide()
        self._show_threshold(0.5)
        self._show_crf()
        self._connect()
        self._refresh()

    def save(self) -> None:
        """Ask where, and save the model there."""
        path, _ = QFileDialog.getSaveFileName(self, "Save the model", "model.safetensors", "Model (*.safetensors)")
        if path:
            self._try(lambda: self._session.save(path))

    def load(self) -> None:
        """Ask which, and load that model."""
        path, _ = QFileDialog.getOpenFileName(self, "Load a model", "", "Model (*.safetensors);;All files (*)")
        if path:
            self._try(lambda: self._session.load(path))

    def apply(self) -> None:
        """Segment the chosen image with the current model."""
        image = self.apply_combo.value()
        if image is not None:
            self._try(lambda: self._session.apply(image))

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        result = QGroupBox("Result")
        rows = QVBoxLayout(result)
        rows.setContentsMargins(5, 9, 5, 5)
        rows.addLayout(_row(QLabel("Threshold"), self.threshold_slider, self.threshold_box, self.threshold_reset))
        rows.addLayout(_row(self.crf_box, self.preset_combo))
        rows.addWidget(fold("CRF settings", self.crf_form))
        rows.addWidget(self.refined_label)
        model = QGroupBox("Model")
        rows = QVBoxLayout(model)
        rows.setContentsMargins(5, 9, 5, 5)
        rows.addWidget(self.model_label)
        rows.addLayout(_row(self.save_button, self.load_button))
        rows.addLayout(_row(QLabel("Apply to"), self.apply_combo, self.apply_button))
        layout.addWidget(result)
        layout.addWidget(model)

    def _connect(self) -> None:
        self.threshold_slider.valueChanged.connect(lambda step: self._choose_threshold(step / SLIDER_STEPS))
        self.threshold_box.valueChanged.connect(self._choose_threshold)
        self.threshold_reset.clicked.connect(lambda: self._choose_threshold(None))
        self.crf_box.toggled.connect(self._choose_crf)
        self.preset_combo.textActivated.connect(self._choose_preset)
        self.crf_form.changed.connect(self._choose_crf)
        self._debounce.timeout.connect(self._session.refine)
        self.save_button.clicked.connect(self.save)
        self.load_button.clicked.connect(self.load)
        self.apply_button.clicked.connect(self.apply)
        self.apply_combo.chosen.connect(self._refresh)
        self._session.model_changed.connect(self._on_model)
        self._session.result_changed.connect(self._on_result)
        self._session.job_started.connect(self._on_job)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)

    def _choose_threshold(self, threshold: float | None) -> None:
        model = self._session.model
        self._session.set_threshold(threshold)
        if threshold is None and model is not None:
            threshold = model.card.threshold
        if threshold is not None:
            self._show_threshold(threshold)
        self._debounce.start()

    def _choose_preset(self, name: str) -> None:
        if name != CUSTOM:
            self.crf_form.set_value(CRF_PRESETS[name])

    def _choose_crf(self) -> None:
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
        self._debounce.start()

    def _show_crf(self) -> None:
        crf = self._session.crf
        self.crf_box.setChecked(crf is not None)
        if crf is not None:
            self.crf_form.set_value(crf)
            self.preset_combo.setCurrentText(next(name for name, preset in CRF_PRESETS.items() if preset == crf))

    def _show_threshold(self, threshold: float) -> None:
        if self._session.threshold is None:
            # The model's own has as many digits as a float, and is used in full. Three are shown, more near one: the
            # threshold of a network that is sure of itself, such as 0.99963, is not 1.
            digits = max(3, 1 - math.floor(math.log10(max(min(threshold, 1 - threshold), 1e-9))))
            threshold = round(threshold, digits)
        with signals_blocked(self.threshold_slider), signals_blocked(self.threshold_box):
            self.threshold_slider.setValue(round(threshold * SLIDER_STEPS))
            self.threshold_box.setValue(threshold)

    def _on_model(self, model: Model) -> None:
        if self._session.threshold is None:
            self._show_threshold(model.card.threshold)
        self._refresh()

    def _on_result(self, result: Result) -> None:
        self._show_threshold(result.segmentation.threshold)
        by = result.segmentation.refined_by
        self.refined_label.setText(f"Refined with the {by!r} backend.")
        self.refined_label.setVisible(bool(by))

    def _on_job(self, job: Job) -> None:
        job.finished.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        model = self._session.model
        self.model_label.setText("No model yet: train one, or load one." if model is None else _describe(model))
        self.save_button.setEnabled(model is not None)
        self.load_button.setEnabled(not self._session.busy)
        self.threshold_reset.setEnabled(model is not None)
        there = self.apply_combo.value() is not None
        self.apply_button.setEnabled(model is not None and there and not self._session.busy)


def _describe(model: Model) -> str:
    card = model.card
    return (
        f"{NETWORKS[card.network.name].title}; {card.n_positive_strokes} positive, {card.n_negative_strokes} negative "
        f"strokes; class prior {card.class_prior:.3g} ({card.class_prior_source})."
    )


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row

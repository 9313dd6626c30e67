"""Sensitivity and purity against the threshold: estimated, or measured against a labels layer that holds the truth."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_pu_segment.core.classes import of_class
from napari_pu_segment.core.coverage import Coverage, measure_coverage
from napari_pu_segment.core.curve import Curve, estimated_curve, pixel_curve
from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.objects.detections import object_curve
from napari_pu_segment.core.progress import Progress, Work

from ..jobs import Job
from ..numbers import PERCENT, percent
from ..parts.combo import Combo
from ..parts.curve_plot import PURITY, CurvePlot
from ..parts.settings_form import fold
from ..session import Result, Session
from ..viewer.still import Still
from .measuring import labels_layers
from .one_class import seen

NO_TRUTH, TITLE = "No truth: estimated", "Comparing with the truth"
MOST_PX = 10**8  # of an image whose objects are found at many thresholds; it is in memory then
SENTENCES = {
    "estimated": (
        "Finds about {0} of what is there",
        "about {1} of the mask is true. Estimated from the probabilities.",
    ),
    "pixels": ("Finds {0} of the truth's pixels", "{1} of the mask's pixels are true."),
    "objects": ("Finds {0} of the truth's objects", "{1} of the objects found are true."),
}


class CurveBox(QWidget):
    """A fold with the curve of the present result, and what it says at the threshold.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    object_settings : callable
        Gives the settings by which objects are found; default: as they come.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._result: Result | None = None  # that of the class shown, as it was measured
        self._coverage: Coverage | None = None
        self._estimate: Curve | None = None
        self._number = 0  # of the class in the truth; 0: whatever is not background
        self._layers: list[Labels] = []  # of the combo, below its first entry
        self._truths: weakref.WeakKeyDictionary[Image, weakref.ref[Labels] | None] = weakref.WeakKeyDictionary()
        self._job: Job | None = None
        self.object_settings: Callable[[], ObjectSettings] = ObjectSettings
        self.truth_combo, self.unit_combo = Combo(), Combo()
        self.unit_combo.addItem("by pixels", "pixels")
        self.unit_combo.addItem("by objects", "objects")
        self.plot, self.label = CurvePlot(), QLabel()
        self.measure_button = QPushButton()
        inner = QWidget()
        self.fold = fold("Sensitivity and purity", inner)
        self._describe()
        self._lay_out(inner)
        self.truth_combo.currentIndexChanged.connect(self._on_choice)
        self.unit_combo.currentIndexChanged.connect(self._on_choice)
        self.measure_button.clicked.connect(self.measure_or_cancel)
        self.fold.toggled.connect(self._on_fold)
        session.book.changed.connect(self._refresh_layers)
        self._refresh_layers()
        self._refresh()

    def set_value(self, result: Result, coverage: Coverage, estimate: Curve, number: int) -> None:
        """Show the curve of another result, see `measured`; against a truth it is measured as soon as it is seen.

        Every image has a truth of its own.
        """
        old = self._result
        if old is not None and old.layer is not result.layer:
            truth, known = self._truth(), self._truths.get(result.layer)
            self._truths[old.layer] = None if truth is None else weakref.ref(truth)
            self._set_truth(None if known is None else known())
        self._result, self._coverage, self._estimate, self._number = result, coverage, estimate, number
        self.plot.set_range(coverage.score_range)
        self._on_choice()

    def set_threshold(self, threshold: float) -> None:
        """Tell what holds at a threshold."""
        self.plot.set_threshold(threshold)
        self._refresh()

    def measure_or_cancel(self) -> None:
        """Measure the curve against the chosen truth in the background; while that runs, cancel it."""
        if self._job is not None and self._job.running:
            self._job.cancel()
            return
        truth, result, coverage = self._truth(), self._result, self._coverage
        if truth is None or result is None or coverage is None:
            return
        try:
            settings = self.object_settings() if self.unit_combo.currentData() == "objects" else None
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        self.plot.set_value(None)
        work = _against(Still(truth), result, coverage, self._number, settings)
        self._job = self._session.aside(work, TITLE, self._on_curve)
        self._job.progress.connect(self._on_progress)
        self._job.finished.connect(self._refresh)
        self.measure_button.setText("Cancel")
        self._refresh()

    def _describe(self) -> None:
        self.truth_combo.setToolTip(
            "A labels layer that shows where objects really are. Of several classes, its numbers are those of the "
            "classes. Without one, both are estimated from the probabilities."
        )
        self.unit_combo.setToolTip(
            "Pixels; or objects, as the tab Objects finds them: one of the truth is found where the middle of one lies "
            "on it"
        )
        self.plot.setToolTip(
            "Solid: sensitivity, the part of what is there that the mask finds. Dashed: purity, the part of the mask "
            "that is true. Click or drag to set the threshold. The estimate does not know where the model is surely "
            "wrong."
        )

    def _lay_out(self, inner: QWidget) -> None:
        self.label.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.truth_combo, 1)
        row.addWidget(self.unit_combo)
        rows = QVBoxLayout(inner)
        rows.setContentsMargins(0, 2, 0, 2)
        rows.addLayout(row)
        for widget in (self.plot, self.label, self.measure_button):
            rows.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)

    def _truth(self) -> Labels | None:
        index = self.truth_combo.currentIndex()
        return self._layers[index - 1] if index > 0 else None

    def _set_truth(self, truth: Labels | None) -> None:
        with signals_blocked(self.truth_combo):
            self.truth_combo.setCurrentIndex(next((i for i, own in enumerate(self._layers, 1) if own is truth), 0))

    def _refresh_layers(self) -> None:
        chosen = self._truth()
        self._layers = labels_layers(self._session.book)
        with signals_blocked(self.truth_combo):
            self.truth_combo.clear()
            self.truth_combo.addItems([NO_TRUTH, *(layer.name for layer in self._layers)])
        self._set_truth(chosen)
        if chosen is not None and self._truth() is None:
            self._on_choice()

    def _on_choice(self) -> None:
        """Another result, truth or unit: the curve is another one."""
        if self._job is not None:
            self._job.cancel()
        self.plot.set_value(self._estimate if self._truth() is None else None)
        self._on_fold(self.fold.isExpanded())

    def _on_fold(self, unfolded: bool) -> None:
        running = self._job is not None and self._job.running
        if unfolded and self._truth() is not None and self.plot.value() is None and not running:
            self.measure_or_cancel()
        self._refresh()

    def _on_progress(self, progress: Progress) -> None:
        share = f" ({100 * progress.step // progress.total}{PERCENT})" if progress.total else ""
        self.measure_button.setText(f"Cancel{share}")

    def _on_curve(self, curve: Curve) -> None:
        self.plot.set_value(curve)
        self._refresh()

    def _refresh(self) -> None:
        running = self._job is not None and self._job.running
        truth, curve = self._truth(), self.plot.value()
        for widget in (self.unit_combo, self.measure_button):
            widget.setVisible(truth is not None)
        self.plot.setEnabled(self._result is not None)
        self.measure_button.setEnabled(self._result is not None)
        if not running:
            self.measure_button.setText("Measure" if curve is None else "Measure again")
        if curve is None:
            why = "Comparing with the truth …" if running else "Not measured." if self._result else "No result yet."
            self.label.setText(why)
        else:
            self.label.setText(told(curve, self.plot.threshold(), self.locale()))


def told(curve: Curve, threshold: float, locale: QLocale) -> str:
    """What a curve says at a threshold, as rich text with the marks of both lines."""
    sensitivity, purity = curve.at(threshold)
    if not math.isfinite(purity):
        return "Finds nothing at this threshold."
    digits = 2 if curve.source == "estimated" else 3
    values = [percent(round(value, digits), locale) for value in (sensitivity, purity)]
    found, true = (part.format(*values) for part in SENTENCES[curve.source])
    return f'<b>━</b>&nbsp;{found};<br><span style="color:{PURITY}"><b>╍</b></span>&nbsp;{true}'


def measured(result: Result, index: int) -> Work[tuple[Result, Coverage, Curve, int]]:
    """The result of one class, its histograms, the curve estimated from them, and the class's number; 0 if alone."""
    one, own = seen(result, index), result.own_threshold
    found, sample = one.segmentation, one.sample
    coverage = yield from measure_coverage(found.probability, found.mask, sample.labels, axes=sample.axes)
    estimate = estimated_curve(coverage, of_class(own, index))
    return one, coverage, estimate, index + 1 if len(result.sample.classes) > 1 else 0


def _against(
    still: Still, result: Result, coverage: Coverage, number: int, settings: ObjectSettings | None
) -> Work[Curve]:
    """Measure a curve: by pixels, or by objects where settings are given; of a class by its number, of any for 0."""
    truth = yield from still.whole()
    probability, sample = result.segmentation.probability, result.sample
    labels: Any = sample.labels
    if number:
        truth = truth == number
    if settings is None:
        return (yield from pixel_curve(probability, truth, coverage, labels))
    if math.prod(probability.shape) > MOST_PX:
        raise InputError("The image is too large to find its objects at many thresholds. Compare by pixels.")
    whole = np.asarray(probability)
    labels = None if labels is None else np.asarray(labels)
    size, axes = sample.pixel_size, sample.axes
    return (yield from object_curve(whole, truth, coverage, settings, labels=labels, pixel_size=size, axes=axes))

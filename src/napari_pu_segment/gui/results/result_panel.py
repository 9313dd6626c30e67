"""The panel of the result: how much the objects cover, how sure that is, and the refinement."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import (
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pu_segment.core.classes import of_class
from napari_pu_segment.core.coverage import Coverage
from napari_pu_segment.core.curve import Curve
from napari_pu_segment.core.model import Model

from ..numbers import significant
from ..parts.histogram import Histogram
from ..parts.number_box import NumberBox
from ..parts.settings_form import LARGEST_INT
from ..session import Result, Session
from .accept_button import AcceptButton
from .class_combo import ClassCombo
from .curve_box import CurveBox, measured
from .extras import Extras
from .keep_button import KeepButton
from .one_class import seen
from .refine_box import RefineBox

SLIDER_STEPS = 1000
DEBOUNCE_MS = 250
BOX_PX = 76
NAME_PX = 160  # of another image than the chosen one


class ResultPanel(QWidget):
    """Set how much the mask covers, see how sure it is, and refine it.

    Threshold, area and number of objects are three views of one number.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._coverage: Coverage | None = None
        self._measured: tuple[Any, ...] = ()  # of what is being measured, or has been; see `_key`
        self._origin: QWidget | None = None  # what the user is moving; it is left alone meanwhile
        self.mask_group, self.histogram = QGroupBox(), Histogram()
        self.class_combo = ClassCombo(session)
        self.threshold_slider, self.threshold_box = _slider(), _box(1)
        self.threshold_reset = QToolButton()
        self.area_slider, self.area_box = _slider(), _box(100)
        self.objects_box = QSpinBox()
        self.objects_label = QLabel()
        self.extras, self.curve_box = Extras(session), CurveBox(session)
        self.refine_box = RefineBox(session)
        self.accept_button, self.keep_button = AcceptButton(session), KeepButton(session)
        # A drag of a slider or a burst of edits refines once, at its end.
        self._debounce = QTimer(self)
        self._debounce.setSingleShot(True)
        self._debounce.setInterval(DEBOUNCE_MS)
        self._describe()
        self._lay_out()
        self._show_threshold(0.5)
        self._connect()
        self._refresh()

    @property
    def coverage(self) -> Coverage | None:
        """Histograms of the present result, as soon as they are measured."""
        return self._coverage

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Leave the mouse wheel to the scroll area, unless the slider or box was clicked first."""
        wheel = event is not None and event.type() == QEvent.Type.Wheel
        if wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()  # type: ignore[union-attr]
            return True
        return super().eventFilter(watched, event)

    def _describe(self) -> None:
        for widget in (self.threshold_slider, self.threshold_box):
            widget.setToolTip("The mask covers what is at least so probable. It follows the model until you move it.")
        for widget in (self.area_slider, self.area_box):
            widget.setToolTip(
                "How much of the image the objects cover. Move it to what you know of your image, and the threshold "
                "follows. Ignored parts do not count."
            )
        self.threshold_reset.setText("↺")
        self.threshold_reset.setToolTip(
            "Back to the threshold of the model, found when it was trained, or to one half where there is no model"
        )
        self.objects_label.setToolTip(
            "The same as a number of objects of typical size: the middle one of those that bear positive strokes, "
            "as they were when the image was segmented"
        )
        self.objects_box.setToolTip(self.objects_label.toolTip())
        self.objects_label.setWordWrap(True)
        self.objects_box.setRange(0, LARGEST_INT)
        self.objects_box.setGroupSeparatorShown(True)
        self.objects_box.setKeyboardTracking(False)
        self.histogram.setToolTip(
            "How many pixels have which probability, on a logarithmic scale. Green: in the mask. Blue and orange "
            "lines: pixels of positive and negative strokes. Click or drag to set the threshold."
        )

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        rows = QVBoxLayout(self.mask_group)
        rows.setContentsMargins(5, 9, 5, 5)
        rows.addWidget(self.class_combo)
        rows.addWidget(self.histogram)
        grid = QGridLayout()  # names and boxes stand below each other, whatever the font
        sliders = (
            (QLabel("Threshold"), self.threshold_slider, self.threshold_box, self.threshold_reset),
            (QLabel("Covers"), self.area_slider, self.area_box, QLabel("%")),
        )
        for row, widgets in enumerate(sliders):
            for column, widget in enumerate(widgets):
                grid.addWidget(widget, row, column)
        rows.addLayout(grid)
        objects = _row(QLabel("About"), self.objects_box, self.objects_label)
        objects.setStretch(2, 1)
        rows.addLayout(objects)
        rows.addWidget(self.curve_box)
        rows.addWidget(self.extras)
        layout.addWidget(self.mask_group)
        layout.addWidget(self.refine_box)
        layout.addWidget(self.accept_button)
        layout.addWidget(self.keep_button)

    def _connect(self) -> None:
        for plot in (self.histogram, self.curve_box.plot):
            plot.moved.connect(partial(self._choose, plot))
        self.threshold_slider.valueChanged.connect(
            lambda step: self._choose(self.threshold_slider, self.histogram.probability_at(step / SLIDER_STEPS))
        )
        self.threshold_box.valueChanged.connect(lambda value: self._choose(self.threshold_box, value))
        self.threshold_reset.clicked.connect(lambda: self._choose(None, None))
        self.area_slider.valueChanged.connect(
            lambda step: self._choose_area(self.area_slider, (step / SLIDER_STEPS) ** 3)
        )
        self.area_box.valueChanged.connect(lambda value: self._choose_area(self.area_box, value / 100))
        self.objects_box.valueChanged.connect(self._choose_objects)
        self.refine_box.changed.connect(self._debounce.start)
        for widget in (self.threshold_slider, self.threshold_box, self.area_slider, self.area_box, self.objects_box):
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.installEventFilter(self)
        for box in (self.threshold_box, self.area_box, self.objects_box):
            box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)  # arrow keys step, too, and the dock is narrow
            box.setFixedWidth(BOX_PX)
        self._debounce.timeout.connect(self._session.refine)
        self._debounce.timeout.connect(self.extras.refresh)
        self._session.model_changed.connect(self._on_model)
        self._session.result_changed.connect(self._on_result)
        self._session.image_changed.connect(self._refresh)

    def _choose(self, origin: QWidget | None, threshold: float | None) -> None:
        model, result = self._session.model, self._session.result
        self._origin = origin
        self._session.set_threshold(self.class_combo.of_all(threshold))
        if threshold is None and result is not None:
            threshold = self.class_combo.own_threshold
        elif threshold is None and model is not None:
            threshold = model.card.threshold
        if threshold is not None:
            self._show_threshold(threshold)
        self._origin = None
        self._debounce.start()

    def _choose_area(self, origin: QWidget, fraction: float) -> None:
        if self._coverage is not None:
            self._choose(origin, self._coverage.threshold_at(fraction))

    def _choose_objects(self, number: int) -> None:
        if self._coverage is not None:
            self._choose_area(self.objects_box, self._coverage.coverage_of(number))

    def _on_model(self, model: Model) -> None:
        if self._session.threshold is None and len(model.classes) == 1:
            self._show_threshold(model.card.threshold)

    def _on_result(self, result: Result) -> None:
        self.class_combo.refresh()
        one = seen(result, self.class_combo.index)
        self._show_threshold(of_class(one.segmentation.threshold, 0))
        key = _key(result, self.class_combo.index)
        if not result.preview and not (len(key) == len(self._measured) and all(map(_same, key, self._measured))):
            self._measured = key
            self._session.aside(measured(result, self.class_combo.index), "Measuring the area", self._on_measured)
        self._refresh()

    def _on_measured(self, found: tuple[Result, Coverage, Curve, int]) -> None:
        coverage = self._coverage = found[1]
        self.histogram.set_value(coverage)
        self.extras.set_value(coverage)
        self.curve_box.set_value(*found)
        if self._session.result is not None:
            self._show_threshold(
                of_class(self._session.result.segmentation.threshold, self.class_combo.index)
            )  # on another axis
        self._refresh()

    def _show_threshold(self, threshold: float) -> None:
        digits = max(3, 1 - math.floor(math.log10(max(min(threshold, 1 - threshold), 1e-9))))
        # The model's own has as many digits as a float, and is used in full. Three are shown, more near one: the
        # threshold of a network that is sure of itself, such as 0.99963, is not 1.
        shown = threshold if self._origin is self.threshold_box else round(threshold, digits)
        self._set(self.threshold_slider, round(self.histogram.share_of(threshold) * SLIDER_STEPS))
        self._set(self.threshold_box, shown)
        self.histogram.set_threshold(threshold)
        self.curve_box.set_threshold(threshold)

    def _refresh(self) -> None:
        """Bring area and number of objects up to date with the result."""
        result, coverage = self._session.result, self._coverage
        other = "" if result is None or result.layer is self._session.image else result.layer.name
        name = self.fontMetrics().elidedText(other, Qt.TextElideMode.ElideMiddle, NAME_PX)
        self.mask_group.setTitle(f"Mask of {name!r}".replace("&", "&&") if other else "Mask")  # one & would mark a key
        for widget in (self.area_slider, self.area_box, self.histogram):
            widget.setEnabled(result is not None and coverage is not None)
        self.threshold_reset.setEnabled(self._session.model is not None or result is not None)
        sized = coverage is not None and coverage.object_px > 0
        self.objects_box.setEnabled(result is not None and sized)
        if coverage is None or result is None:
            self.objects_label.setText("typical objects")
            return
        fraction = coverage.coverage_at(of_class(result.segmentation.threshold, self.class_combo.index))
        if not result.large:  # of a large one it takes too long to count
            mask = result.segmentation.mask
            found = mask if len(result.sample.classes) == 1 else mask == self.class_combo.index + 1
            fraction = np.count_nonzero(found) / max(1, coverage.n_pixels)
        self._set(self.area_slider, round(fraction ** (1 / 3) * SLIDER_STEPS))
        self._set(self.area_box, significant(100 * fraction))
        self._set(self.objects_box, round(coverage.objects_at(fraction)))
        size = self.locale().toString(round(coverage.object_px))
        self.objects_label.setText(f"typical objects ({size} px)" if sized else "typical objects")

    def _set(self, widget: QSlider | QSpinBox | NumberBox, value: float) -> None:
        if widget is not self._origin:
            with QSignalBlocker(widget):
                widget.setValue(value)  # type: ignore[arg-type]


def _key(result: Result, index: int) -> tuple[Any, ...]:
    """What a measurement depends on: the probability, and of several classes which, and the others' thresholds."""
    at = result.segmentation.threshold
    return (result.segmentation.probability, index, *(at[:index] + at[index + 1 :] if isinstance(at, tuple) else ()))


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, float | int) and one == other)


def _slider() -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, SLIDER_STEPS)
    slider.setMinimumWidth(48)
    return slider


def _box(largest: float) -> NumberBox:
    box = NumberBox()
    box.setRange(0, largest)
    return box


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row

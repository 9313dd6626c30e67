"""Boxes for numbers, as they are; and one with a slider beside it."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QValidator, QWheelEvent
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QWidget
from superqt.utils import signals_blocked

SLIDER_STEPS = 200


class NumberBox(QDoubleSpinBox):
    """A spin box that shows a number as it is: 0.001, 1e-06, 30; 0,001 where the locale has a decimal comma.

    Comma and point are both understood, and a step is a tenth of the number's decade.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setDecimals(40)  # only bounds the precision; the text is made below
        self.setRange(-1e12, 1e12)
        self.setKeyboardTracking(False)

    def textFromValue(self, value: float) -> str:
        """The shortest text that means this number."""
        return repr(value).removesuffix(".0").replace(".", decimal_point(self))

    def valueFromText(self, text: str | None) -> float:
        """The number that a text means."""
        return float((text or "").strip().replace(",", "."))

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Whether the text is a number in range, could become one, or neither."""
        text = text or ""
        state = QValidator.State.Intermediate
        if not set(text) <= set("0123456789.,+-eE "):
            state = QValidator.State.Invalid
        else:
            try:
                if self.minimum() <= self.valueFromText(text) <= self.maximum():
                    state = QValidator.State.Acceptable
            except ValueError:
                pass
        return state, text, position

    def stepBy(self, steps: int) -> None:
        """Step by a tenth of the number's decade, without the dust of binary fractions."""
        value = self.value()
        step = 10.0 ** (math.floor(math.log10(abs(value))) - 1) if value else 0.01
        self.setValue(float(f"{value + steps * step:.12g}"))


class SliderBox(QWidget):
    """A number and a slider for those that are usual, on a logarithmic scale; the number may be beyond them.

    Parameters
    ----------
    low, high : float
        Ends of the slider, above 0.
    parent : QWidget, optional

    Attributes
    ----------
    valueChanged : Signal(float)
    """

    valueChanged = Signal(float)

    def __init__(self, low: float, high: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = low, high
        self.box, self.slider = _Box(), _Slider(Qt.Orientation.Horizontal)
        self.box.setMinimumWidth(60)
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.slider.setRange(0, SLIDER_STEPS)
        self.slider.setMinimumWidth(40)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.slider, 1)
        row.addWidget(self.box)
        self.slider.valueChanged.connect(self._on_slider)
        self.box.valueChanged.connect(self._on_box)

    def value(self) -> float:
        """The number."""
        return self.box.value()

    def setValue(self, value: float) -> None:
        """Show a number."""
        self.box.setValue(value)

    def setMinimum(self, least: float) -> None:
        """The least that can be typed."""
        self.box.setMinimum(least)

    def setMaximum(self, most: float) -> None:
        """The most that can be typed."""
        self.box.setMaximum(most)

    def _on_slider(self, step: int) -> None:
        value = self._low * (self._high / self._low) ** (step / SLIDER_STEPS)
        self.box.setValue(float(f"{value:.2g}"))

    def _on_box(self, value: float) -> None:
        at = math.log(max(value, 1e-9) / self._low) / math.log(self._high / self._low)
        with signals_blocked(self.slider):
            self.slider.setValue(round(SLIDER_STEPS * min(max(at, 0.0), 1.0)))
        self.valueChanged.emit(value)


def _unless_focused(widget: QWidget, event: QWheelEvent | None) -> bool:
    """Leave the mouse wheel to the scroll area, unless the widget was clicked first."""
    if event is None or widget.hasFocus():
        return False
    event.ignore()
    return True


class _Box(NumberBox):
    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """See `_unless_focused`."""
        if not _unless_focused(self, event):
            super().wheelEvent(event)


class _Slider(QSlider):
    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """See `_unless_focused`."""
        if not _unless_focused(self, event):
            super().wheelEvent(event)


def decimal_point(widget: QWidget) -> str:
    """What stands between the whole and the fraction of a number in the widget's locale."""
    return widget.locale().decimalPoint()

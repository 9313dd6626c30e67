"""Sensitivity and purity against the threshold, which can be dragged there."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_pu_segment.core.curve import Curve

from ..looks import COLOURS
from ..numbers import PERCENT
from .score_axis import ScoreAxis

HEIGHT_PX = 78
PURITY = COLOURS["uncertainty"]  # vermilion and dashed, beside a solid line of the text's colour: told apart by any eye
LEVELS = (0.5, 1.0)
HALF = f"50{PERCENT}"


class CurvePlot(ScoreAxis):
    """Two lines from 0 to 100 %, on the axis of the histogram: sensitivity solid, purity dashed and coloured."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Sensitivity and purity", "", HEIGHT_PX, parent)
        self._curve: Curve | None = None

    def value(self) -> Curve | None:
        """What is drawn."""
        return self._curve

    def set_value(self, curve: Curve | None) -> None:
        """Draw these lines, or none."""
        self._curve = curve
        self.update()

    def paint_data(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        """Two levels to read from, both lines, and where they are at the threshold."""
        for level in LEVELS:
            y = room.bottom() - level * room.height()
            painter.setPen(QPen(faint, 1))
            painter.drawLine(QPointF(room.left(), y), QPointF(room.right(), y))
        painter.setPen(ink)  # on the left, where all is found, on the side of the level that purity leaves free
        metrics, middle = self.fontMetrics(), room.center().y()
        above = self._curve is None or not np.nanmin(self._curve.purity, initial=1) > 0.5
        painter.drawText(QPointF(room.left(), middle + (-metrics.descent() - 1 if above else metrics.ascent())), HALF)
        if self._curve is None:
            return
        here, xs = self._curve.at(self.threshold()), [self.x_of(threshold) for threshold in self._curve.thresholds]
        lines = (self._curve.sensitivity, QPen(ink, 2)), (self._curve.purity, QPen(QColor(PURITY), 2))
        lines[1][1].setStyle(Qt.PenStyle.DashLine)
        for (values, pen), value in zip(lines, here, strict=True):
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            there = [(x, float(one)) for x, one in zip(xs, values, strict=True) if np.isfinite(one)]
            at = [QPointF(x, room.bottom() - one * room.height()) for x, one in there]
            painter.drawPolyline(QPolygonF(at))
            if np.isfinite(value):
                painter.setBrush(pen.color())
                painter.setPen(Qt.PenStyle.NoPen)
                painter.drawEllipse(QPointF(self.x_of(self.threshold()), room.bottom() - value * room.height()), 4, 4)

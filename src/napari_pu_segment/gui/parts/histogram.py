"""A small histogram of a result's scores, in which the threshold can be dragged."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, QRectF
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF, QResizeEvent
from qtpy.QtWidgets import QWidget

from napari_pu_segment.core.coverage import Coverage

from ..looks import COLOURS
from .score_axis import ScoreAxis

BAR_PX = 3
DECADES = 3  # of counts, from the highest bar down
HEIGHT_PX = 64


class Histogram(ScoreAxis):
    """How many pixels have which probability: all of the image as bars, those of strokes as lines.

    Counts are logarithmic, and each of the three has a scale of its own. The bars above the threshold have the colour
    of the mask.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Histogram of probabilities", "Train a model to see its scores here", HEIGHT_PX, parent)
        self._coverage: Coverage | None = None
        self._heights: tuple[np.ndarray, ...] = ()  # 0..1; all pixels, positive strokes, negative strokes

    def value(self) -> Coverage | None:
        """What is drawn."""
        return self._coverage

    def set_value(self, coverage: Coverage | None) -> None:
        """Draw these counts, or none."""
        self._coverage = coverage
        self._measure()
        self.set_range(None if coverage is None else coverage.score_range)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """The bars stay as wide as they are; there are more or fewer."""
        self._measure()

    def paint_data(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        """Bars, and lines of the strokes."""
        self._paint_bars(painter, room, faint)
        for heights, role in zip(self._heights[1:], ("positive", "negative"), strict=True):
            if heights.any():
                painter.setPen(QPen(QColor(COLOURS[role]), 2))
                painter.drawPolyline(_outline(heights, room))

    def _paint_bars(self, painter: QPainter, room: QRectF, faint: QColor) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)  # upright edges need none, and it takes long
        heights, x = self._heights[0], self.x_of(self.threshold())
        width = room.width() / len(heights)
        for i, height in enumerate(heights):
            left, top = room.left() + i * width, room.bottom() - float(height) * room.height()
            middle = min(max(x, left), left + width)
            painter.fillRect(QRectF(left, top, middle - left, room.bottom() - top), faint)
            painter.fillRect(QRectF(middle, top, left + width - middle, room.bottom() - top), QColor(COLOURS["mask"]))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _measure(self) -> None:
        self._heights = ()
        if self._coverage is not None:
            counts = self._coverage.shown(max(10, int(self.room().width() / BAR_PX)))
            with np.errstate(divide="ignore"):
                logs = [np.log10(count / max(1, count.max())) for count in counts]
            self._heights = tuple(np.clip(1 + log / DECADES, 0, 1) for log in logs)


def _outline(heights: np.ndarray, room: QRectF) -> QPolygonF:
    """Steps along the tops of bars, closed along the bottom."""
    width = room.width() / len(heights)
    points = [room.bottomLeft()]
    for i, height in enumerate(heights):
        y = room.bottom() - float(height) * room.height()
        points += [QPointF(room.left() + i * width, y), QPointF(room.left() + (i + 1) * width, y)]
    return QPolygonF([*points, room.bottomRight()])

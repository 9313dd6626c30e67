"""A small histogram of a result's scores, in which the threshold can be dragged."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPolygonF, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_pu_segment.core.coverage import Coverage, probability_of, score_of

from ..looks import COLOURS

NOTHING = (-8.0, 8.0)  # scores along the axis of an empty histogram
TICKS = (0.5, 0.01, 0.99, 0.0001, 0.9999, 0.1, 0.9, 0.001, 0.999, 0.000001, 0.999999)  # the first ones go first
BAR_PX = 3
DECADES = 3  # of counts, from the highest bar down
STEP = 0.1  # of the score, for an arrow key
_MARGIN = 4.0


class Histogram(QWidget):
    """How many pixels have which probability: all of the image as bars, those of strokes as lines.

    Probabilities are spread by their score, so that those near 0 and 1 are told apart; counts are logarithmic, and
    each of the three has a scale of its own. The bars above the threshold have the colour of the mask.

    Attributes
    ----------
    moved : Signal(float)
        The user put the threshold at this probability: by a click, a drag, or an arrow key.
    """

    moved = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._coverage: Coverage | None = None
        self._heights: tuple[np.ndarray, ...] = ()  # 0..1; all pixels, positive strokes, negative strokes
        self._threshold = 0.5
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Histogram of probabilities")

    def value(self) -> Coverage | None:
        """What is drawn."""
        return self._coverage

    def set_value(self, coverage: Coverage | None) -> None:
        """Draw these counts, or none."""
        self._coverage = coverage
        self._measure()
        self.setCursor(Qt.CursorShape.ArrowCursor if coverage is None else Qt.CursorShape.SplitHCursor)
        self.update()

    def threshold(self) -> float:
        """Where the line stands."""
        return self._threshold

    def set_threshold(self, threshold: float) -> None:
        """Put the line at a probability; `moved` is not emitted."""
        self._threshold = threshold
        self.update()

    def share_of(self, probability: float) -> float:
        """Where along the axis a probability stands, 0..1."""
        low, high = self._range()
        return (min(max(score_of(probability), low), high) - low) / (high - low)

    def probability_at(self, share: float) -> float:
        """What stands there along the axis; at its very ends 0 and 1, so that everything or nothing can be chosen."""
        low, high = self._range()
        return probability_of(low + share * (high - low)) if 0 < share < 1 else float(share > 0)

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(240, 64 + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """As low, and as narrow as its ticks allow."""
        return QSize(160, self.sizeHint().height())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """The line goes where the mouse is."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton and self._coverage is not None:
            share = (event.position().x() - _MARGIN) / max(1.0, self.width() - 2 * _MARGIN)
            self._move(self.probability_at(min(max(share, 0.0), 1.0)))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """So does it while the button is held."""
        self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Arrow keys move the line."""
        steps = {Qt.Key.Key_Left: -STEP, Qt.Key.Key_Right: STEP}
        if event is not None and event.key() in steps and self._coverage is not None:
            self._move(probability_of(score_of(self._threshold) + steps[Qt.Key(event.key())]))
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """The bars stay as wide as they are; there are more or fewer."""
        self._measure()

    def changeEvent(self, event: QEvent | None) -> None:
        """Another theme, or another font."""
        self.update()
        super().changeEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Bars, lines of the strokes, threshold, ticks."""
        painter, room = QPainter(self), self._room()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        faint = QColor(ink)
        faint.setAlphaF(0.3)
        painter.setPen(QPen(faint, 1))
        painter.drawLine(room.bottomLeft(), room.bottomRight())
        self._paint_ticks(painter, room, ink, faint)
        if self._coverage is None:
            painter.setPen(ink)
            painter.drawText(room, Qt.AlignmentFlag.AlignCenter, "Train a model to see its scores here")
            return
        self._paint_bars(painter, room, faint)
        for heights, role in zip(self._heights[1:], ("positive", "negative"), strict=True):
            if heights.any():
                painter.setPen(QPen(QColor(COLOURS[role]), 2))
                painter.drawPolyline(_outline(heights, room))
        x = self._x_of(self._threshold)
        painter.setPen(QPen(ink, 2))
        painter.drawLine(QPointF(x, room.top() - 2), QPointF(x, room.bottom() + 3))

    def _paint_bars(self, painter: QPainter, room: QRectF, faint: QColor) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)  # upright edges need none, and it takes long
        heights, x = self._heights[0], self._x_of(self._threshold)
        width = room.width() / len(heights)
        for i, height in enumerate(heights):
            left, top = room.left() + i * width, room.bottom() - float(height) * room.height()
            middle = min(max(x, left), left + width)
            painter.fillRect(QRectF(left, top, middle - left, room.bottom() - top), faint)
            painter.fillRect(QRectF(middle, top, left + width - middle, room.bottom() - top), QColor(COLOURS["mask"]))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _paint_ticks(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        metrics, locale = self.fontMetrics(), self.locale()
        taken: list[tuple[float, float]] = []
        low, high = (probability_of(score) for score in self._range())
        for tick in TICKS:
            text, x = locale.toString(tick, "g", 6).replace("e-06", "e-6"), self._x_of(tick)
            width = metrics.horizontalAdvance(text)
            left = min(max(x - width / 2, 0.0), self.width() - width)
            if low <= tick <= high and all(left > end or left + width < begin for begin, end in taken):
                taken.append((left - 4, left + width + 4))
                painter.setPen(QPen(faint, 1))
                painter.drawLine(QPointF(x, room.bottom()), QPointF(x, room.bottom() + 3))
                painter.setPen(ink)
                painter.drawText(QPointF(left, self.height() - metrics.descent()), text)

    def _room(self) -> QRectF:
        """Where the bars stand."""
        height = self.height() - self.fontMetrics().height() - 6
        return QRectF(_MARGIN, 4, self.width() - 2 * _MARGIN, height)

    def _measure(self) -> None:
        self._heights = ()
        if self._coverage is not None:
            counts = self._coverage.shown(max(10, int(self._room().width() / BAR_PX)))
            with np.errstate(divide="ignore"):
                logs = [np.log10(count / max(1, count.max())) for count in counts]
            self._heights = tuple(np.clip(1 + log / DECADES, 0, 1) for log in logs)

    def _range(self) -> tuple[float, float]:
        return NOTHING if self._coverage is None else self._coverage.score_range

    def _x_of(self, probability: float) -> float:
        return _MARGIN + self.share_of(probability) * (self.width() - 2 * _MARGIN)

    def _move(self, probability: float) -> None:
        self.set_threshold(probability)
        self.moved.emit(probability)


def _outline(heights: np.ndarray, room: QRectF) -> QPolygonF:
    """Steps along the tops of bars, closed along the bottom."""
    width = room.width() / len(heights)
    points = [room.bottomLeft()]
    for i, height in enumerate(heights):
        y = room.bottom() - float(height) * room.height()
        points += [QPointF(room.left() + i * width, y), QPointF(room.left() + (i + 1) * width, y)]
    return QPolygonF([*points, room.bottomRight()])

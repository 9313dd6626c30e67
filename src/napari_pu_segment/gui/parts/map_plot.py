"""A map of objects, drawn with Qt alone: near each other where they look alike; a click chooses one."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from ..looks import CLASS_COLOURS
from .ink import inks

REACH_PX = 12.0  # a click further from all points chooses none
_MARGIN, _POINT, _MARKED = 10.0, 2.6, 6.0


class MapPlot(QWidget):
    """Points in the colours of their classes; one of them may be marked.

    Attributes
    ----------
    picked : Signal(int)
        The user clicked on this point.
    """

    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points = np.zeros((0, 2))  # within 0..1
        self._numbers = np.zeros(0, np.int64)
        self._marked: int | None = None
        self.setAccessibleName("Map of the objects")
        self.setToolTip("Each point is an object; near each other are those that look alike. Click one to go there.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_value(self, points: np.ndarray, numbers: np.ndarray) -> None:
        """Draw points (N, 2), any unit, of classes (N,), 1..K; none is marked."""
        low, high = (points.min(0), points.max(0)) if len(points) else (np.zeros(2), np.zeros(2))
        extent = float((high - low).max()) or 1.0  # one unit along both axes
        middle = (low + high) / 2
        self._points, self._numbers, self._marked = (points - middle) / extent + 0.5, numbers, None
        self.update()

    def n_points(self) -> int:
        """How many points there are."""
        return len(self._points)

    def marked(self) -> int | None:
        """The point that is marked."""
        return self._marked

    def mark(self, index: int | None) -> None:
        """Mark a point, or none; `picked` is not emitted."""
        self._marked = index
        self.update()

    def places(self) -> np.ndarray:
        """Where the points lie in the widget, (N, 2), x and y in pixels."""
        side = max(1.0, min(self.width(), self.height()) - 2 * _MARGIN)
        middle = np.array([self.width() / 2, self.height() / 2])
        return np.asarray(middle + (self._points - 0.5) * side)

    def sizeHint(self) -> QSize:
        """About square in a dock."""
        return QSize(240, 220)

    def minimumSizeHint(self) -> QSize:
        """As high as it is, and as narrow as a dock."""
        return QSize(180, 220)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """The nearest point is chosen."""
        if event is None or event.button() != Qt.MouseButton.LeftButton or not len(self._points):
            return
        at = event.position()
        away = np.hypot(*(self.places() - [at.x(), at.y()]).T)
        if away.min() <= REACH_PX:
            self.mark(int(away.argmin()))
            self.picked.emit(int(away.argmin()))

    def changeEvent(self, event: QEvent | None) -> None:
        """Another theme."""
        self.update()
        super().changeEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """A frame, the points, and a ring around the marked one."""
        painter, places = QPainter(self), self.places()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink, faint = inks(self)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.setPen(Qt.PenStyle.NoPen)
        for number in np.unique(self._numbers):
            painter.setBrush(QColor(CLASS_COLOURS[min(int(number), len(CLASS_COLOURS)) - 1]))
            for x, y in places[self._numbers == number]:
                painter.drawEllipse(QPointF(x, y), _POINT, _POINT)
        if self._marked is not None:
            painter.setPen(QPen(ink, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(QPointF(*places[self._marked]), _MARKED, _MARKED)

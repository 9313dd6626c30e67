"""An axis of probabilities, spread by their score, along which the threshold can be dragged; for plots above it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_pu_segment.core.coverage import probability_of, score_of

from .ink import inks

NOTHING = (-8.0, 8.0)  # scores along the axis where there is nothing to draw
TICKS = (0.5, 0.01, 0.99, 0.0001, 0.9999, 0.1, 0.9, 0.001, 0.999, 0.000001, 0.999999)  # the first ones go first
STEP = 0.1  # of the score, for an arrow key
_MARGIN = 4.0


class ScoreAxis(QWidget):
    """What plots against the probability share: the axis, its ticks, the threshold, and moving it.

    Probabilities are spread by their score, so that those near 0 and 1 are told apart.

    Parameters
    ----------
    name : str
        For those who do not see it.
    empty : str
        Shown where there is nothing to draw.
    height_px : int
        Without the ticks.
    parent : QWidget, optional

    Attributes
    ----------
    moved : Signal(float)
        The user put the threshold at this probability: by a click, a drag, or an arrow key.
    """

    moved = Signal(float)

    def __init__(self, name: str, empty: str, height_px: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty, self._height_px = empty, height_px
        self._range: tuple[float, float] | None = None  # of scores; None where there is nothing to draw
        self._threshold = 0.5
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(name)

    def threshold(self) -> float:
        """Where the line stands."""
        return self._threshold

    def set_threshold(self, threshold: float) -> None:
        """Put the line at a probability; `moved` is not emitted."""
        self._threshold = threshold
        self.update()

    def share_of(self, probability: float) -> float:
        """Where along the axis a probability stands, 0..1."""
        low, high = self._range or NOTHING
        return (min(max(score_of(probability), low), high) - low) / (high - low)

    def probability_at(self, share: float) -> float:
        """What stands there along the axis; at its very ends 0 and 1, so that everything or nothing can be chosen."""
        low, high = self._range or NOTHING
        return probability_of(low + share * (high - low)) if 0 < share < 1 else float(share > 0)

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(240, self._height_px + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """As low, and as narrow as its ticks allow."""
        return QSize(160, self.sizeHint().height())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """The line goes where the mouse is."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton and self._range is not None:
            share = (event.position().x() - _MARGIN) / max(1.0, self.width() - 2 * _MARGIN)
            self._move(self.probability_at(min(max(share, 0.0), 1.0)))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """So does it while the button is held."""
        self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Arrow keys move the line."""
        steps = {Qt.Key.Key_Left: -STEP, Qt.Key.Key_Right: STEP}
        if event is not None and event.key() in steps and self._range is not None:
            self._move(probability_of(score_of(self._threshold) + steps[Qt.Key(event.key())]))
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        """Another theme, or another font."""
        self.update()
        super().changeEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Ticks, what is drawn, the threshold."""
        painter, room = QPainter(self), self.room()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink, faint = inks(self)
        painter.setPen(QPen(faint, 1))
        painter.drawLine(room.bottomLeft(), room.bottomRight())
        self._paint_ticks(painter, room, ink, faint)
        if self._range is None:
            painter.setPen(ink)
            painter.drawText(room, Qt.AlignmentFlag.AlignCenter, self._empty)
            return
        self.paint_data(painter, room, ink, faint)
        x = self.x_of(self._threshold)
        painter.setPen(QPen(ink, 2))
        painter.drawLine(QPointF(x, room.top() - 2), QPointF(x, room.bottom() + 3))

    def paint_data(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        """What a kind of plot shows within its room."""
        raise NotImplementedError

    def room(self) -> QRectF:
        """Where the data are drawn."""
        height = self.height() - self.fontMetrics().height() - 6
        return QRectF(_MARGIN, 4, self.width() - 2 * _MARGIN, height)

    def x_of(self, probability: float) -> float:
        """Where in the widget a probability stands, in pixels."""
        return _MARGIN + self.share_of(probability) * (self.width() - 2 * _MARGIN)

    def set_range(self, scores: tuple[float, float] | None) -> None:
        """Draw over another range of scores; None: there is nothing to draw."""
        self._range = scores
        self.setCursor(Qt.CursorShape.ArrowCursor if scores is None else Qt.CursorShape.SplitHCursor)
        self.update()

    def _paint_ticks(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        metrics, locale = self.fontMetrics(), self.locale()
        taken: list[tuple[float, float]] = []
        low, high = (probability_of(score) for score in self._range or NOTHING)
        for tick in TICKS:
            text, x = locale.toString(tick, "g", 6).replace("e-06", "e-6"), self.x_of(tick)
            width = metrics.horizontalAdvance(text)
            left = min(max(x - width / 2, 0.0), self.width() - width)
            if low <= tick <= high and all(left > end or left + width < begin for begin, end in taken):
                taken.append((left - 4, left + width + 4))
                painter.setPen(QPen(faint, 1))
                painter.drawLine(QPointF(x, room.bottom()), QPointF(x, room.bottom() + 3))
                painter.setPen(ink)
                painter.drawText(QPointF(left, self.height() - metrics.descent()), text)

    def _move(self, probability: float) -> None:
        self.set_threshold(probability)
        self.moved.emit(probability)

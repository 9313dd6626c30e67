"""Plots against time, drawn with Qt alone: a curve, and keograms on the same axis; a click chooses a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_pu_segment.core.frames.timeaxis import TimeAxis

from ..looks import COLOURS
from ..numbers import number_text
from .ink import inks

POINTS_PX = 6  # frames that far apart are drawn as points
_TOP, _RIGHT = 5.0, 6.0


@dataclass(frozen=True, eq=False)
class Curve:
    """Values against time.

    Parameters
    ----------
    axis : TimeAxis
    values : ndarray of float, (n,)
        NaN where there is none.
    unit : str
        Shown at the top of the axis, such as "%" or "µm²"; may be empty.
    """

    axis: TimeAxis
    values: np.ndarray
    unit: str = ""


class TimeStrip(QWidget):
    """What plots against time share: margins, the axis and its ticks, the present frame, and choosing another.

    Attributes
    ----------
    picked : Signal(int)
        The user chose this frame: by a click, a drag, or an arrow key.
    """

    picked = Signal(int)

    def __init__(self, name: str, empty: str, *, ticks: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axis: TimeAxis | None = None
        self._frame = 0
        self._empty, self._ticks = empty, ticks
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def frame(self) -> int:
        """The present frame."""
        return self._frame

    def set_frame(self, frame: int) -> None:
        """Mark another frame as the present one; `picked` is not emitted."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    def x_of(self, frame: int) -> float:
        """Where in the widget a frame lies, in pixels."""
        room = self.room()
        share = self._axis.share_of(frame) if self._axis is not None else 0.0
        return room.left() + share * room.width()

    def room(self) -> QRectF:
        """Where the data are drawn."""
        left = self.fontMetrics().horizontalAdvance("00000") + 8.0
        bottom = self.fontMetrics().height() + 5.0 if self._ticks else 1.0
        top = _TOP if self._ticks else 1.0
        return QRectF(left, top, max(1.0, self.width() - left - _RIGHT), max(1.0, self.height() - top - bottom))

    def minimumSizeHint(self) -> QSize:
        """As low as it is, and as narrow as a dock."""
        return QSize(180, self.sizeHint().height())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """The frame at the mouse becomes the present one."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton and self._axis is not None:
            share = (event.position().x() - self.room().left()) / self.room().width()
            self._pick(self._axis.frame_at(min(max(share, 0.0), 1.0)))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """So does it while the button is held."""
        self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Arrow keys go to the neighbours, Home and End to the first and the last frame."""
        last = -1 if self._axis is None else len(self._axis.places) - 1
        goals = {Qt.Key.Key_Left: self._frame - 1, Qt.Key.Key_Right: self._frame + 1}
        goals |= {Qt.Key.Key_Home: 0, Qt.Key.Key_End: last}
        if event is not None and event.key() in goals and last >= 0:
            self._pick(min(max(goals[Qt.Key(event.key())], 0), last))
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        """Another theme, or another font."""
        self.update()
        super().changeEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Frame and ticks, data, the present frame."""
        painter, room = QPainter(self), self.room()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink, faint = inks(self)
        if self._axis is None:
            painter.setPen(ink)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()), int(flags), self._empty)
            return
        self.paint_data(painter, room, ink, faint)
        if self._ticks:
            self._paint_ticks(painter, room, ink, faint)
        self.paint_frame(painter, room, ink)

    def paint_data(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        """What a kind of plot shows within its room."""
        raise NotImplementedError

    def paint_frame(self, painter: QPainter, room: QRectF, ink: QColor) -> None:
        """A line at the present frame."""
        x = self.x_of(self._frame)
        painter.setPen(QPen(ink, 1.5))
        painter.drawLine(QPointF(x, room.top() - 1), QPointF(x, room.bottom() + 1))

    def _paint_ticks(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        metrics, end = self.fontMetrics(), -math.inf
        assert self._axis is not None
        for share, text in self._axis.ticks(max(1, int(room.width() / (metrics.horizontalAdvance("00:00:00") + 12)))):
            x, width = room.left() + share * room.width(), metrics.horizontalAdvance(text)
            left = min(max(x - width / 2, 0.0), self.width() - width)
            if left > end:
                end = left + width + 6
                painter.setPen(QPen(faint, 1))
                painter.drawLine(QPointF(x, room.bottom()), QPointF(x, room.bottom() + 3))
                painter.setPen(ink)
                painter.drawText(QPointF(left, self.height() - metrics.descent()), text)

    def _pick(self, frame: int) -> None:
        self.set_frame(frame)
        self.picked.emit(frame)


class Plot(TimeStrip):
    """A curve against time, or against a count."""

    def __init__(
        self,
        parent: QWidget | None = None,
        name: str = "Plot against time",
        empty: str = "Measure a series to see it here",
    ) -> None:
        super().__init__(name, empty, ticks=True, parent=parent)
        self._curve: Curve | None = None

    def value(self) -> Curve | None:
        """What is drawn."""
        return self._curve

    def set_value(self, curve: Curve | None) -> None:
        """Draw this curve, or none."""
        self._curve, self._axis = curve, None if curve is None else curve.axis
        self.update()

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(240, 120 + self.fontMetrics().height())

    def y_of(self, value: float) -> float:
        """Where in the widget a value lies, in pixels."""
        low, high = self._range()
        room = self.room()
        return room.bottom() - (value - low) / (high - low) * room.height()

    def paint_data(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        """The scale and the curve."""
        curve = self._curve
        assert curve is not None
        metrics = self.fontMetrics()
        for tick in _round_ticks(*self._range(), max(2, int(room.height() / (2.2 * metrics.height())))):
            y, text = self.y_of(tick), number_text(tick, 3)
            painter.setPen(QPen(faint, 0.6))
            painter.drawLine(QPointF(room.left(), y), QPointF(room.right(), y))
            painter.setPen(ink)
            left = room.left() - metrics.horizontalAdvance(text) - 5
            painter.drawText(QPointF(left, min(y + metrics.ascent() / 2 - 1, room.bottom() + 2)), text)
        painter.setPen(QPen(QColor(COLOURS["mask"]), 2))
        there = np.flatnonzero(np.isfinite(curve.values))
        points = [QPointF(self.x_of(int(i)), self.y_of(float(curve.values[i]))) for i in there]
        for run in _runs(curve.values):
            painter.drawPolyline(QPolygonF(points[run]))
        painter.setBrush(QColor(COLOURS["mask"]))
        if len(points) * POINTS_PX < room.width():
            for point in points:
                painter.drawEllipse(point, 1.8, 1.8)

    def paint_frame(self, painter: QPainter, room: QRectF, ink: QColor) -> None:
        """A line at the present frame, and a dot on the curve."""
        super().paint_frame(painter, room, ink)
        values = np.zeros(0) if self._curve is None else self._curve.values
        if self._frame < len(values) and math.isfinite(values[self._frame]):
            painter.setBrush(QColor(COLOURS["mask"]))
            painter.drawEllipse(QPointF(self.x_of(self._frame), self.y_of(float(values[self._frame]))), 4, 4)

    def _range(self) -> tuple[float, float]:
        """From 0, or from below 0, to the highest value."""
        values = np.zeros(1) if self._curve is None else self._curve.values[np.isfinite(self._curve.values)]
        low, high = min(0.0, float(values.min(initial=0))), float(values.max(initial=0))
        return low, high + 0.06 * (high - low) if high > low else low + 1


class KeogramStrip(TimeStrip):
    """One line of every frame against time."""

    def __init__(self, name: str, *, ticks: bool, parent: QWidget | None = None) -> None:
        super().__init__(name, name, ticks=ticks, parent=parent)
        self._rgb = np.zeros((0, 0, 3), np.uint8)

    def set_value(self, axis: TimeAxis | None, rgb: np.ndarray | None = None) -> None:
        """Draw colours (L, T, 3) uint8 along an axis of time, or nothing."""
        self._axis, self._rgb = axis, np.zeros((0, 0, 3), np.uint8) if rgb is None else rgb
        self.update()

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(240, 84 + (self.fontMetrics().height() + 5 if self._ticks else 0))

    def paint_data(self, painter: QPainter, room: QRectF, ink: QColor, faint: QColor) -> None:
        """The frames' lines side by side; nothing where there was no frame."""
        assert self._axis is not None
        columns = self._axis.columns(max(1, round(room.width() * self.devicePixelRatioF())))
        shown = np.zeros((len(self._rgb), len(columns), 4), np.uint8)
        shown[..., :3] = self._rgb[:, columns]
        shown[..., 3] = 255 * (columns >= 0)
        height, width = shown.shape[:2]
        image = QImage(shown.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(room, image)
        painter.setPen(QPen(faint, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(room)

    def paint_frame(self, painter: QPainter, room: QRectF, ink: QColor) -> None:
        """A line at the present frame that is seen on every colour."""
        x = self.x_of(self._frame)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Window), 4))
        painter.drawLine(QPointF(x, room.top()), QPointF(x, room.bottom()))
        super().paint_frame(painter, room, ink)


def _runs(values: np.ndarray) -> list[slice]:
    """Stretches of the values that are there, counted without those that are not."""
    there = np.isfinite(values)
    starts = np.flatnonzero(there & ~np.r_[False, there[:-1]])
    order = np.cumsum(there) - 1
    ends = np.flatnonzero(there & ~np.r_[there[1:], False])
    return [slice(int(order[start]), int(order[end]) + 1) for start, end in zip(starts, ends, strict=True)]


def _round_ticks(low: float, high: float, most: int) -> Sequence[float]:
    """Round values of the scale, at most about so many."""
    least = (high - low) / most
    decade = 10.0 ** math.floor(math.log10(least))
    step = next(decade * n for n in (1, 2, 5, 10) if decade * n >= least * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{n * step:.10g}") for n in range(first, last + 1)]

"""A bar of the shares of groups, so that their balance is seen at once; a click chooses one."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from ..looks import COLOURS

_COLOURS = [QColor(COLOURS[role]) for role in ("positive", "negative", "mask", "probability", "refined", "suspect")]


class BalanceBar(QWidget):
    """Groups side by side, each as wide as its share.

    Attributes
    ----------
    picked : Signal(int)
        The user clicked on the group with this number, from 0.
    """

    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shares: list[float] = []
        self._words: list[str] = []
        self.setAccessibleName("Balance of groups")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_groups(self, shares: Sequence[float], words: Sequence[str]) -> None:
        """Show these shares, which add up to 1, with the tool tip of each."""
        self._shares, self._words = list(shares), list(words)
        self.update()

    def room(self, number: int) -> QRectF:
        """Where a group is drawn."""
        left = sum(self._shares[:number]) * self.width()
        return QRectF(left, 0, self._shares[number] * self.width(), self.height())

    def sizeHint(self) -> QSize:
        """As high as a line of text."""
        return QSize(180, self.fontMetrics().height() + 4)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the group below the mouse."""
        number = None if event is None else self._at(event.position().x())
        if event is not None and event.button() == Qt.MouseButton.LeftButton and number is not None:
            self.picked.emit(number)

    def event(self, event: QEvent | None) -> bool:
        """Each group has a tool tip of its own."""
        if isinstance(event, QHelpEvent):
            number = self._at(event.pos().x())
            QToolTip.showText(event.globalPos(), "" if number is None else self._words[number], self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """The groups, with their numbers where there is room."""
        painter, gap = QPainter(self), self.palette().color(QPalette.ColorRole.Window)
        for number in range(len(self._shares)):
            room, colour = self.room(number), _COLOURS[number % len(_COLOURS)]
            painter.fillRect(room, colour)
            painter.fillRect(QRectF(room.right() - 1, 0, 1, room.height()), gap)
            text = str(number + 1)
            if self.fontMetrics().horizontalAdvance(text) + 4 < room.width():
                painter.setPen(QColor("black" if colour.lightnessF() > 0.35 else "white"))
                painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), text)

    def _at(self, x: float) -> int | None:
        numbers = range(len(self._shares))
        return next((number for number in numbers if self.room(number).left() <= x < self.room(number).right()), None)

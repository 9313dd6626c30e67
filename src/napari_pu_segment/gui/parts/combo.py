"""A choice in a narrow dock."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter, QWidget

_AROUND_PX = 30  # beside an entry in the list that pops up: its edges, and a scroll bar


class Combo(QComboBox):
    """Long entries do not widen the dock: closed they end in dots, and the list that pops up shows them in full.

    The wheel does not change the choice in passing.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the wheel alone does not give it the focus
        self.setMinimumWidth(80)

    def showPopup(self) -> None:
        """Show the list, as wide as its widest entry, whatever it holds by now and in whatever font."""
        view = self.view()
        if view is not None:
            view.setMinimumWidth(view.sizeHintForColumn(0) + _AROUND_PX)
        super().showPopup()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """As always, but what there is no room for ends in dots."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        style = self.style()
        assert style is not None
        field = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        icon = self.iconSize().width() + 4 if not option.currentIcon.isNull() else 0
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, field.width() - icon - 2
        )
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

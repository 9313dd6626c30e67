"""The colours that plots are drawn in, of whatever theme."""

from __future__ import annotations

from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QWidget


def inks(widget: QWidget) -> tuple[QColor, QColor]:
    """The colour of a widget's text, and the same faint, for lines to read from."""
    ink = widget.palette().color(QPalette.ColorRole.WindowText)
    faint = QColor(ink)
    faint.setAlphaF(0.3)
    return ink, faint

"""A column of panels that scrolls."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget


class Column(QScrollArea):
    """Panels one below the other; a dock cannot be made so narrow that something is cut off at their side.

    Parameters
    ----------
    panels : list of QWidget
        From top to bottom.
    fills : bool
        Whether a panel takes what room is left; else it stays empty below the last.
    """

    def __init__(self, panels: list[QWidget], *, fills: bool = False) -> None:
        super().__init__()
        inner = QWidget()
        rows = QVBoxLayout(inner)
        rows.setContentsMargins(0, 3, 0, 0)
        for panel in panels:
            rows.addWidget(panel)
        if not fills:
            rows.addStretch()
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Tell the dock when the panels want another width."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:
        """Wide enough for the widest panel and the scroll bar."""
        inner, bar = self.widget(), self.verticalScrollBar()
        assert inner is not None
        assert bar is not None
        return QSize(inner.minimumSizeHint().width() + bar.sizeHint().width(), 200)

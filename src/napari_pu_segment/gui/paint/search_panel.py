"""The panel of a search for a pixel classifier: what was tried, best first, and the choice of another row."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGroupBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pu_segment.core.search.candidates import Tried
from napari_pu_segment.core.search.searching import SearchTable

from ..session import Session
from .search import SearchFollower

MARK, SHOWN_ROWS = "●", 7
COLUMNS = (
    ("Pipeline", "What was tried; a click takes it."),
    ("Score", "The probability that the right class got in strokes that were held out, 0 to 1; more is better."),
    ("s/Mpx", "Seconds to predict a megapixel, filters and classifiers; less is faster."),
)


class SearchPanel(QWidget):
    """The table of the latest search; hidden until there is one.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.follower = SearchFollower(session)
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.table = QTableWidget(0, len(COLUMNS))
        self._shown: tuple[Tried, ...] = ()
        self._lay_out()
        self.table.cellClicked.connect(lambda row, _column: self.pick(row))
        self.table.cellActivated.connect(lambda row, _column: self.pick(row))
        self.follower.changed.connect(self._refresh)
        self._refresh()

    def pick(self, row: int) -> None:
        """Take a row of the table, unless it is in use already."""
        if row < len(self._shown) and (row != self.follower.in_use or self.follower.searching):
            self.follower.pick(self._shown[row])

    def _lay_out(self) -> None:
        table, columns, rows = self.table, self.table.horizontalHeader(), self.table.verticalHeader()
        assert columns is not None
        assert rows is not None
        for index, (title, tip) in enumerate(COLUMNS):
            header = QTableWidgetItem(title)
            header.setToolTip(tip)
            table.setHorizontalHeaderItem(index, header)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setWordWrap(False)
        columns.setMinimumSectionSize(16)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for index in (1, 2):
            widest = max(table.fontMetrics().horizontalAdvance(text) for text in (COLUMNS[index][0], "00.00"))
            columns.resizeSection(index, widest + 18)  # with the margins that napari's styles add
        table.setStyleSheet(
            "QHeaderView::section { padding: 1px; } QTableWidget::item { padding: 0px 2px; }"
            "QScrollBar:vertical { width: 9px; }"
        )
        rows.hide()
        rows.setMinimumSectionSize(10)
        rows.setDefaultSectionSize(table.fontMetrics().height() + 6)
        box = QGroupBox("Search")
        inner = QVBoxLayout(box)
        inner.setContentsMargins(5, 9, 5, 5)
        inner.addWidget(self.label)
        inner.addWidget(table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)

    def _refresh(self) -> None:
        found = self.follower.table
        self.setVisible(found is not None)
        if found is None:
            return
        self._shown = found.rows
        self.label.setText(self._sentence(found))
        self.table.setRowCount(len(found.rows))
        for row, one in enumerate(found.rows):
            self._fill(row, one)
        columns = self.table.horizontalHeader()
        assert columns is not None
        n_shown = min(max(self.table.rowCount(), 1), SHOWN_ROWS)
        height = sum(self.table.rowHeight(row) for row in range(n_shown))
        self.table.setFixedHeight(columns.sizeHint().height() + height + 4)

    def _sentence(self, found: SearchTable) -> str:
        text = f"{found.n_tried} tried{' so far' if self.follower.searching else ''}."
        text += " Click a row to use it." if found.rows else ""
        if found.forest is not None:
            score, seconds = self._numbers(found.forest)
            text += f" Default forest of other programs: {score}, {seconds} s/Mpx."
        return text

    def _numbers(self, one: Tried) -> tuple[str, str]:
        locale = self.locale()
        return locale.toString(one.score, "f", 3), locale.toString(one.s_per_mpx, "f", 2)

    def _fill(self, row: int, one: Tried) -> None:
        mark = f"{MARK} " if row == self.follower.in_use else ""
        for column, text in enumerate((mark + one.title, *self._numbers(one))):
            item = QTableWidgetItem(text)
            item.setToolTip(about(one) + (" This one is in use." if mark else ""))
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(row, column, item)


def about(row: Tried) -> str:
    """What a row of the table is made of, in words."""
    return "\n".join(one.words for one in row.members)

"""The panel of rounds: what each training changed, whether it is better, and the way back."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_pu_segment.core.training.rounds import Round

from ..session import Session
from .rounds import Rounds
from .rounds_text import COLUMNS, cells, doubtful, explain, sentence

MARK = "●"
SHOWN_ROWS = 4


class RoundsPanel(QWidget):
    """The rounds on the current image as a table, the verdict on the latest, and the choice between the last two.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.rounds = Rounds(session)
        self.keep_box = QCheckBox("Keep if better")
        self.keep_box.setChecked(self.rounds.keep_if_better)
        self.keep_box.setToolTip(
            "Judge every new model by strokes that are held out. If it looks worse than the one before, show that one "
            "again, and offer the new one. Off: the new model is always taken, and the verdict is only told."
        )
        self.table = QTableWidget(0, len(COLUMNS))
        self.verdict_label = QLabel()
        self.verdict_label.setWordWrap(True)
        self.stroke_button = QPushButton("Go to that stroke")
        self.stroke_button.setToolTip("Show the stroke that agrees least with the models that did not see it")
        self.peek_button = QPushButton()
        self.peek_button.setCheckable(True)
        self.revert_button = QPushButton("Revert")
        self.revert_button.setToolTip("Go back to the result and the model before the latest round")
        self.keep_button = QPushButton("Keep new")
        self.keep_button.setToolTip("Take the result and the model of the latest round, whatever the verdict")
        self._lay_out()
        self._connect()
        self._refresh()

    def go_to_stroke(self) -> None:
        """Show the stroke that the others bear out least."""
        track = self.rounds.track
        stroke = doubtful(track.rounds)
        if stroke is not None and track.new is not None:
            centre = stroke.centre(track.new.sample.spatial_shape)
            self._session.book.go_to(track.new.layer, centre, len(stroke.pixels) ** 0.5)

    def _lay_out_table(self) -> None:
        table, columns, rows = self.table, self.table.horizontalHeader(), self.table.verticalHeader()
        assert columns is not None
        assert rows is not None
        font = table.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
        table.setFont(font)
        for index, (title, _, tip) in enumerate(COLUMNS):
            header = QTableWidgetItem(title)
            header.setToolTip(tip)
            header.setFont(font)
            table.setHorizontalHeaderItem(index, header)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        table.setTextElideMode(Qt.TextElideMode.ElideNone)  # a cell's margin is room too
        table.setWordWrap(False)  # else the mark goes to a second line, which has no room
        table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        columns.setMinimumSectionSize(16)
        # As narrow as can be read: style sheets of napari make room that a narrow dock has not.
        for index, (title, widest, _) in enumerate(COLUMNS):
            texts = [*title.splitlines(), widest]
            columns.resizeSection(index, max(table.fontMetrics().horizontalAdvance(text) for text in texts) + 5)
        columns.setStretchLastSection(True)
        table.setStyleSheet(
            "QHeaderView::section { padding: 1px; } QTableWidget::item { padding: 0px; }"
            "QScrollBar:vertical { width: 9px; }"
        )
        rows.hide()
        rows.setMinimumSectionSize(10)
        rows.setDefaultSectionSize(table.fontMetrics().height() + 6)

    def _lay_out(self) -> None:
        self._lay_out_table()
        box = QGroupBox("Rounds")
        inner = QVBoxLayout(box)
        inner.setContentsMargins(5, 9, 5, 5)
        inner.addWidget(self.keep_box)
        inner.addWidget(self.table)
        inner.addWidget(self.verdict_label)
        inner.addWidget(self.stroke_button)
        buttons = QHBoxLayout()
        for button in (self.peek_button, self.revert_button, self.keep_button):
            buttons.addWidget(button)
        inner.addLayout(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)

    def _connect(self) -> None:
        rounds = self.rounds
        self.keep_box.toggled.connect(lambda on: setattr(rounds, "keep_if_better", on))
        self.stroke_button.clicked.connect(self.go_to_stroke)
        self.peek_button.toggled.connect(rounds.peek)
        self.revert_button.clicked.connect(rounds.revert)
        self.keep_button.clicked.connect(rounds.keep_new)
        rounds.changed.connect(self._refresh)

    def _refresh(self) -> None:
        track, rounds = self.rounds.track, self.rounds
        self._fill(track.rounds, len(track.rounds) - 1 if track.taken else track.old_round)
        self.verdict_label.setText(sentence(track, judging=rounds.judging, comma=self.locale().decimalPoint()))
        self.stroke_button.setVisible(doubtful(track.rounds) is not None)
        two = track.old is not None
        with signals_blocked(self.peek_button):
            self.peek_button.setChecked(rounds.peeking)
        self.peek_button.setText("Show previous" if track.taken else "Show new")
        self.peek_button.setToolTip(f"While pressed: the {'previous' if track.taken else 'new'} result, to compare")
        self.peek_button.setEnabled(two)
        self.revert_button.setEnabled(two and track.taken)
        self.keep_button.setEnabled(two and not track.taken)

    def _fill(self, rounds: list[Round], in_use: int) -> None:
        table, columns = self.table, self.table.horizontalHeader()
        assert columns is not None
        table.setVisible(bool(rounds))
        table.setRowCount(len(rounds))
        for row, one in enumerate(rounds):
            for column, text in enumerate(cells(one, self.locale().decimalPoint())):
                mark = f" {MARK}" if column == 0 and row == in_use else ""
                item = QTableWidgetItem(text + mark)
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                item.setToolTip(explain(one, column) + (" This one is in use." if mark else ""))
                table.setItem(row, column, item)
        height = table.fontMetrics().height() + 6
        table.setFixedHeight(columns.sizeHint().height() + height * min(max(len(rounds), 1), SHOWN_ROWS) + 4)
        table.scrollToBottom()

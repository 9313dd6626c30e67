"""The files of a batch as Qt shows them: quick with tens of thousands, while their states change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QLocale, QModelIndex, Qt
from qtpy.QtGui import QColor, QPainter, QPixmap

from napari_pu_segment.batch import STATES, BatchPlan, FileReport
from napari_pu_segment.batch.settings import shown

from ..looks import COLOURS
from ..numbers import percent

NOWHERE = QModelIndex()
TITLES = ("State", "File", "Covered", "Objects", "Reason")
WAITING = "waiting"
ABOUT: dict[str, str] = {WAITING: "not reached yet"} | {str(state): text for state, text in STATES.items()}
_COLOURS = {  # of the dot before the word
    "ok": COLOURS["mask"],
    "skipped": COLOURS["positive"],
    "refused": COLOURS["negative"],
    "failed": COLOURS["uncertainty"],
}
DOT_PX = 8


class BatchTable(QAbstractTableModel):
    """The files of a batch, those of one state or all, in the order of their names."""

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []
        self._reports: dict[str, FileReport] = {}
        self._apart: dict[str, tuple[str, ...]] = {}
        self._only = ""
        self._shown: list[str] = []  # names by row of the view
        self._rows: dict[str, int] = {}

    def set_plan(self, plan: BatchPlan | None) -> None:
        """Show the files of a plan; those that cannot be used say why already."""
        refused = () if plan is None else plan.refused
        names = [] if plan is None else [task.name for task in plan.tasks]
        self._names = sorted([*names, *(report.name for report in refused)])
        self._reports, self._apart = {report.name: report for report in refused}, {}
        self._filter()

    def put(self, report: FileReport) -> None:
        """A file has ended."""
        self._reports[report.name] = report
        row = self._rows.get(report.name)
        if row is not None:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(TITLES) - 1))

    def set_apart(self, names: Mapping[str, tuple[str, ...]]) -> None:
        """Mark files that stand apart from the others, and in what."""
        self._apart = dict(names)
        if self._shown:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._shown) - 1, len(TITLES) - 1))

    def set_only(self, state: str) -> None:
        """Show the files of one state only, as they are now; "" shows all."""
        self._only = state
        self._filter()

    def counts(self) -> dict[str, int]:
        """How many files are in each state."""
        found = Counter(report.state for report in self._reports.values())
        return {WAITING: len(self._names) - found.total(), **{state: found[state] for state in STATES}}

    def report(self, row: int) -> FileReport | None:
        """How the file of a row ended; None if it has not."""
        return self._reports.get(self._shown[row])

    def words(self, row: int) -> str:
        """All that there is to say of the file of a row."""
        name = self._shown[row]
        report = self._reports.get(name)
        state = WAITING if report is None else report.state
        return f"{shown(name)}: {ABOUT[state]}. {self._reason(name)}".strip()

    def rowCount(self, parent: QModelIndex = NOWHERE) -> int:
        """Number of files shown."""
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: QModelIndex = NOWHERE) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(TITLES)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell."""
        if not index.isValid():
            return None
        name = self._shown[index.row()]
        report = self._reports.get(name)
        state = WAITING if report is None else report.state
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return _dot(state)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.words(index.row())
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() in (2, 3):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return self._text(index.column(), name, state) if role == Qt.ItemDataRole.DisplayRole else None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> str | None:
        """What a column is."""
        plain = orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole
        return TITLES[section] if plain else None

    def _text(self, column: int, name: str, state: str) -> str:
        report = self._reports.get(name)
        facts = None if report is None else report.facts
        if column == 0:
            return state
        if column == 1:
            return shown(name)
        if column == 2:
            return "" if facts is None else percent(facts.positive_fraction, QLocale())
        if column == 3:
            return "" if facts is None or facts.n_objects is None else str(facts.n_objects)
        return self._reason(name)

    def _reason(self, name: str) -> str:
        report = self._reports.get(name)
        if report is None:
            return ""
        apart = self._apart.get(name, ())
        sentences: Sequence[str] = () if report.facts is None else report.facts.warnings
        stands = (f"Stands apart in its {' and '.join(apart)}.",) if apart else ()
        return " ".join([*([report.reason] if report.reason else []), *stands, *sentences])

    def _filter(self) -> None:
        self.beginResetModel()
        self._shown = [name for name in self._names if self._only in ("", self._state(name))]
        self._rows = {name: row for row, name in enumerate(self._shown)}
        self.endResetModel()

    def _state(self, name: str) -> str:
        report = self._reports.get(name)
        return WAITING if report is None else report.state


@cache
def _dot(state: str) -> QPixmap:
    """A dot of the state's colour; nothing for a file that waits."""
    dot = QPixmap(DOT_PX, DOT_PX)
    dot.fill(QColor(0, 0, 0, 0))
    if state in _COLOURS:
        painter = QPainter(dot)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(_COLOURS[state]))
        painter.drawEllipse(0, 0, DOT_PX, DOT_PX)
        painter.end()
    return dot

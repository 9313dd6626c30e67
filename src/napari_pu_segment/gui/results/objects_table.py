"""The table of objects as Qt shows it: sorted by any column, quick with tens of thousands of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt

from napari_pu_segment.core.objects.measure import Table

from ..numbers import number_text

NOWHERE = QModelIndex()


class ObjectsTable(QAbstractTableModel):
    """A `Table` for a view; lengths in pixels are left out where they are also there in a unit."""

    def __init__(self) -> None:
        super().__init__()
        self._table = Table({}, {})
        self._names: list[str] = []
        self._order = np.zeros(0, np.intp)  # row of the table by row of the view

    def set_table(self, table: Table) -> None:
        """Show another table, in its own order."""
        self.beginResetModel()
        self._table = table
        units = {name: unit for name, unit in table.units.items() if unit not in ("", "px", "°")}
        stems = {name.rpartition("_")[0] for name in units}
        names = [name for name in table.columns if not (name.endswith("_px") and name.removesuffix("_px") in stems)]
        self._names = sorted(names, key=lambda name: name.startswith("centroid"))  # sizes first: a dock is narrow
        self._order = np.arange(len(table))
        self.endResetModel()

    def table_row(self, row: int) -> dict[str, Any]:
        """A row of the view, with all columns of the table."""
        return self._table.row(int(self._order[row]))

    def find(self, label: int, here: Mapping[str, int] | None = None) -> int | None:
        """The row of the view that shows an object; of a frame and plane, where there are any and they have it."""
        labels = self._table.columns.get("label", np.zeros(0))[self._order]
        rows = np.flatnonzero(labels == label)
        for name, number in (here or {}).items():
            if name in self._table.columns:
                there = self._table.columns[name][self._order[rows]] == number
                rows = rows[there] if there.any() else rows
        return int(rows[0]) if rows.size else None

    def rowCount(self, parent: QModelIndex = NOWHERE) -> int:
        """Number of objects."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex = NOWHERE) -> int:
        """Number of columns shown."""
        return 0 if parent.isValid() else len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell: four digits of a number, of a whole one all."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole or not index.isValid():
            return None
        return _text(self._table.columns[self._names[index.column()]][self._order[index.row()]])

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> str | None:
        """Name and unit of a column."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._names):
            return None
        name = self._names[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{name}: click to sort"
        return _title(name, self._table.units[name]) if role == Qt.ItemDataRole.DisplayRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; equal values stay in the objects' order, and missing ones come last."""
        if not 0 <= column < len(self._names):
            return
        self.layoutAboutToBeChanged.emit()
        kept = [(index, int(self._order[index.row()])) for index in self.persistentIndexList()]
        values = self._table.columns[self._names[column]]
        values = np.unique(values, return_inverse=True)[1] if values.dtype.kind == "U" else values.astype(np.float64)
        self._order = np.argsort(values if order == Qt.SortOrder.AscendingOrder else -values, kind="stable")
        place = np.argsort(self._order)
        for index, row in kept:
            self.changePersistentIndex(index, self.index(int(place[row]), index.column()))
        self.layoutChanged.emit()


def summary(table: Table) -> str:
    """How many objects there are, and how large they typically are, in words."""
    n = len(table)
    if n == 0:
        return "No objects: the mask is empty, or all that is in it is too small."
    size = next(name for name in reversed(table.columns) if name.startswith(("area_", "volume_")))
    across = next(name for name in table.columns if name.startswith("equivalent_diameter_"))
    area, diameter = (
        f"{number_text(float(np.median(table.columns[name])), 3)} {nice_unit(table.units[name] or 'px')}"
        for name in (size, across)
    )
    cut = int(np.count_nonzero(table.columns["touches_border"]))
    at_border = f" {cut} at the border." if cut else ""
    what = "1 object:" if n == 1 else f"{n} objects, typically"
    if "class" in table.columns and table.columns["class"].dtype.kind == "U":  # numbers are told elsewhere
        names, counts = np.unique(table.columns["class"], return_counts=True)
        at_border += " " + ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True)) + "."
    return f"{what} {area}, {diameter} across.{at_border}"


def nice_unit(unit: str) -> str:
    """A unit as it is read: "um^2" is "µm²"."""
    unit = unit.replace("^2", "²").replace("^3", "³")
    return "µ" + unit[1:] if unit.startswith("um") else unit


def _title(name: str, unit: str) -> str:
    title = (name.rpartition("_")[0] if unit else name).removeprefix("equivalent_").replace("_", " ")
    title = title[:1].upper() + title[1:]
    return f"{title}\n({nice_unit(unit)})" if unit else title


def _text(value: Any) -> str:
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.bool_):
        return "yes" if value else ""
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else number_text(float(value))
    return str(int(value))

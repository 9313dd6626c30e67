"""The class manager: the classes of objects, their colours, keys and how much is painted of each."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Image, Labels
from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QMessageBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pu_segment.core.errors import PuSegmentError

from ..session import Session
from ..viewer.brushes import painted_px
from ..viewer.classes import FIRST, ObjectClass

_COUNT_MS = 300  # after a stroke
_ROWS = 5  # so many are seen without scrolling
NAME, KEY, PAINTED = range(3)


class ClassesBox(QWidget):
    """A table of classes, and buttons to add, recolour and remove one; with one class there is only a button to add.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    chosen : Signal(str)
        The user wants to paint on the class of that role.
    """

    chosen = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._classes = session, session.book.classes
        self.keys: tuple[str, ...] = ()  # of the first class, the second and so on
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Class", "Key", "Painted"])
        self.table.setToolTip("Click a class to paint on it; double-click its name to change it.")
        self.add_button, self.colour_button = QPushButton("Add class"), QPushButton("Colour …")
        self.remove_button = QPushButton("Remove")
        self.add_button.setToolTip(
            "Tell another kind of objects apart: it gets a brush of its own, and one model learns all classes. Paint "
            "some background too, then they are weighed against each other."
        )
        self.colour_button.setToolTip("Choose another colour for the chosen class, in its brush layers and results.")
        self.remove_button.setToolTip("Remove the chosen class and its brush layers. The first class stays.")
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_COUNT_MS)
        self._lay_out()
        self.add_button.clicked.connect(self.add)
        self.colour_button.clicked.connect(self.recolour)
        self.remove_button.clicked.connect(self.remove)
        self.table.cellClicked.connect(lambda row, _column: self._take(row))
        self.table.itemChanged.connect(self._on_edited)
        self._soon.timeout.connect(self._count)
        self._classes.changed.connect(self.refresh)
        session.book.painted.connect(lambda _image: self._soon.start())
        session.image_changed.connect(lambda _image: self._count())
        self.refresh()

    def add(self) -> None:
        """Add a class, and take up its brush."""
        self._try(lambda: self.chosen.emit(self._classes.add().role))

    def recolour(self) -> None:
        """Let the user choose another colour for the active class."""
        one = self._classes.of(self._classes.active)
        if one is not None:
            colour = QColorDialog.getColor(QColor(one.colour), self, f"Colour of {one.name!r}")
            if colour.isValid():
                self._classes.recolour(one.role, colour.name().upper())

    def remove(self) -> None:
        """Remove the active class; asks first where it has strokes."""
        one = self._classes.of(self._classes.active)
        if one is None or one.role == FIRST:
            return
        n_layers = sum(self._painted(one, image) > 0 for image in self._session.book.images())
        if n_layers and not self._asked(one):
            return
        self._classes.remove(one.role)

    def refresh(self) -> None:
        """Show the classes as they are."""
        classes = self._classes.all()
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(classes))
            for row, one in enumerate(classes):
                name = QTableWidgetItem(swatch(one.colour), one.name)
                key = QTableWidgetItem(self.keys[row] if row < len(self.keys) else "")
                painted = QTableWidgetItem("")
                for column, item in enumerate((name, key, painted)):
                    if column != NAME:
                        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                    self.table.setItem(row, column, item)
            self.table.selectRow([one.role for one in classes].index(self._classes.active))
        self._count()
        several, header = len(classes) > 1, self.table.horizontalHeader()
        self.table.setVisible(several)
        self.colour_button.setVisible(several)
        self.remove_button.setVisible(several)
        self.remove_button.setEnabled(self._classes.active != FIRST)
        height = self.table.verticalHeader().defaultSectionSize() * min(len(classes), _ROWS)  # type: ignore[union-attr]
        self.table.setFixedHeight(height + (header.sizeHint().height() if header is not None else 0) + 4)

    def _lay_out(self) -> None:
        table, header, rows = self.table, self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None
        assert rows is not None
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column in (KEY, PAINTED):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        rows.hide()
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        buttons = QHBoxLayout()
        buttons.setSpacing(3)
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.colour_button)
        buttons.addWidget(self.remove_button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(table)
        layout.addLayout(buttons)

    def _take(self, row: int) -> None:
        role = self._classes.all()[row].role
        self._classes.choose(role)
        self.chosen.emit(role)

    def _on_edited(self, item: QTableWidgetItem) -> None:
        role = self._classes.all()[item.row()].role
        self._try(lambda: self._classes.rename(role, item.text()))
        # a name that cannot be used goes back; not while Qt still edits the cell
        QTimer.singleShot(0, self.refresh)

    def _count(self) -> None:
        """How many pixels of the chosen image are painted of each class."""
        image, locale = self._session.image, self.locale()
        with QSignalBlocker(self.table):
            for row, one in enumerate(self._classes.all()):
                item = self.table.item(row, PAINTED)
                if item is not None:
                    count = self._painted(one, image)
                    item.setText(f"{locale.toString(count)} px" if count else "")

    def _painted(self, one: ObjectClass, image: Image | None) -> int:
        book = self._session.book
        layer = book.member(image, one.role) if image is not None and book.contains(image) else None
        return painted_px(layer) if isinstance(layer, Labels) else 0

    def _asked(self, one: ObjectClass) -> bool:
        """Ask whether a class may go with its strokes."""
        text = f"Remove the class {one.name!r} with its strokes? Its brush layers are deleted; this cannot be undone."
        buttons = QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No
        answer = QMessageBox.question(self, "Remove class", text, buttons, QMessageBox.StandardButton.No)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)


def swatch(colour: str) -> QIcon:
    """A small patch of a colour."""
    patch = QPixmap(12, 12)
    patch.fill(QColor(colour))
    return QIcon(patch)

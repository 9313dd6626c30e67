"""Choose what the slider of an image counts, and at which level of a multiscale image to work."""

from __future__ import annotations

import math

from qtpy.QtWidgets import QFormLayout, QWidget
from superqt.utils import signals_blocked

from napari_pu_segment.core.errors import InputError

from ..parts.combo import Combo
from ..session import Session
from ..viewer.axes import THIRD
from ..viewer.grid import own


class AxesBox(QWidget):
    """Planes or time points, and the level; hidden where there is no choice.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.third_combo, self.level_combo = Combo(), Combo()
        self.third_combo.setToolTip(
            "What the axis before rows and columns counts. Planes of a volume lie beside each other; time points are "
            "worked on each on its own."
        )
        self.level_combo.setToolTip(
            "The level of the image that is worked on. A coarser one is quicker, and sees less detail; brush layers of "
            "another level have to be added anew."
        )
        for letter, title in THIRD.items():
            self.third_combo.addItem(title, letter)
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.addRow("Slider counts", self.third_combo)
        self._rows.addRow("Level", self.level_combo)
        self.third_combo.currentIndexChanged.connect(self._choose_third)
        self.level_combo.currentIndexChanged.connect(self._choose_level)
        session.image_changed.connect(self.refresh)
        session.book.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what the session's image is."""
        image, book = self._session.image, self._session.book
        try:
            grid = None if image is None or not book.contains(image) else book.channels.grid(image)
        except InputError:  # axes that cannot be used; adding brush layers says so
            grid = None
        three = grid is not None and len(grid.shape) == 3
        many = grid is not None and grid.image.multiscale
        if grid is not None and three:
            with signals_blocked(self.third_combo):
                self.third_combo.setCurrentIndex(self.third_combo.findData(grid.lead))
        if grid is not None and many:
            shapes = [tuple(own(level).shape) for level in grid.image.data]
            sizes = [shape[grid.image.ndim - 2 : grid.image.ndim] for shape in shapes]
            with signals_blocked(self.level_combo):
                self.level_combo.clear()
                for number, (rows, columns) in enumerate(sizes):
                    self.level_combo.addItem(f"{number}: {rows} × {columns} px", number)
                    if math.prod(shapes[number]) == math.prod(grid.data.shape):
                        self.level_combo.setCurrentIndex(number)
        for combo, there in ((self.third_combo, three), (self.level_combo, many)):
            combo.setVisible(there)
            label = self._rows.labelForField(combo)
            assert label is not None
            label.setVisible(there)
        self.setVisible(three or many)

    def _choose_third(self) -> None:
        if self._session.image is not None:
            self._session.book.channels.choose_third(self._session.image, self.third_combo.currentData())

    def _choose_level(self) -> None:
        if self._session.image is not None and self.level_combo.currentData() is not None:
            self._session.book.channels.choose_level(self._session.image, self.level_combo.currentData())

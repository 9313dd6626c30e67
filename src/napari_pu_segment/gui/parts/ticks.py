"""Layers to tick."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from napari.layers import Image
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QSizePolicy, QVBoxLayout, QWidget

from .settings_form import fold

MAX_LETTERS = 30  # of a name, in a narrow dock


class Ticks(QWidget):
    """A check box for each of some layers, under a title that unfolds them.

    Parameters
    ----------
    title : str
    parent : QWidget, optional

    Attributes
    ----------
    clicked : Signal()
        The user has ticked a layer, or no longer does.
    boxes : list of (QCheckBox, Image)
    fold : QCollapsible
    """

    clicked = Signal()

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.boxes: list[tuple[QCheckBox, Image]] = []
        inner = QWidget()
        self._rows = QVBoxLayout(inner)
        self._rows.setContentsMargins(8, 0, 0, 0)
        self._rows.setSpacing(2)
        self.fold = fold(title, inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)

    def add_row(self, widget: QWidget) -> None:
        """Put something below what is there; called before layers are shown, above all of them."""
        self._rows.addWidget(widget)

    def show_layers(self, layers: Sequence[Image], ticked: Collection[Image], tip: str) -> None:
        """Show a box for each layer; in `tip`, ``{}`` stands for its name."""
        if [layer for _, layer in self.boxes] != layers:
            for box, _ in self.boxes:
                self._rows.removeWidget(box)
                box.deleteLater()
            self.boxes = [(self._new_box(), layer) for layer in layers]
        for box, layer in self.boxes:
            box.setText(short(layer.name).replace("&", "&&"))  # a single & would mark a key
            box.setToolTip(tip.format(repr(layer.name)))
            box.setChecked(any(layer is one for one in ticked))

    def ticked(self) -> list[Image]:
        """The layers that are ticked."""
        return [layer for box, layer in self.boxes if box.isChecked()]

    def _new_box(self) -> QCheckBox:
        box = QCheckBox()
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # widens no dock
        box.clicked.connect(self.clicked)
        self._rows.addWidget(box)
        box.show()  # now, so that the height is right
        return box


def short(name: str) -> str:
    """A name that fits into a narrow dock."""
    return name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS // 2 - 1]}…{name[-MAX_LETTERS // 2 :]}"

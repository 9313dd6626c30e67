"""A combo box that follows the viewer's image layers."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget
from superqt.utils import signals_blocked

from ..viewer.layers import LayerBook
from .combo import Combo


class ImageCombo(Combo):
    """Lets the user choose one of the viewer's image layers; our own results are not offered.

    Parameters
    ----------
    book : LayerBook
    parent : QWidget, optional

    Attributes
    ----------
    chosen : Signal(object)
        Another image layer was chosen, by the user or because the former one is gone: an `Image` or None.
    """

    chosen = Signal(object)

    def __init__(self, book: LayerBook, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._book = book
        self._image: Image | None = None
        self._images: list[Image] = []
        self.currentIndexChanged.connect(self._on_index)
        book.changed.connect(self.refresh)
        self.refresh()

    def value(self) -> Image | None:
        """The chosen image layer."""
        return self._image

    def set_value(self, image: Image | None) -> None:
        """Choose an image layer of the viewer."""
        if image is None or image in self._images:
            self.setCurrentIndex(-1 if image is None else self._images.index(image))

    def refresh(self) -> None:
        """Take over the viewer's layers; the choice stays where it can, else falls on the topmost image."""
        self._images = self._book.images()
        index = self._images.index(self._image) if self._image in self._images else len(self._images) - 1
        with signals_blocked(self):
            self.clear()
            self.addItems([image.name for image in self._images])
            self.setCurrentIndex(index)
        self._on_index(index)

    def _on_index(self, index: int) -> None:
        image = self._images[index] if index >= 0 else None
        if image is not self._image:
            self._image = image
            self.chosen.emit(image)

"""Choose further images whose strokes a model learns from."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtWidgets import QCheckBox, QSizePolicy, QVBoxLayout, QWidget

from .channels_box import short
from .session import Session
from .settings_form import fold

ALL = "All painted images"


class TrainOnBox(QWidget):
    """Ticks for the other images with brush layers; hidden where there are none.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.all_box = QCheckBox(ALL)
        self.all_box.setToolTip("Learn from the strokes on every image that has brush layers")
        self.boxes: list[tuple[QCheckBox, Image]] = []
        inner = QWidget()
        self._rows = QVBoxLayout(inner)
        self._rows.setContentsMargins(8, 0, 0, 0)
        self._rows.setSpacing(2)
        self._rows.addWidget(self.all_box)
        self.fold = fold("Train on: this image", inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        self.all_box.clicked.connect(self._choose_all)
        session.image_changed.connect(self.refresh)
        session.book.changed.connect(self.refresh)
        session.train_on.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show which images have brush layers, and which of them are ticked."""
        image, train_on = self._session.image, self._session.train_on
        images, chosen = train_on.painted(image), train_on.chosen(image)
        if [one for _, one in self.boxes] != images:
            for box, _ in self.boxes:
                self._rows.removeWidget(box)
                box.deleteLater()
            self.boxes = [(self._new_box(), one) for one in images]
        for box, one in self.boxes:
            box.setText(short(one.name).replace("&", "&&"))  # a single & would mark a key
            box.setToolTip(f"Also learn from the strokes on {one.name!r}")
            box.setChecked(one in chosen)
        self.all_box.setChecked(bool(images) and len(chosen) == len(images))
        self.fold.setText(f"Train on: {1 + len(chosen)} images" if chosen else "Train on: this image")
        self.fold.setToolTip("Whose strokes the model learns from; this image is segmented")
        self.setVisible(bool(images) and image is not None)
        if self.fold.isExpanded():
            self.fold.expand(animate=False)  # takes the height of what is in it now

    def _new_box(self) -> QCheckBox:
        box = QCheckBox()
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # widens no dock
        box.clicked.connect(self._choose)
        self._rows.addWidget(box)
        box.show()  # now, so that the height is right
        return box

    def _choose(self) -> None:
        self._session.train_on.choose([image for box, image in self.boxes if box.isChecked()])

    def _choose_all(self, on: bool) -> None:
        self._session.train_on.choose([image for _, image in self.boxes] if on else [])

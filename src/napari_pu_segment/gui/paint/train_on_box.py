"""Choose further images whose strokes a model learns from."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QWidget

from ..parts.ticks import Ticks
from ..session import Session

ALL = "All painted images"


class TrainOnBox(Ticks):
    """Ticks for the other images with brush layers; hidden where there are none.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Train on: this image", parent)
        self._session = session
        self.fold.setToolTip("Whose strokes the model learns from; this image is segmented")
        self.all_box = QCheckBox(ALL)
        self.all_box.setToolTip("Learn from the strokes on every image that has brush layers")
        self.add_row(self.all_box)
        self.all_box.clicked.connect(self._choose_all)
        self.clicked.connect(lambda: session.train_on.choose(self.ticked()))
        session.image_changed.connect(self.refresh)
        session.book.changed.connect(self.refresh)
        session.train_on.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show which images have brush layers, and which of them are ticked."""
        image, train_on = self._session.image, self._session.train_on
        images, chosen = train_on.painted(image), train_on.chosen(image)
        self.show_layers(images, chosen, "Also learn from the strokes on {}")
        self.all_box.setChecked(bool(images) and len(chosen) == len(images))
        self.fold.setText(f"Train on: {1 + len(chosen)} images" if chosen else "Train on: this image")
        self.setVisible(bool(images) and image is not None)

    def _choose_all(self, on: bool) -> None:
        self._session.train_on.choose([image for _, image in self.boxes] if on else [])

"""Choose the rough mask of an image, and see which of its labels are suspect."""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QFormLayout, QWidget
from superqt.utils import signals_blocked

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.training.trust import label_trust

from ..parts.combo import Combo
from ..parts.ticks import short
from ..results.one_class import of_any
from ..session import Result, Session
from ..viewer.snapshots import Snapshot

NONE = "None"
TITLE = "Looking for suspect labels"
DEBOUNCE_MS = 150  # mask and strokes are copied each time


class RoughBox(QWidget):
    """A combo box of the labels layers that fit, and a switch; hidden where the method takes no rough mask.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._masks: list[Labels] = []
        self._over: Image | None = None  # the image that our layer lies over
        self._from: tuple[object, object] = (None, None)  # probability and mask that it was, or is being, found from
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(DEBOUNCE_MS)
        self._soon.timeout.connect(self._again)
        self.combo = Combo()
        self.combo.setToolTip(
            "A labels layer that marks the objects roughly: a threshold, polygons, another program's result. Its "
            "labels are believed as far as they agree with your strokes."
        )
        self.suspect_box = QCheckBox("Show suspect labels")
        self.suspect_box.setToolTip(
            "A layer that is the stronger, the less likely the rough mask is right there; it follows what you mend. "
            "Take me there, set to Suspect labels, leads from one such place to the next."
        )
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addRow("Rough mask", self.combo)
        layout.addRow(self.suspect_box)
        self.combo.currentIndexChanged.connect(self._on_index)
        self.suspect_box.toggled.connect(self._update)
        session.image_changed.connect(self.refresh)
        session.book.changed.connect(self.refresh)
        session.book.changed.connect(self._on_layers)
        session.book.painted.connect(self._on_edited)
        session.rough.changed.connect(self._update)
        session.rough.edited.connect(self._on_edited)
        session.result_changed.connect(self._update)
        self.refresh()

    def refresh(self) -> None:
        """Take over the viewer's layers, and the method."""
        image, rough = self._session.image, self._session.rough
        fits = METHODS[self._session.method].rough_masks
        self.setVisible(fits)
        there = image is not None and fits and self._session.book.contains(image)
        try:
            self._masks = rough.offered(image) if there and image is not None else []
        except PuSegmentError:  # an image with too many axes; the button Train says so
            self._masks = []
        chosen = rough.of(image) if self._masks and image is not None else None
        with signals_blocked(self.combo):
            self.combo.clear()
            self.combo.addItems([NONE, *(short(mask.name) for mask in self._masks)])
            self.combo.setCurrentIndex(0 if chosen is None else 1 + self._masks.index(chosen))
        self._update()

    def _on_index(self, index: int) -> None:
        if self._session.image is not None:
            self._session.rough.choose(self._session.image, self._masks[index - 1] if index > 0 else None)

    def _update(self) -> None:
        """Bring the layer up to date with result and mask, or take it away."""
        result = self._session.result
        chosen = None if result is None else self._session.rough.of(result.layer)
        self.suspect_box.setEnabled(self.combo.currentIndex() > 0)
        if result is None or result.preview or result.large:
            return
        if chosen is None or not self.suspect_box.isChecked() or self.isHidden():
            self._hide()
            return
        if self._from[0] is result.segmentation.probability and self._from[1] is chosen:
            return
        self._from = result.segmentation.probability, chosen
        try:
            snapshot = self._session.rough.added(self._session.book.snapshot(result.layer), result.layer)
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        self._session.aside(_suspicion(result, snapshot), TITLE, lambda array: self._show(result, array))

    def _on_edited(self, image: Image) -> None:
        result = self._session.result
        if result is not None and image is result.layer and self.suspect_box.isChecked():
            self._soon.start()

    def _again(self) -> None:
        self._from = (None, None)
        self._update()

    def _on_layers(self) -> None:
        """A layer that the user deleted is not brought back: its switch goes off."""
        if self._over is not None and self._session.book.member(self._over, "suspect") is None:
            self._over = None
            self.suspect_box.setChecked(False)

    def _show(self, result: Result, array: object) -> None:
        if self._from[0] is not result.segmentation.probability:  # switched off meanwhile, or of an older result
            return
        if self._over is not result.layer:
            self._take_away()
        try:
            self._session.book.show(result.layer, "suspect", array)
            self._over = result.layer
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)

    def _hide(self) -> None:
        self._from = (None, None)
        self._take_away()

    def _take_away(self) -> None:
        over, self._over = self._over, None
        if over is not None and self._session.book.contains(over):
            self._session.book.hide(over, "suspect")


def _suspicion(result: Result, snapshot: Snapshot) -> Work[object]:
    yield Progress(0, 1, TITLE)
    codes = snapshot.rough_codes()
    assert codes is not None
    return 1 - label_trust(np.asarray(of_any(result).probability), codes)

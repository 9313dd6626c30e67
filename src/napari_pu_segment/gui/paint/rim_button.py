"""One click ignores what lies outside the circular rim of an all-sky frame, a fundus or a dish."""

from __future__ import annotations

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QPushButton, QWidget

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.images.rim import Rim, find_rim
from napari_pu_segment.core.progress import Progress, Work

from ..session import Session
from ..viewer.snapshots import Snapshot


class RimButton(QPushButton):
    """Finds the rim of the session's image, and adds what lies outside to the ignore layer.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Ignore rim", parent)
        self._session = session
        self.setToolTip(
            "Finds the circular rim of an all-sky frame, a fundus or a dish, and adds all that lies outside to the "
            "ignore layer: it is left out of training, mask, prior and measurements. Undo takes it back."
        )
        self.clicked.connect(self.look)

    def look(self) -> None:
        """Look for the rim in the background."""
        session, image = self._session, self._session.image
        if image is None:
            return
        try:
            work = _find(session.book.snapshot(image))
            session.aside(work, "Looking for the rim", lambda rim: self._ignore(image, rim))
        except PuSegmentError as error:
            session.said.emit(str(error), True)

    def _ignore(self, image: Image, rim: Rim) -> None:
        session, book = self._session, self._session.book
        if not book.contains(image):
            return
        try:
            outside = rim.outside(book.channels.grid(image).shape)
            old = book.member(image, "ignore")
            if old is not None and old.data.shape == outside.shape:
                outside |= np.asarray(old.data) != 0
            book.put_strokes(image, "ignore", outside)
        except PuSegmentError as error:
            session.said.emit(str(error), True)
            return
        session.said.emit(
            "What lies outside the rim is ignored. Paint or erase on that layer where it does not fit.", False
        )


def _find(snapshot: Snapshot) -> Work[Rim]:
    yield Progress(0, 0, "Looking for the rim")
    return find_rim(snapshot.sample().image, f"The image {snapshot.name!r}")

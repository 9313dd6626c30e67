"""Make strokes of what a result is surest of."""

from __future__ import annotations

import numpy as np
from qtpy.QtWidgets import QPushButton, QWidget

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.proposal import sure_strokes
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE

from .session import Result, Session

KINDS = {"positive": POSITIVE, "negative": NEGATIVE}


class AcceptButton(QPushButton):
    """Puts the surest parts of the present result on the brush layers, beside what is painted there.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Surest parts to strokes", parent)
        self._session = session
        self.clicked.connect(self.accept)
        session.result_changed.connect(self._refresh)
        self._refresh()

    def accept(self) -> None:
        """Look for the surest parts in the background, and paint them."""
        result = self._session.result
        if result is not None:
            self._session.aside(_sure(result), "Making strokes", lambda codes: self._paint(result, codes))

    def _paint(self, result: Result, codes: np.ndarray) -> None:
        session, image = self._session, result.layer
        if not session.book.contains(image):
            return
        try:
            for role, code in KINDS.items():
                session.book.put_strokes(image, role, codes == code)
        except PuSegmentError as error:
            session.said.emit(str(error), True)
            return
        session.said.emit(
            "The surest parts of the mask and of the rest are strokes now: correct them, and train. Undo, on each of "
            "the two brush layers, takes them back.",
            False,
        )

    def _refresh(self, result: Result | None = None) -> None:
        fits = result is not None and not result.large
        self.setEnabled(fits)
        why = "" if fits or result is None else " Not of a large image: its result is looked at in parts."
        self.setToolTip(
            "Paints the surest half of the mask, and of the rest, on the brush layers, to correct and to learn from. "
            f"What is painted there stays.{why}"
        )


def _sure(result: Result) -> Work[np.ndarray]:
    yield Progress(0, 0, "Making strokes")
    sample, found = result.sample, result.segmentation
    return sure_strokes(found.probability, found.threshold, labels=sample.labels, axes=sample.axes)

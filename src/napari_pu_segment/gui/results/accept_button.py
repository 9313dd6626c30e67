"""Make strokes of what a result is surest of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from qtpy.QtWidgets import QPushButton, QWidget

from napari_pu_segment.core.classes import of_class
from napari_pu_segment.core.clustering.proposal import sure_strokes
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.pipeline import Segmentation
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample

from ..session import Result, Session
from .one_class import merged, of_any, seen


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
            self._session.aside(_sure(result), "Making strokes", lambda masks: self._paint(result, masks))

    def _paint(self, result: Result, masks: Mapping[str, np.ndarray]) -> None:
        session, image = self._session, result.layer
        if not session.book.contains(image):
            return
        try:
            for name, mask in masks.items():
                known = session.book.classes.called(name)
                if known is not None or name == "negative":
                    session.book.put_strokes(image, name if known is None else known.role, mask)
        except PuSegmentError as error:
            session.said.emit(str(error), True)
            return
        session.said.emit(
            "The surest parts of the mask and of the rest are strokes now: correct them, and train. Undo, on each of "
            "the brush layers, takes them back.",
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


def _sure(result: Result) -> Work[dict[str, np.ndarray]]:
    """Strokes by the names of classes, and "negative"; of a class that is nowhere in the mask there are none."""
    masks, classes = {}, result.sample.classes
    yield Progress(0, 0, "Making strokes")
    for index, name in enumerate(classes):
        one = seen(result, index)
        if len(classes) == 1 or np.any(np.asarray(one.segmentation.mask)):
            codes = _codes(one.segmentation, one.sample)
            masks[name] = codes == POSITIVE
            yield Progress(index + 1, len(classes), "Making strokes")
    if len(classes) > 1:
        codes = _codes(of_any(result), merged(result.sample))
    return {**masks, "negative": codes == NEGATIVE}


def _codes(found: Segmentation, sample: Sample) -> np.ndarray:
    probability, threshold = np.asarray(found.probability), of_class(found.threshold, 0)
    return sure_strokes(probability, threshold, labels=sample.labels, axes=sample.axes)

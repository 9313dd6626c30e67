"""Further views of a result, on demand: a band of masks around the present one, and the uncertainty."""

from __future__ import annotations

from functools import partial
from typing import TypeAlias

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_pu_segment.core.classes import Thresholds, of_class, threshold_mask
from napari_pu_segment.core.coverage import Coverage
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.suggest.uncertainty import uncertainty

from ..looks import BAND
from ..numbers import percent
from ..session import Result, Session
from .one_class import seen

Areas: TypeAlias = tuple[float, ...]  # what each level of the band covers, as fractions of the image
INKS = ("black", "black", "white")  # readable on the colours of `BAND`
TITLES = {"band": "Band", "uncertainty": "Uncertainty"}


class Extras(QWidget):
    """Two switches, each with a layer of its own that follows the result while the switch is on.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._coverage: Coverage | None = None
        self._shown: dict[str, Image] = {}  # the image that a layer of ours lies over, by role
        self._from: dict[str, tuple[np.ndarray, Thresholds, int]] = {}  # what it was, or is being, computed from
        self.boxes = {role: QCheckBox(title) for role, title in TITLES.items()}
        self.boxes["band"].setToolTip(
            "What the mask would be if the objects covered half as much, as much, or twice as much as now"
        )
        self.boxes["uncertainty"].setToolTip("Where the model is in doubt: brightest where it lies at the threshold")
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        for role, box in self.boxes.items():
            box.toggled.connect(partial(self._toggle, role))
            box.setEnabled(False)
            row.addWidget(box)
        layout.addLayout(row)
        layout.addWidget(self.legend)
        session.book.changed.connect(self._on_layers)

    def set_value(self, coverage: Coverage | None) -> None:
        """Take over the histograms of the present result, and show it."""
        self._coverage = coverage
        for box in self.boxes.values():
            box.setEnabled(coverage is not None)
        self.refresh()

    def refresh(self) -> None:
        """Bring the layers that are switched on up to date with the result, in the background."""
        result, coverage = self._session.result, self._coverage
        if result is None or coverage is None or result.preview:
            return
        segmentation = result.segmentation
        index = self._session.results.shown_class
        one = seen(result, index)
        for role, work in (("band", _band(one, coverage)), ("uncertainty", _uncertainty(one))):
            source = segmentation.probability, segmentation.threshold, index
            before = self._from.get(role)
            same = before is not None and before[0] is source[0] and before[1:] == source[1:]
            if self.boxes[role].isChecked() and not same:
                self._from[role] = source
                self._session.aside(work, TITLES[role], partial(self._show, role, result))

    def _toggle(self, role: str, on: bool) -> None:
        self._from.pop(role, None)
        if on:
            self.refresh()
        else:
            self._hide(role)

    def _show(self, role: str, result: Result, made: tuple[np.ndarray, Areas]) -> None:
        array, areas = made
        if not self.boxes[role].isChecked() or self._session.result is None:
            return
        if self._shown.get(role) is not result.layer:
            self._hide(role)
        try:
            self._session.book.show(result.layer, role, array)
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        self._shown[role] = result.layer
        if role == "band":
            self.legend.setText(_legend(areas, self.locale()))
            self.legend.show()

    def _hide(self, role: str) -> None:
        image = self._shown.pop(role, None)
        if image is not None:
            self._session.book.hide(image, role)
        if role == "band":
            self.legend.hide()

    def _on_layers(self) -> None:
        """A layer that the user deleted is not brought back: its switch goes off."""
        for role, image in list(self._shown.items()):
            if self._session.book.member(image, role) is None:
                del self._shown[role]
                self.boxes[role].setChecked(False)


def _uncertainty(result: Result) -> Work[tuple[np.ndarray, Areas]]:
    yield Progress(0, 0, "Uncertainty")
    segmentation = result.segmentation
    return uncertainty(np.asarray(segmentation.probability), of_class(segmentation.threshold, 0)), ()


def _band(result: Result, coverage: Coverage) -> Work[tuple[np.ndarray, Areas]]:
    """Nested levels, 1 where the objects cover most to 3 where they cover least, and what each covers."""
    segmentation, labels = result.segmentation, result.sample.labels
    n_pixels, probability = max(1, coverage.n_pixels), np.asarray(segmentation.probability)
    band = np.zeros(segmentation.mask.shape, np.uint8)
    areas: list[float] = []
    for threshold in coverage.band(np.count_nonzero(segmentation.mask) / n_pixels):
        yield Progress(len(areas), len(BAND), "Band")
        mask = threshold_mask(probability, threshold, labels)
        areas.append(np.count_nonzero(mask) / n_pixels)
        band += mask
    return band, tuple(areas)


def _legend(areas: Areas, locale: QLocale) -> str:
    """What each colour means, as rich text."""
    shares = [
        f'<span style="background-color:{colour}; color:{ink}">&nbsp;{percent(area, locale)}&nbsp;</span>'
        for colour, ink, area in zip(BAND, INKS, areas, strict=True)
    ]
    return "If objects covered " + " ".join(reversed(shares))

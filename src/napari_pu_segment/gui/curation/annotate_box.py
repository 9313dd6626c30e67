"""The box that leads through the images of a folder, and shows what each annotated one brought."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout
from superqt.utils import signals_blocked

from napari_pu_segment.core.curation import ORDERS
from napari_pu_segment.core.frames.timeaxis import TimeAxis

from ..parts.combo import Combo
from ..parts.plot import Curve, Plot
from .campaign import Campaign


class AnnotateBox(QGroupBox):
    """Next image, learn and rank again, and the budget curve.

    Parameters
    ----------
    campaign : Campaign

    Attributes
    ----------
    wanted : Signal()
        The user wants to paint on the image that is selected in the gallery.
    """

    wanted = Signal()

    def __init__(self, campaign: Campaign) -> None:
        super().__init__("Annotate")
        self._campaign = campaign
        self.next_button, self.learn_button = QPushButton("Next image"), QPushButton("Learn")
        self.paint_button = QPushButton("Paint selected")
        self.paint_button.setToolTip("Open the image that is selected in the gallery, with brush layers.")
        self.next_button.setToolTip(
            "Open the image that tells most, with brush layers, and go to a place worth an answer."
        )
        self.learn_button.setToolTip("Train on all painted images that were opened here, then rank the others anew.")
        self.order_combo = Combo()
        self.order_combo.setToolTip("What makes an image worth annotating next; times how unsure the model is.")
        for name, row in ORDERS.items():
            self.order_combo.addItem(row.title, name)
        self.about_label = QLabel()
        self.about_label.setWordWrap(True)
        self.plot = Plot(self, "Score against annotated images", "")
        self.plot.setToolTip(
            "How far a model agreed with the strokes on an image before it learnt from it, against the number of "
            "images that it had learnt from. Where it no longer rises, more images bring little."
        )
        self._lay_out()
        self.next_button.clicked.connect(campaign.open_next)
        self.learn_button.clicked.connect(campaign.learn)
        self.order_combo.currentIndexChanged.connect(self._on_order)
        self.paint_button.clicked.connect(self.wanted)
        campaign.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how things stand."""
        campaign = self._campaign
        there = campaign.report is not None
        for widget in (self.next_button, self.paint_button, self.learn_button, self.order_combo):
            widget.setEnabled(there and not campaign.busy and not campaign.learning)
        self.learn_button.setEnabled(self.learn_button.isEnabled() and bool(campaign.opened()))
        with signals_blocked(self.order_combo):
            self.order_combo.setCurrentIndex(self.order_combo.findData(campaign.order))
        self.about_label.setText(self._words())
        scores = campaign.scores
        self.plot.setVisible(bool(scores))
        counts = sorted({score.n_annotated for score in scores})
        means = [np.mean([score.agreement for score in scores if score.n_annotated == n]) for n in counts]
        axis = TimeAxis(np.array(counts, np.float64), counts="images")
        self.plot.set_value(Curve(axis, 100 * np.array(means), "%") if scores else None)

    def _words(self) -> str:
        campaign = self._campaign
        if campaign.report is None:
            return "Look through a folder first."
        if campaign.learning:
            return "Learning from the painted images …"
        if campaign.busy:
            return "Working …"
        coming, n = campaign.coming(), len(campaign.opened())
        told = f"{n} image{'s' if n != 1 else ''} opened. " if n else ""
        if coming is None:
            return f"{told}No image is left to suggest."
        return f"{told}Next: {campaign.report.names[coming]}."

    def _on_order(self) -> None:
        self._campaign.order = str(self.order_combo.currentData())
        self._campaign.rank()

    def _lay_out(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(5, 9, 5, 5)
        line = QHBoxLayout()
        line.setSpacing(3)
        for button in (self.next_button, self.paint_button, self.learn_button):
            line.addWidget(button)
        rows.addLayout(line)
        for widget in (self.order_combo, self.about_label, self.plot):
            rows.addWidget(widget)

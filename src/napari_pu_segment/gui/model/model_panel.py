"""The panel of the model: what it is, its file, and other images it is applied to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari.layers import Image
from qtpy.QtCore import QLocale, Qt
from qtpy.QtWidgets import QFileDialog, QFormLayout, QGroupBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pu_segment.core.card import Card
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.files import write_atomically
from napari_pu_segment.core.images.doubts import doubts
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.networks import FOUND, network_row
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.search.export import python_of

from ..jobs import Job
from ..numbers import percent
from ..parts.image_combo import ImageCombo
from ..session import Session
from ..viewer.snapshots import Snapshot

NONE_YET = "No model yet: train one, or load one."
NONE_KEPT = "The result was made from its strokes alone, without a model. For a model, choose a method that trains one."
ROWS = (
    *("Method", "Pipeline", "Network", "Channels", "Intensities", "Classes", "Prior", "Threshold", "Strokes"),
    *("Pixel size", "Made"),
)


class ModelPanel(QWidget):
    """See what the model is, save and load it, apply it to other images.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.model_label = _wrapped()
        self.facts = {row: _wrapped() for row in ROWS}
        self._names = {row: QLabel(row) for row in ROWS}
        self.save_button = QPushButton("Save …")
        self.save_button.setToolTip("Write the model to a file that the command line and Python read, too")
        self.load_button = QPushButton("Load …")
        self.load_button.setToolTip("Read a model from a file; nothing in such a file is ever run")
        self.export_button = QPushButton("Export as Python …")
        self.export_button.setToolTip("Write the pipelines that a search found as a script, to read and change")
        self.apply_combo = ImageCombo(session.book)
        self.apply_combo.setToolTip("The image to segment")
        self.apply_button = QPushButton("Apply")
        self.apply_button.setToolTip("Segment this image with the current model")
        self.doubts_label = _wrapped()
        self.doubts_label.setStyleSheet("color: #D55E00;")
        self.doubts_label.hide()
        self._lay_out()
        self.save_button.clicked.connect(self.save)
        self.load_button.clicked.connect(self.load)
        self.export_button.clicked.connect(self.export)
        self.apply_button.clicked.connect(self.apply)
        self.apply_combo.chosen.connect(self._on_other)
        session.model_changed.connect(self._on_other)
        session.job_started.connect(self._on_job)
        self._refresh()

    def save(self) -> None:
        """Ask where, and save the model there."""
        path, _ = QFileDialog.getSaveFileName(self, "Save the model", "model.safetensors", "Model (*.safetensors)")
        if path:
            self._try(lambda: self._session.save(path))

    def load(self) -> None:
        """Ask which, and load that model."""
        path, _ = QFileDialog.getOpenFileName(self, "Load a model", "", "Model (*.safetensors);;All files (*)")
        if path:
            self._try(lambda: self._session.load(path))

    def export(self) -> None:
        """Ask where, and write the pipelines there."""
        model = self._session.model
        path, _ = QFileDialog.getSaveFileName(self, "Export the pipelines", "pipeline.py", "Python (*.py)")
        if path and model is not None:
            self._try(lambda: write_atomically(path, python_of(model, Path(path).name).encode()))
            self._session.said.emit(f"Pipelines written to {path}.", False)

    def apply(self) -> None:
        """Compare the chosen image with what the model was trained on, say what differs, and segment it."""
        image, model = self.apply_combo.value(), self._session.model
        if image is not None and model is not None:
            self._try(lambda: self._compare(model, image))

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        model = QGroupBox("Model")
        rows = QVBoxLayout(model)
        rows.setContentsMargins(5, 9, 5, 5)
        rows.addWidget(self.model_label)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setVerticalSpacing(2)
        for row, label in self.facts.items():
            self._names[row].setAlignment(Qt.AlignmentFlag.AlignTop)
            form.addRow(self._names[row], label)
        rows.addLayout(form)
        rows.addLayout(_row(self.save_button, self.load_button))
        rows.addWidget(self.export_button)
        other = QGroupBox("Another image")
        rows = QVBoxLayout(other)
        rows.setContentsMargins(5, 9, 5, 5)
        choice = _row(self.apply_combo, self.apply_button)
        choice.setStretch(0, 1)
        rows.addLayout(choice)
        rows.addWidget(self.doubts_label)
        layout.addWidget(model)
        layout.addWidget(other)

    def _compare(self, model: Model, image: Image) -> None:
        self._show_doubts(())
        snapshot = self._session.book.snapshot(image)

        def apply(sentences: tuple[str, ...]) -> None:
            self._show_doubts(sentences)
            for sentence in sentences:
                self._session.said.emit(sentence, True)
            self._try(lambda: self._session.apply(image))

        self._session.aside(_compared(model, snapshot), "Comparing", apply)

    def _show_doubts(self, sentences: tuple[str, ...]) -> None:
        self.doubts_label.setText("\n".join(sentences))
        self.doubts_label.setVisible(bool(sentences))

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)

    def _on_job(self, job: Job) -> None:
        job.finished.connect(self._refresh)
        self._refresh()

    def _on_other(self) -> None:
        """Another model or another image: what was said of the former ones is no longer true."""
        self._show_doubts(())
        self._refresh()

    def _refresh(self) -> None:
        model, result = self._session.model, self._session.result
        self.model_label.setText(NONE_KEPT if result is not None and result.model is None else NONE_YET)
        self.model_label.setVisible(model is None)
        facts = dict.fromkeys(ROWS, "") if model is None else describe(model.card, self.locale())
        for row, label in self.facts.items():
            label.setText(facts[row])
            label.setVisible(bool(facts[row]))
            self._names[row].setVisible(bool(facts[row]))
        self.save_button.setEnabled(model is not None)
        self.export_button.setVisible(model is not None and model.card.network.name in FOUND)
        self.load_button.setEnabled(not self._session.busy)
        there = self.apply_combo.value() is not None
        self.apply_button.setEnabled(model is not None and there and not self._session.busy)


def describe(card: Card, locale: QLocale) -> dict[str, str]:
    """What a person wants to know of a model, a sentence or less for each of `ROWS`; empty where it is not known."""
    method = METHODS.get(card.method)
    axes = "volumes" if card.network.ndim == 3 else "single planes"
    n_channels = len(card.intensity)
    low, high = (percent(end, locale) for end in card.class_prior_interval)
    how = "set by hand" if card.class_prior_source == "fixed" else f"{low} to {high}; {card.class_prior_source}"
    sizes = " × ".join(locale.toString(size, "g", 4) for size in card.pixel_size)
    return {
        "Method": card.method if method is None else method.title,
        "Pipeline": _pipeline(card, locale),
        "Network": f"{network_row(card.network.name).title}, for {axes}",
        "Channels": ", ".join(card.channel_names) or (f"{n_channels}, without names" if n_channels > 1 else "one"),
        "Intensities": "measured in each image by itself" if card.statistics == "image" else "",
        "Prior": f"{percent(card.class_prior, locale)} of the image ({how})",
        "Threshold": locale.toString(card.threshold, "g", 4),
        "Classes": "\n".join(
            f"{one.name}: {percent(one.class_prior, locale)}, {one.n_strokes} strokes" for one in card.classes
        ),
        "Strokes": f"{card.n_positive_strokes} positive, {card.n_negative_strokes} negative",
        "Pixel size": f"{sizes} {card.pixel_unit.replace('um', 'µm')}" if sizes else "",
        "Made": f"{card.created.replace('T', ' ')[:16]}, version {card.plugin_version}",
    }


def _pipeline(card: Card, locale: QLocale) -> str:
    found = card.found
    if found is None:
        return ""
    score, seconds = locale.toString(found.score, "f", 3), locale.toString(found.s_per_mpx, "f", 2)
    return f"{found.pipeline}; score {score}, {seconds} s/Mpx"


def _compared(model: Model, snapshot: Snapshot) -> Work[tuple[str, ...]]:
    """What makes the model doubtful for an image; raises `InputError` where it cannot see it at all."""
    yield Progress(0, 0, "Comparing with the model")
    sample = snapshot.sample()
    model.check_image(tuple(sample.image.shape), f"The image {sample.name!r}", sample.channel_names, sample.axes)
    return (yield from doubts(model.card, sample))


def _wrapped() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row

"""The panel of the encoder: make one of a folder of images, or load one; trainings then look through it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QFormLayout, QGroupBox, QHBoxLayout, QLabel, QProgressBar, QPushButton, QWidget

from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.core.model import Model, load_model
from napari_pu_segment.core.networks import network_row
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.image_set import Encoded, EncodeSettings, encoding

from ..jobs import Job
from ..parts.path_row import MODELS, TABLES, PathRow
from ..parts.settings_form import SettingsForm, fold
from ..parts.ticks import short
from ..session import Session

TITLE = "Pretraining"
NONE = "None. An encoder learns from a folder of images, without strokes, what tells their places apart."
WEIGHTS = "Weights that others have published, to begin with: a file, or a name such as timm/tf_efficientnet_lite0.in1k"
FILTER = "Model (*.safetensors);;All files (*)"


class EncoderPanel(QGroupBox):
    """Make, load or put away the encoder that trainings look through.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Encoder", parent)
        self._session = session
        self._job: Job | None = None
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.folder_row = PathRow("Images to learn from", "The folder of images that a new encoder learns from")
        self.weights_row = PathRow("Published weights", WEIGHTS, files=MODELS)
        self.balance_row = PathRow(
            "Choose a table of images",
            "The curation.csv of Know your images: kinds of images are seen equally often. Empty: all images are",
            files=TABLES,
        )
        self.form = SettingsForm(PretrainSettings)
        self.make_button, self.load_button, self.none_button = (QPushButton(t) for t in ("Make …", "Load …", "None"))
        self.make_button.setToolTip("Learn from the folder, in the background, and write the encoder to a file")
        self.load_button.setToolTip("Take an encoder from a file; nothing in such a file is ever run")
        self.none_button.setToolTip("Train without an encoder again")
        self.progress_bar, self.cancel_button = QProgressBar(), QPushButton("Cancel")
        self.cancel_button.setToolTip(
            "Stop. Made again with the same folder, settings and file, it goes on from there."
        )
        self._lay_out()
        self.make_button.clicked.connect(self.make)
        self.load_button.clicked.connect(self.load)
        self.none_button.clicked.connect(lambda: session.encoder.choose(None))
        self.cancel_button.clicked.connect(self.cancel)
        session.encoder.changed.connect(self._refresh)
        self._refresh()

    @property
    def running(self) -> bool:
        """Whether an encoder is being made."""
        return self._job is not None and self._job.running

    def make(self) -> None:
        """Ask for what is missing, and make an encoder in the background."""
        try:
            folder, settings = self.folder_row.value(), self.form.value()
            if folder is None:
                raise InputError("Choose the folder of images that the encoder shall learn from.")
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        path, _ = QFileDialog.getSaveFileName(self, "Save the encoder", "encoder.safetensors", FILTER)
        if path:
            weights = self.weights_row.edit.text().strip()
            which = EncodeSettings(folder, weights=weights, balance=self.balance_row.value())
            self.begin(which, settings, Path(path))

    def begin(self, which: EncodeSettings, settings: PretrainSettings, out: Path) -> None:
        """Make an encoder of a folder, in the background, beside all else."""
        self._job = self._session.aside(encoding(which, settings, out), TITLE, lambda done: self._made(done, out))
        self._job.progress.connect(self._on_progress)
        self._job.cancelled.connect(lambda: self._session.said.emit(f"{TITLE} was cancelled.", False))
        self._job.finished.connect(self._refresh)
        self._session.said.emit("The encoder is made in the background. You can go on working.", False)
        self.progress_bar.setRange(0, 0)
        self._refresh()

    def cancel(self) -> None:
        """End it; what was learnt so far is kept beside its file."""
        if self._job is not None:
            self._job.cancel()

    def load(self) -> None:
        """Ask for a file, and take the encoder in it."""
        path, _ = QFileDialog.getOpenFileName(self, "Load an encoder", "", FILTER)
        if path:
            self.take(Path(path))

    def take(self, path: Path) -> None:
        """Take the encoder of a file, read in the background."""
        self._session.aside(_read(path), "Loading", lambda model: self._chosen(model, path))

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(5, 9, 5, 5)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.label)
        form.addRow("Images", self.folder_row)
        form.addRow("Balance", self.balance_row)
        form.addRow("Weights", self.weights_row)
        form.addRow(fold("Settings of a new encoder", self.form))
        for widgets in (
            (self.make_button, self.load_button, self.none_button),
            (self.progress_bar, self.cancel_button),
        ):
            row = QHBoxLayout()
            row.setSpacing(3)
            for widget in widgets:
                row.addWidget(widget)
            form.addRow(row)

    def _made(self, done: Encoded, out: Path) -> None:
        self._chosen(done.model, out)
        left = f" {len(done.refused)} could not be used." if done.refused else ""
        self._session.said.emit(f"Trainings look through the encoder of {done.n_images} images.{left}", False)

    def _chosen(self, model: Model, path: Path) -> None:
        self._session.encoder.choose(model, short(path.name))
        self._session.said.emit(f"Trainings look through the encoder {path.name}.", False)

    def _on_progress(self, progress: Progress) -> None:
        self.progress_bar.setRange(0, progress.total)
        self.progress_bar.setFormat(progress.message)
        self.progress_bar.setValue(progress.step)

    def _refresh(self) -> None:
        model = self._session.encoder.model
        self.label.setText(NONE if model is None else described(model, self._session.encoder.name))
        self.none_button.setEnabled(model is not None)
        for widget in (
            self.make_button,
            self.load_button,
            self.folder_row,
            self.weights_row,
            self.balance_row,
            self.form,
        ):
            widget.setEnabled(not self.running)
        for shown in (self.progress_bar, self.cancel_button):
            shown.setVisible(self.running)


def described(model: Model, name: str) -> str:
    """An encoder in a sentence."""
    card = model.card
    kind, n = "volumes" if card.network.ndim == 3 else "planes", len(card.intensity)
    channels = "one channel" if n == 1 else f"{n} channels"
    title = network_row(card.network.name).title + (f", with {card.weights.source}" if card.weights else "")
    return f"{name}: {title}, for {kind} of {channels}. Trainings look through it."


def _read(path: Path) -> Work[Model]:
    yield Progress(0, 0, "Reading the encoder")
    model = load_model(path)
    if not model.is_encoder:
        raise InputError(f"Model file {str(path)!r} is no encoder. Load it as the model, above.")
    return model

"""The panel from image to model: choose the image, paint, train."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGroupBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.methods import METHODS, Method
from napari_pu_segment.core.settings import Settings

from ..jobs import Job
from ..keys import ClassKeys
from ..looks import COLOURS
from ..parts.combo import Combo
from ..parts.image_combo import ImageCombo
from ..parts.settings_form import SettingsForm
from ..preferences import preferences
from ..session import Session
from ..viewer.classes import FIRST
from .axes_box import AxesBox
from .channels_box import ChannelsBox
from .classes_box import ClassesBox, swatch
from .rim_button import RimButton
from .rough_box import RoughBox
from .train_on_box import TrainOnBox

TRAINS = "Learn from the strokes and segment the image. You can go on painting meanwhile."
GROWS = (
    "Segment the image from its strokes alone, which must be of both kinds. Nothing is learnt, so there is no model to "
    "save or to use on other images. You can go on painting meanwhile."
)
PROPOSES = "Segment the image without strokes. Nothing is learnt, so there is no model to save."
NAME_PX = 72  # of a class on a button: three in a row must fit into a dock of 300 px


class TrainPanel(QWidget):
    """Choose an image, paint strokes, train.

    Parameters
    ----------
    session : Session
    keys : dict of str to str
        The key that takes up each brush, by role; shown on the brush buttons.
    parent : QWidget, optional
    """

    def __init__(self, session: Session, keys: dict[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._keys = session, keys
        self.image_combo = ImageCombo(session.book)
        self.image_combo.setToolTip("The image to segment. Results go to layers of their own; this one stays as it is.")
        self.add_brushes_button = QPushButton("Add brush layers")
        self.add_brushes_button.setToolTip(
            "Adds two layers to paint on, one for strokes on objects and one for strokes on background, and takes up "
            "the brush. Strokes on objects alone are enough."
        )
        self.axes_box = AxesBox(session)
        self.channels_box = ChannelsBox(session)
        self.train_on_box = TrainOnBox(session)
        self.rough_box = RoughBox(session)
        self.rim_button = RimButton(session)
        self.classes_box = ClassesBox(session)
        self.class_keys = ClassKeys(session.book.viewer, session.book.classes, self.paint)
        self.classes_box.keys = self.class_keys.keys
        self.brush_buttons = {
            role: _brush_button(role, keys.get(role, "")) for role in ("positive", "negative", "ignore")
        }
        self.method_combo = Combo()
        self.method_combo.setToolTip("How the model learns from the strokes")
        for name, method in METHODS.items():
            if not method.encodes:
                self.method_combo.addItem(method.title, name)
        self.form = self._new_form()
        self.warm_box = QCheckBox("Continue from the current model")
        self.warm_box.setToolTip("Start from the model there is, instead of from nothing.")
        self.encoder_label = QLabel()
        self.encoder_label.setWordWrap(True)
        self.train_button = QPushButton("Train")
        self._lay_out()
        self._connect()

    def settings(self) -> Settings:
        """The settings as shown.

        Raises
        ------
        InputError
            If one of them cannot be used.
        """
        return self.form.value()

    def add_brushes(self) -> None:
        """Add the brush layers that are missing, and take up the positive brush."""
        image = self._session.image
        try:
            if image is None:
                self._session.said.emit("There is no image. Open one in napari first.", True)
                return
            self._session.book.add_brushes(image)
            self.paint(FIRST)
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)

    def paint(self, role: str) -> None:
        """Take up a brush; layers of further classes and of what is ignored are added when they are first asked for."""
        image, classes = self._session.image, self._session.book.classes
        classes.choose(role)
        if image is not None and self._session.book.viewer.dims.ndisplay == 3:
            self._session.said.emit("Strokes are painted in the 2-D view. Press napari's 2D/3D button first.", True)
        elif image is not None:
            if role not in (FIRST, "negative") and self._session.book.member(image, FIRST) is not None:
                self._session.book.add_brushes(image, (role,))
            if self._session.book.paint(image, role):
                hints = {
                    "positive": f"Paint a few short strokes on different objects, then press {self._verb()}.",
                    "negative": "Paint a few short strokes on background that looks like the objects.",
                    "ignore": "Paint over what is neither: a time stamp, a rim, an artefact.",
                }
                several = f"Paint a few short strokes on objects of the class {classes.names.get(role)!r}."
                told = several if role in classes.names and len(classes) > 1 else hints[role]
                self._session.said.emit(told, False)
            else:
                self._session.said.emit("There is nothing to paint on yet. Press “Add brush layers” first.", False)

    def take(self, role: str) -> None:
        """Take up the brush of a button: for objects, that of the active class."""
        self.paint(self._session.book.classes.active if role == FIRST else role)

    def train_or_cancel(self) -> None:
        """Start a training, or cancel the running job."""
        if self._session.busy:
            self._session.cancel()
            return
        try:
            warm = self.warm_box.isEnabled() and self.warm_box.isChecked()
            self._session.train(self.method_combo.currentData(), self.settings(), warm=warm)
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)

    def _new_form(self) -> SettingsForm[Settings]:
        form: SettingsForm[Settings] = SettingsForm(self._method().settings)
        form.set_value(preferences().settings(self._method().settings))
        form.changed.connect(self._on_settings)
        return form

    def _method(self) -> Method:
        return METHODS[self.method_combo.currentData()]

    def _verb(self) -> str:
        """What the button of the method says."""
        return "Train" if self._method().segment is None else "Segment"

    def _lay_out(self) -> None:
        brushes = QHBoxLayout()
        brushes.setSpacing(3)
        for button in self.brush_buttons.values():
            brushes.addWidget(button)
        paint = QGroupBox("Image and strokes")
        rows = QVBoxLayout(paint)
        rows.setContentsMargins(5, 9, 5, 5)
        rows.addWidget(self.image_combo)
        rows.addWidget(self.axes_box)
        rows.addWidget(self.channels_box)
        add = QHBoxLayout()
        add.setSpacing(3)
        add.addWidget(self.add_brushes_button, 1)
        add.addWidget(self.rim_button)
        rows.addLayout(add)
        rows.addLayout(brushes)
        rows.addWidget(self.classes_box)
        train = QGroupBox("Training")
        self._train_rows = QVBoxLayout(train)
        self._train_rows.setContentsMargins(5, 9, 5, 5)
        if self.method_combo.count() > 1:  # a choice of one is none
            self._train_rows.addWidget(QLabel("Method"))  # above it: a title takes the width of a narrow dock
            self._train_rows.addWidget(self.method_combo)
        self._train_rows.addWidget(self.form)
        self._train_rows.addWidget(self.rough_box)
        self._train_rows.addWidget(self.train_on_box)
        self._train_rows.addWidget(self.encoder_label)
        self._train_rows.addWidget(self.warm_box)
        self._train_rows.addWidget(self.train_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(paint)
        layout.addWidget(train)

    def _connect(self) -> None:
        self.image_combo.chosen.connect(self._session.choose_image)
        self.add_brushes_button.clicked.connect(self.add_brushes)
        for role, button in self.brush_buttons.items():
            button.clicked.connect(partial(self.take, role))
        self.classes_box.chosen.connect(self.paint)
        self._session.book.classes.changed.connect(self._refresh)
        self.method_combo.currentIndexChanged.connect(self._on_method)
        self.train_button.clicked.connect(self.train_or_cancel)
        self._session.image_changed.connect(self._refresh)
        self._session.model_changed.connect(self._refresh)
        self._session.book.changed.connect(self._refresh)
        self._session.job_started.connect(self._on_job)
        self._session.choices_changed.connect(self._on_choices)
        self._session.encoder.changed.connect(self._refresh)
        self._session.choose_image(self.image_combo.value())
        self._on_settings()
        self._refresh()

    def _on_method(self) -> None:
        old, self.form = self.form, self._new_form()
        self._train_rows.replaceWidget(old, self.form)
        old.hide()  # until it is deleted it would lie over the new one
        old.deleteLater()
        self._on_settings()
        self.rough_box.refresh()
        if not self._method().needs_strokes:
            hint = " A dab on an object says what is meant." if self._method().segment is None else ""
            self._session.said.emit(f"Press {self._verb()}: no strokes are needed.{hint}", False)
        self._refresh()

    def _on_choices(self) -> None:
        settings = self._session.settings
        self.method_combo.setCurrentIndex(self.method_combo.findData(self._session.method))
        self.form.set_value(settings)

    def _on_settings(self) -> None:
        try:
            settings = self.form.value()
        except PuSegmentError:
            return  # half typed: the last that could be used stays; Train says what is wrong
        self._session.method, self._session.settings = self.method_combo.currentData(), settings

    def _on_job(self, job: Job) -> None:
        job.finished.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        session, image = self._session, self._session.image
        there = image is not None and session.book.contains(image)
        self.add_brushes_button.setEnabled(there)
        self.rim_button.setEnabled(there)
        for role, button in self.brush_buttons.items():
            anchor = FIRST if role == "ignore" else role
            button.setEnabled(there and image is not None and session.book.member(image, anchor) is not None)
        self._refresh_first()
        trains = self._method().segment is None
        self.train_button.setText("Cancel" if session.busy else self._verb())
        self.train_button.setToolTip(TRAINS if trains else GROWS if self._method().needs_strokes else PROPOSES)
        self.train_button.setEnabled(there or session.busy)
        self.warm_box.setEnabled(trains and session.model is not None)
        self.train_on_box.setEnabled(trains)
        self.encoder_label.setVisible(session.encoder.of(self._method()) is not None)
        self.encoder_label.setText(f"Looks through the encoder {session.encoder.name}")

    def _refresh_first(self) -> None:
        """The button of the objects' brush is that of the active class."""
        classes, button = self._session.book.classes, self.brush_buttons[FIRST]
        one = classes.of(classes.active)
        if one is not None:
            called = one.name if len(classes) > 1 else FIRST.capitalize()
            short = self.fontMetrics().elidedText(called, Qt.TextElideMode.ElideRight, NAME_PX)
            button.setText(f"{short} {self._keys.get(FIRST, '')}".strip())
            button.setIcon(swatch(one.colour))


def _brush_button(role: str, key: str) -> QPushButton:
    button = QPushButton(f"{role.capitalize()} {key}".strip())
    button.setStyleSheet("padding: 3px 2px;")  # three in a row must fit into a dock of 300 px
    button.setIcon(swatch(COLOURS[role]))
    button.setToolTip(f"Take up the {role} brush" + (f"; key {key}" if key else ""))
    return button

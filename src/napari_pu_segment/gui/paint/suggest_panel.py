"""The panel that takes the user to places worth an answer, and takes the answer."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pu_segment.core.suggest import ACQUISITIONS

from ..keys import KeySet
from ..parts.combo import Combo
from ..session import Session
from .guide import Guide

# Take me there, object, background, skip: for the right hand, beside those that the brushes take for the left.
KEY_CHOICES = (("N", "J", "K", "U"), ("Shift-N", "Shift-J", "Shift-K", "Shift-U"))


class SuggestPanel(QWidget):
    """Go to the most useful place, say why, and paint the answer there.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    guide : Guide
    key_set : KeySet
        The keys of the actions "next", "object", "background" and "skip".
    keys : dict of str to str
        The key of each action; empty where no free keys were left.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.guide = Guide(session)
        actions: dict[str, Callable[[], None]] = {
            "next": self.guide.take_there,
            "object": lambda: self.guide.answer("positive"),
            "background": lambda: self.guide.answer("negative"),
            "skip": lambda: self.guide.answer(""),
        }
        self.key_set = KeySet(session.book.viewer, KEY_CHOICES, actions)
        self.keys = self.key_set.keys
        self.go_button = self._button("Take me there", "next", "Go to an object, or to background that looks like one.")
        self.object_button = self._button(
            "Object", "object", "The middle of the ring is an object: paint a positive dab there."
        )
        self.background_button = self._button(
            "Background", "background", "The middle of the ring is no object: paint a negative dab there."
        )
        self.skip_button = self._button("Skip", "skip", "Paint nothing, and do not ask there again.")
        self.back_button = QPushButton("Back")
        self.back_button.setToolTip("Take the last answer back, and go there again.")
        self.kind_combo = Combo()
        self.kind_combo.setToolTip(
            "What kind of place to look for. Mixed: objects of every kind, and what is most like them."
        )
        for name, row in ACQUISITIONS.items():
            self.kind_combo.addItem(row.title, name)
        self.kind_combo.setCurrentIndex(self.kind_combo.findData(self.guide.acquisition))
        self.reason_label = QLabel()
        self.reason_label.setWordWrap(True)
        self.reason_label.setToolTip("Why you are asked about the place in the ring")
        self._lay_out()
        self.back_button.clicked.connect(self.guide.back)
        self.kind_combo.currentIndexChanged.connect(lambda _: self.guide.choose(self.kind_combo.currentData()))
        self.guide.changed.connect(self._refresh)
        self.enter()
        self._refresh()

    def enter(self) -> None:
        """Take the keys: done at the beginning, and again when the widget comes back after `leave`."""
        self.key_set.bind()
        self.guide.start()

    def leave(self) -> None:
        """Let the keys go and take the ring away, so that nothing of ours is left in the viewer."""
        self.key_set.release()
        self.guide.stop()

    def _button(self, text: str, action: str, tip: str) -> QPushButton:
        key = self.keys.get(action, "")
        button = QPushButton(f"{text} {key}".strip())
        button.setToolTip(f"{tip} Key {key}." if key else tip)
        button.clicked.connect(lambda: self.key_set.press(action))
        return button

    def _lay_out(self) -> None:
        box = QGroupBox("Suggestions")
        rows = QVBoxLayout(box)
        rows.setContentsMargins(5, 9, 5, 5)
        for widgets in (
            (self.go_button, self.kind_combo),
            (self.reason_label,),
            (self.object_button, self.background_button),
            (self.skip_button, self.back_button),
        ):
            row = QHBoxLayout()
            row.setSpacing(3)
            for widget in widgets:
                if isinstance(widget, QPushButton):
                    widget.setMinimumWidth(widget.sizeHint().width())
                row.addWidget(widget, 0 if widget is self.go_button else 1)
            rows.addLayout(row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)

    def _refresh(self) -> None:
        guide = self.guide
        self.go_button.setEnabled(guide.ready)
        for button in (self.object_button, self.background_button, self.skip_button):
            button.setEnabled(guide.place is not None)
        self.back_button.setEnabled(bool(guide.done))
        if guide.place is not None:
            label = {None: "", True: "object", False: "background"}[guide.place.rough]
            says = f" The rough mask says {label}." if label else ""
            text = f"<b>{guide.place.reason.capitalize()}.</b>{says} Is the middle an object?"
            if len(guide.classes) > 1:
                text += f" It looks like <b>{escape(guide.likeliest.name)}</b>, and would be painted so."
        elif guide.looking:
            text = "Looking for places …"
        elif guide.ready:
            text = "Ready to take you to places worth an answer."
        else:
            text = "Train first; then you are taken to places worth an answer."
        self.reason_label.setText(text)

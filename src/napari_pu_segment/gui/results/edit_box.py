"""Two buttons: what a stroke on the objects does, split or merge."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget
from superqt.utils import signals_blocked

from ..keys import KeySet
from ..session import Session
from .edits import Edits, Mode

KEY_CHOICES = (("Shift-S", "Shift-M"), ("Shift-C", "Shift-J"))
KEY_TEXTS = {"split": "split objects by a stroke, on and off", "merge": "merge objects by a stroke, on and off"}
MODES: tuple[Mode, ...] = ("split", "merge")
TIPS = {
    "split": "While this is on, a stroke right across an object cuts it in two, in all its planes. The parts get new "
    "labels, and the table follows. Napari's undo takes it back in one step.",
    "merge": "While this is on, a stroke that touches several objects makes them one, and the table follows. Napari's "
    "undo takes it back in one step.",
}


class EditBox(QWidget):
    """Switches of which one at most is on.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    edits : Edits
    key_set : KeySet
        The keys of the actions "split" and "merge".
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edits = Edits(session)
        self.key_set = KeySet(session.book.viewer, KEY_CHOICES, {mode: partial(self._toggle, mode) for mode in MODES})
        self.buttons = {mode: self._button(mode) for mode in MODES}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("By a stroke"))
        for button in self.buttons.values():
            row.addWidget(button, 1)
        self.edits.mode_changed.connect(self._refresh)

    def enter(self) -> None:
        """Take the keys."""
        self.key_set.bind()

    def leave(self) -> None:
        """Let the keys go, and leave off editing."""
        self.key_set.release()
        self.edits.set_mode("")

    def _button(self, mode: Mode) -> QPushButton:
        key = self.key_set.keys.get(mode, "")
        button = QPushButton(mode.capitalize())
        button.setCheckable(True)
        button.setToolTip(TIPS[mode] + (f" Key {key}." if key else ""))
        button.clicked.connect(partial(self._toggle, mode))
        return button

    def _toggle(self, mode: Mode, _on: bool = False) -> None:
        self.edits.set_mode("" if self.edits.mode == mode else mode)

    def _refresh(self, mode: str) -> None:
        for name, button in self.buttons.items():
            with signals_blocked(button):
                button.setChecked(name == mode)

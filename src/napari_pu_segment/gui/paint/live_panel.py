"""The panel of live mode: a switch, and what it is doing."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from ..session import Session
from .live import DONE, LEARNS, LOOKS, OFF, WAITS, Live

TEXTS = {
    OFF: "Trains after every stroke",
    WAITS: "Paint a stroke on an object",
    LEARNS: "Learning …",
    LOOKS: "Segmenting …",
    DONE: "Up to date",
}


class LivePanel(QWidget):
    """Turn live mode on and off, and see how far it is.

    Parameters
    ----------
    session : Session
    keys : dict of str to str, optional
        The key of the action "live"; told by the button's tooltip.
    parent : QWidget, optional
    """

    def __init__(self, session: Session, keys: dict[str, str] | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.live = Live(session)
        self.button = QPushButton("Live")
        self.button.setCheckable(True)
        key = (keys or {}).get("live", "")
        self.button.setToolTip(
            "After every stroke, undo or redo, train on from the current model and show the result, what is on screen "
            "first. Go on painting meanwhile. When you pause, the mask is refined; a class prior found from very few "
            "strokes is estimated again." + (f" Key {key}." if key else "")
        )
        self.label = QLabel(TEXTS[OFF])
        self.label.setToolTip("What live mode is doing")
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(5, 0, 5, 0)
        row.addWidget(self.button)
        row.addWidget(self.label, 1)
        self.button.toggled.connect(session.set_live)
        session.live_changed.connect(lambda on: self.button.setChecked(on))
        self.live.state_changed.connect(lambda state: self.label.setText(TEXTS[state]))

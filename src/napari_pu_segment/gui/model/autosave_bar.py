"""The bar that offers saved strokes."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from napari_pu_segment.core.files.saved import SavedSession

from ..session import Session
from .autosave import Autosave, autosave_folder, when


class AutosaveBar(QWidget):
    """Saves the strokes of a session while the user paints, and offers those found; hidden while there are none.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    autosave : Autosave
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.autosave = Autosave(session, autosave_folder())
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setStyleSheet("font-weight: bold;")
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.restore_button = QPushButton("Restore")
        self.restore_button.setToolTip("Put these strokes into the brush layers; undo brings back what is there now")
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Delete these saved strokes for good")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2, 0, 2, 0)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.restore_button)
        layout.addWidget(self.discard_button)
        self.restore_button.clicked.connect(self.autosave.restore)
        self.discard_button.clicked.connect(self.autosave.discard)
        self.autosave.found.connect(self._show)
        self._show(self.autosave.offered)

    def _show(self, saved: SavedSession | None) -> None:
        if saved is not None:
            self.label.setText(f"Strokes of {when(saved)} found")
            self.label.setToolTip(f"Saved while you painted on {saved.name!r}")
        self.setVisible(saved is not None)

"""A line in which a path is typed or chosen."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QToolButton, QWidget

MODELS, TABLES = "Model (*.safetensors)", "Table (*.csv)"


class PathRow(QWidget):
    """A path, typed or chosen.

    Parameters
    ----------
    title, about : str
        Of the dialog, and for the tool tip.
    files : str
        Which files are offered, such as `MODELS`; empty: a folder is chosen.

    Attributes
    ----------
    changed : Signal()
    """

    changed = Signal()

    def __init__(self, title: str, about: str, *, files: str = "") -> None:
        super().__init__()
        self._title, self._files = title, files
        self.edit, self.button = QLineEdit(), QToolButton()
        self.edit.setToolTip(about)
        self.edit.setMinimumWidth(60)
        self.button.setText("…")
        self.button.setToolTip(f"Choose: {about[:1].lower()}{about[1:]}")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        row.addWidget(self.edit)
        row.addWidget(self.button)
        self.edit.textChanged.connect(self.changed)
        self.button.clicked.connect(self.choose)

    def value(self) -> Path | None:
        """The path as it stands there."""
        text = self.edit.text().strip()
        return Path(text).expanduser() if text else None

    def set_value(self, path: Path | None) -> None:
        """Show a path."""
        self.edit.setText("" if path is None else str(path))

    def choose(self) -> None:
        """Ask for a path."""
        here = self.edit.text().strip()
        if self._files:
            path, _ = QFileDialog.getOpenFileName(self, self._title, here, f"{self._files};;All files (*)")
        else:
            path = QFileDialog.getExistingDirectory(self, self._title, here)
        if path:
            self.edit.setText(path)

"""A small button that lists the keys."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from qtpy.QtWidgets import QLabel, QMenu, QToolButton, QWidget, QWidgetAction

NAPARI = {"Ctrl-Z": "take the last stroke back", "[ and ]": "smaller and larger brush", "Space": "move the image, held"}


class KeysButton(QToolButton):
    """Lists what keys do, ours and the few of napari that one paints with.

    Parameters
    ----------
    keys : callable
        Gives our keys and what they do, when the list is opened.
    parent : QWidget, optional
    """

    def __init__(self, keys: Callable[[], dict[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys = keys
        self.setText("Keys")
        self.setToolTip("List the keys")
        self.setStyleSheet("QToolButton::menu-indicator { image: none; }")  # napari's lies on the text
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.label = QLabel()
        self.label.setMargin(8)
        menu, action = QMenu(self), QWidgetAction(self)
        action.setDefaultWidget(self.label)
        menu.addAction(action)
        menu.aboutToShow.connect(self.refresh)
        self.setMenu(menu)

    def refresh(self) -> None:
        """Bring the list up to date."""
        rows = "".join(
            f"<tr><td><b>{escape(key)}</b>&nbsp;&nbsp;</td><td>{escape(text)}</td></tr>"
            for key, text in {**self._keys(), **NAPARI}.items()
        )
        self.label.setText(f"<table>{rows}</table><p>The cursor must be over the image.</p>")
        self.label.adjustSize()

"""Brings a result to the screen, one layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_pu_segment.core.errors import InputError

from .layers import LayerBook

PAUSE_MS = 20  # between two layers, to draw: a new layer takes napari up to a tenth of a second


class Show:
    """Shows arrays over an image, one layer at a time, with time to draw between; the newest array of a role wins.

    Parameters
    ----------
    book : LayerBook
    on_error : callable
        Called with the error where a layer cannot be shown; the rest is dropped then.
    """

    def __init__(self, book: LayerBook, on_error: Callable[[InputError], None]) -> None:
        self._book, self._on_error = book, on_error
        self._image: Image | None = None
        self._waiting: dict[str, np.ndarray | None] = {}
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._next)

    @property
    def busy(self) -> bool:
        """Whether some layers are still to be brought up to date."""
        return bool(self._waiting)

    def show(self, image: Image, arrays: Mapping[str, np.ndarray | None]) -> None:
        """Show an array for each role, from the bottom to the top; None takes the layer away."""
        if image is not self._image:
            self._image, self._waiting = image, {}
        self._waiting.update(arrays)
        if not self._timer.isActive():
            self._next()

    def stop(self) -> None:
        """Drop what is still to be shown."""
        self._timer.stop()
        self._waiting = {}

    def _next(self) -> None:
        if self._image is None or not self._waiting:
            return
        role = next(iter(self._waiting))
        try:
            self._book.show(self._image, role, self._waiting.pop(role))
            self._timer.start()
        except InputError as error:
            self.stop()
            self._on_error(error)

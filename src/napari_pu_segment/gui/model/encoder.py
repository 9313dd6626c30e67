"""The encoder that trainings look through, where one was chosen."""

from __future__ import annotations

from psygnal import Signal

from napari_pu_segment.core.methods import Method
from napari_pu_segment.core.model import Model


class EncoderChoice:
    """Remembers the chosen encoder.

    Attributes
    ----------
    model : Model or None
    name : str
        Of its file.
    changed : Signal()
    """

    changed = Signal()

    def __init__(self) -> None:
        self.model: Model | None = None
        self.name = ""

    def choose(self, model: Model | None, name: str = "") -> None:
        """Take another encoder, or none."""
        self.model, self.name = model, name
        self.changed.emit()

    def of(self, method: Method) -> Model | None:
        """The encoder, where trainings of a method can look through one."""
        return self.model if method.takes_encoder else None

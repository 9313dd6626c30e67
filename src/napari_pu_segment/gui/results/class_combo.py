"""Which class of a result is shown and moved by the sliders; with one class nothing is seen of it."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QWidget

from napari_pu_segment.core.classes import Thresholds, thresholds_of
from napari_pu_segment.core.samples import ONE_CLASS

from ..parts.combo import Combo
from ..session import Session


class ClassCombo(Combo):
    """The classes of the present result.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setToolTip("The class whose probability is shown, and which the sliders below act on")
        self.hide()
        self.currentIndexChanged.connect(session.results.show_class)

    @property
    def index(self) -> int:
        """Number of the class, from 0."""
        return min(self._session.results.shown_class, len(self._classes) - 1)

    @property
    def own_threshold(self) -> float:
        """The threshold of that class which the model of the result found."""
        result = self._session.result
        own = 0.5 if result is None else result.own_threshold
        return own[self.index] if isinstance(own, tuple) else own

    def of_all(self, threshold: float | None) -> Thresholds | None:
        """The thresholds of all classes with another one for this class; None where all are the model's own.

        Parameters
        ----------
        threshold : float or None
            None: the model's own.
        """
        result, chosen, n_classes = self._session.result, self._session.threshold, len(self._classes)
        if result is None or n_classes == 1:
            return threshold
        fits = isinstance(chosen, tuple) and len(chosen) == n_classes
        values = list(chosen if fits and isinstance(chosen, tuple) else thresholds_of(0.5, n_classes))  # type: ignore[arg-type]
        values[self.index] = self.own_threshold if threshold is None else threshold
        return None if tuple(values) == result.own_threshold else tuple(values)

    def refresh(self) -> None:
        """Take over the classes of the present result."""
        with QSignalBlocker(self):
            self.clear()
            self.addItems(list(self._classes))
            self.setCurrentIndex(self.index)
        self.setVisible(len(self._classes) > 1)

    @property
    def _classes(self) -> tuple[str, ...]:
        result = self._session.result
        return ONE_CLASS if result is None else result.sample.classes

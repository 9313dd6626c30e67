"""The labels of a layer as they are at one moment, for a job, without holding up the window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from napari.layers import Labels

from napari_pu_segment.core.progress import Progress, Ticker, Work

from .grid import Grid, planes
from .sparse import SparseLabels

AT_ONCE_BYTES = 2**25  # copied in 4 ms; twice as many took 43 ms (measured)
_PIECE_BYTES = 2**24


class Still:
    """Labels ([T,] [Z,] Y, X), without axes of length one before rows, that are not those of later painting.

    What lies in memory is copied: a few at once, many by the job, and again from the beginning whenever the layer was
    changed meanwhile, so that the copy is that of one moment. What is lazy, such as a file, is read by the job.

    Parameters
    ----------
    layer : Labels

    Attributes
    ----------
    shape : tuple of int
    """

    def __init__(self, layer: Labels) -> None:
        data = Grid(layer).data
        self.shape = planes(tuple(data.shape))
        self._data, self._changes = data, 0
        self._events: tuple[Any, ...] = ()  # by which the layer tells that it was changed
        if isinstance(data, SparseLabels) or (isinstance(data, np.ndarray) and data.nbytes <= AT_ONCE_BYTES):
            self._data = data.copy()
        elif isinstance(data, np.ndarray):
            self._events = (layer.events.labels_update, layer.events.paint, layer.events.set_data)
            for event in self._events:
                event.connect(self._on_change)

    def __getitem__(self, number: int) -> np.ndarray:
        """One frame: an index along the first axis."""
        lead: list[Any] = [0 if n == 1 else slice(None) for n in self._data.shape[:-2]]
        lead[lead.index(slice(None))] = number
        return np.asarray(self._data[tuple(lead)])

    def hold(self) -> Work[None]:
        """Take the copy that was not taken at once, of what is in memory."""
        while self._events:
            before = self._changes
            copy = yield from self._copied()
            if self._changes == before:
                for event in self._events:
                    event.disconnect(self._on_change)
                self._data, self._events = copy, ()

    def whole(self) -> Work[np.ndarray]:
        """All labels, in memory."""
        yield from self.hold()
        found = self._data if isinstance(self._data, np.ndarray) else (yield from self._copied())
        return found.reshape(self.shape)

    def _copied(self) -> Work[np.ndarray]:
        shape = tuple(self._data.shape)
        copy = np.empty(shape, self._data.dtype)
        axis = next((i for i, n in enumerate(shape) if n > 1), 0)
        step = max(1, _PIECE_BYTES * shape[axis] // max(1, copy.nbytes))
        ticker, lead = Ticker(waits=True), (slice(None),) * axis
        for start in range(0, shape[axis], step):
            part = (*lead, slice(start, min(start + step, shape[axis])))
            copy[part] = np.asarray(self._data[part])
            if ticker.due():
                yield Progress(start, math.prod(shape[axis : axis + 1]), "Reading the labels")
        return copy

    def _on_change(self, event: Any = None) -> None:
        self._changes += 1

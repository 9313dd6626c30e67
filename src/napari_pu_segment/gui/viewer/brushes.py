"""Brush strokes made by a program, and hearing of all that are made: both through what napari offers to everyone."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QTimer

from napari_pu_segment.core.errors import InputError

from .boxes import chunk_box, pieces
from .grid import Grid, planes, widened
from .sparse import SparseLabels
from .strokes import coarsened, painted_boxes

_BLOCK_PX = 2048  # side of what is compared at a time of a large layer
PAINTED = 1  # any value but 0 counts as painted
SUMMED = 2**12  # bytes in a row of the checksum


def dab(layer: Labels, centre: Sequence[float], radius_px: float, factor: int = 1) -> None:
    """Paint a disk in the plane of the last two axes, as one step that napari can undo.

    Parameters
    ----------
    layer : Labels
        A brush layer, ([T,] [Z,] Y, X).
    centre : sequence of float, ([T,] [Z,] Y, X)
        In pixels of the image; leading axes of length one may be left out.
    radius_px : float
        At least the pixel at the centre is painted, if it is in the image.
    factor : int
        How many pixels of the image a pixel of the layer is high and wide.
    """
    shape = layer.data.shape
    middle, radius_px = _pixel(layer, centre, factor), radius_px / factor
    reach = int(radius_px)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = rows**2 + columns**2 <= max(radius_px, 0.5) ** 2
    indices = np.stack([rows[disk], columns[disk]]) + middle[-2:, None]
    lead = np.repeat(middle[:-2, None], indices.shape[1], axis=1)
    indices = np.concatenate([lead, indices])
    inside = ((indices >= 0) & (indices < np.array(shape)[:, None])).all(axis=0)
    with layer.block_history():  # so that those who hear of the stroke already see it
        layer.data_setitem(tuple(indices[:, inside]), PAINTED)


def painted_at(layer: Labels, centre: Sequence[float], factor: int = 1) -> bool:
    """Whether the pixel at a place of the image is painted on a brush layer; see `dab`."""
    return bool(layer.data[tuple(_pixel(layer, centre, factor))])


def _pixel(layer: Labels, centre: Sequence[float], factor: int) -> np.ndarray:
    """The pixel of a brush layer, (D,) int, at a place of the image."""
    place = np.array(widened(centre, layer.data.shape))
    place[-2:] = (place[-2:] - (factor - 1) / 2) / factor
    return np.asarray(np.round(place).astype(int))


def fitted(mask: np.ndarray, grid: Grid) -> tuple[np.ndarray, int]:
    """A mask of an image's shape, or of that of its brush layers, and the factor that `put` takes with it.

    Raises
    ------
    InputError
        If it has neither shape.
    """
    for shape, factor in ((grid.shape, grid.brush_factor), (grid.brush_shape, 1)):
        if mask.shape in (shape, planes(shape)):
            return mask.reshape(shape), factor
    raise InputError(
        f"The strokes measure {mask.shape} pixels, but the image {grid.image.name!r} {grid.shape}. Choose strokes that "
        "were painted on an image of that size."
    )


def put(layer: Labels, mask: np.ndarray, factor: int = 1) -> None:
    """Make a mask all that is painted, as one step that napari can undo.

    Parameters
    ----------
    layer : Labels
    mask : ndarray
        Of the shape that the layer has, or its image, if that has `factor` times as many rows and columns.
    factor : int
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    shape = layer.data.shape
    sides = (*(1 for _ in shape[:-2]), _BLOCK_PX, _BLOCK_PX)
    for index, _, _ in pieces(tuple(slice(0, n) for n in shape), sides):
        box = chunk_box(index, sides, shape)
        new, old = coarsened(mask, box, factor), np.asarray(layer.data[box])
        changed = np.argwhere((old != 0) != new).T
        if changed.size:
            values = np.where(old[tuple(changed)], 0, PAINTED).astype(old.dtype)
            found.append((changed + np.array([[part.start] for part in box]), values))
    with layer.block_history():
        if found:
            indices, values = (np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True))
            layer.data_setitem(tuple(indices), values)


def painted_px(layer: Labels) -> int:
    """How many pixels of a brush layer are painted."""
    boxes = painted_boxes(layer.data)
    return sum(int(np.count_nonzero(layer.data[box])) for box in boxes)


class StrokeWatch:
    """Tells when the strokes of a brush layer have become others, however that came about.

    napari speaks of a stroke when it ends; of undo, redo and data replaced it says no more than that the layer is drawn
    again, as when the plane changes. A checksum tells these apart (14 ms for 100 Mpx).

    Parameters
    ----------
    layer : Labels
    changed : callable
        Called without arguments; it must not keep the layer alive.
    """

    def __init__(self, layer: Labels, changed: Callable[[], None]) -> None:
        self._layer, self._changed = weakref.ref(layer), changed
        self._sum = _checksum(layer)
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_drawn)
        layer.events.data.connect(self._on_drawn)

    def stop(self) -> None:
        """Listen no longer."""
        layer = self._layer()
        if layer is not None:
            layer.events.paint.disconnect(self._on_paint)
            layer.events.set_data.disconnect(self._on_drawn)
            layer.events.data.disconnect(self._on_drawn)

    def _on_paint(self, _event: Any = None) -> None:
        if not self._check():
            QTimer.singleShot(0, self._check)  # napari's own filling tells of it just before it is done

    def _on_drawn(self, _event: Any = None) -> None:
        self._check()

    def _check(self) -> bool:
        layer = self._layer()
        if layer is None:
            return False
        before, self._sum = self._sum, _checksum(layer)
        if before == self._sum:
            return False
        self._changed()
        return True


def _checksum(layer: Labels) -> tuple[Any, ...]:
    data = layer.data
    if isinstance(data, SparseLabels):
        return data.shape, data.version
    if not isinstance(data, np.ndarray) or not data.flags.c_contiguous:
        return (object(),)  # cannot be told cheaply: differs from every other
    flat = data.reshape(-1).view(np.uint8)
    whole = len(flat) // SUMMED * SUMMED
    words = flat[:whole].view(np.uint64).reshape(-1, SUMMED // 8)
    sums = words.sum(axis=0).tobytes(), words.sum(axis=1).tobytes()  # what only moves alters one of them
    return data.shape, hash(sums), hash(flat[whole:].tobytes())

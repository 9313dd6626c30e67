"""Painting on a napari canvas with mouse events, as a hand does it."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget
from skimage.measure import label, regionprops


def canvas_of(viewer, widget) -> QWidget:
    """The native widget that a viewer draws on, found among the children of the window that `widget` is docked in."""
    (canvas,) = [
        child for child in widget.window().findChildren(QWidget) if type(child).__name__ == "CanvasBackendDesktop"
    ]
    return canvas


def paint(viewer, canvas: QWidget, path: np.ndarray) -> None:
    """Press the left button, drag it along a path (N, 2) of rows and columns in world units, and let go."""
    camera = getattr(viewer, "scene", viewer).camera  # napari 0.9 moved it
    centre, zoom = np.array(camera.center)[-2:], camera.zoom
    half = np.array([canvas.height(), canvas.width()]) / 2
    points = [QPointF(x, y) for y, x in (np.asarray(path) - centre) * zoom + half]
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    _send(canvas, QEvent.Type.MouseMove, points[0], none, none)
    _send(canvas, QEvent.Type.MouseButtonPress, points[0], left, left)
    for point in points[1:]:
        _send(canvas, QEvent.Type.MouseMove, point, none, left)
    _send(canvas, QEvent.Type.MouseButtonRelease, points[-1], left, none)


def paths(strokes: np.ndarray, n_points: int = 6) -> list[np.ndarray]:
    """A path (N, 2) along each connected stroke of a mask (Y, X)."""
    found = []
    for region in regionprops(label(strokes, connectivity=2)):
        pixels = region.coords.astype(float)
        middle = pixels.mean(axis=0)
        along = (pixels - middle) @ np.linalg.svd(pixels - middle, full_matrices=False)[2][0]
        groups = np.array_split(pixels[np.argsort(along)], n_points)
        found.append(np.array([group.mean(axis=0) for group in groups if len(group)]))
    return found


def _send(canvas: QWidget, kind: QEvent.Type, point: QPointF, button: Qt.MouseButton, held: Qt.MouseButton) -> None:
    where = QPointF(canvas.mapToGlobal(point.toPoint()))
    QApplication.sendEvent(canvas, QMouseEvent(kind, point, where, button, held, Qt.KeyboardModifier.NoModifier))
    QApplication.processEvents()

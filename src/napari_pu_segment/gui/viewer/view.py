"""What is on screen, and how to move there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from .grid import Grid, widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.viewer import Viewer

SEEN_PX = 40  # on screen; what is smaller is hard to judge
_ROOM = 0.95  # of the screen, for a whole image


@dataclass(frozen=True)
class Window:
    """The part of an image that is on screen.

    Parameters
    ----------
    slices : tuple of slice
        One for each spatial axis of the image array, ([T,] [Z,] Y, X).
    step : int
        How many data pixels fall on one screen pixel, at least 1.
    """

    slices: tuple[slice, ...]
    step: int


def window(viewer: Viewer, grid: Grid) -> Window | None:
    """What of an image is on screen now; None where nothing is, or in a 3-D view."""
    dims, camera = viewer.dims, viewer.scene.camera
    if dims.ndisplay != 2:
        return None
    corners = np.array([dims.point] * 4, float)
    half = np.array(viewer.canvas.size) / 2 / camera.zoom  # world units
    ways = np.array(list(product((-1, 1), repeat=2)))
    corners[:, list(dims.displayed)] = np.array(camera.center[-2:]) + ways * half
    pixels = grid.from_world(corners)
    low = np.clip(np.floor(pixels.min(axis=0) + 0.5), 0, grid.shape).astype(int)
    high = np.clip(np.floor(pixels.max(axis=0) + 0.5) + 1, 0, grid.shape).astype(int)
    if (low >= high).any():
        return None
    slices = tuple(slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
    return Window(slices, max(1, int(1 / (camera.zoom * _pixel_size(viewer, grid)) + 1e-6)))


def go_to(viewer: Viewer, grid: Grid, centre: Sequence[float], extent_px: float = 0) -> None:
    """Bring a point of an image to the middle of the screen.

    Parameters
    ----------
    viewer : napari.Viewer
    grid : Grid
    centre : sequence of float, ([T,] [Z,] Y, X)
        In pixels of the image array; leading axes of length one may be left out.
    extent_px : float
        How large the thing there is, in pixels of the image array. The view is zoomed in where it would take less than
        `SEEN_PX` pixels of the screen.
    """
    (point,) = grid.to_world(np.array([widened(centre, grid.shape)]))
    dims, camera = viewer.dims, viewer.scene.camera
    first = dims.ndim - len(point)  # the viewer may have more axes than the image
    world = np.array(dims.point, float)
    world[first + int(grid.channel_axis) :] = point[int(grid.channel_axis) :]
    for axis in dims.not_displayed:
        dims.set_point(axis, float(world[axis]))
    extent = extent_px * _pixel_size(viewer, grid)
    if 0 < extent * camera.zoom < SEEN_PX:
        camera.zoom = SEEN_PX / extent
    camera.center = (*camera.center[: 3 - dims.ndisplay], *world[list(dims.displayed)])


def show_whole(viewer: Viewer, grid: Grid) -> None:
    """Bring the whole of an image to the screen, its middle plane and time, whatever other layers there are."""
    go_to(viewer, grid, [(n - 1) / 2 for n in grid.shape])
    viewer.scene.camera.zoom = _ROOM * min(viewer.canvas.size) / (max(grid.shape[-2:]) * _pixel_size(viewer, grid))


def _pixel_size(viewer: Viewer, grid: Grid) -> float:
    """The longer side of a pixel on screen, in world units."""
    n = len(grid.shape)
    points = grid.to_world(np.vstack([np.zeros(n), np.eye(n)]))
    sides = np.linalg.norm(points[1:] - points[0], axis=1)
    first = viewer.dims.ndim - n
    shown = [sides[axis - first] for axis in viewer.dims.displayed if axis >= first]
    return float(max(shown, default=1.0))

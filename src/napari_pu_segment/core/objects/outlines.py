"""Outlines of masks along the edges of pixels, and the way back: filling polygons, drawing lines."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from scipy import ndimage

from ..errors import InputError

Ring: TypeAlias = list[list[int]]
"""Closed: the last point [x, y] is the first one."""

_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # (x, y) of an edge's direction: right, down, left, up
_MAX_WORK = 2**31  # pixels and crossings looked at; a hostile file would ask for more
_PIECE_PX = 64.0  # lines are drawn in pieces, so that the box around a piece stays small
_PIECE_WORK = 2**14  # a piece takes as long as so many pixels of a polygon
_HALF_DIAGONAL = 0.5**0.5 + 1e-9  # no pixel that a line runs through has its centre further away


def trace(mask: np.ndarray, groups: np.ndarray) -> list[list[list[Ring]]]:
    """Outlines of a mask, as polygons with holes.

    Parameters
    ----------
    mask : ndarray of bool, (Y, X)
    groups : ndarray of int, (Y, X)
        Labels from 1 on; what hangs together by pixel edges must be of one label.

    Returns
    -------
    list of list of list of rings
        For each label that occurs its polygons, one for each part that hangs together by pixel edges; for each polygon
        its outer ring and then its holes. Rings are simple, and touch themselves nowhere.
    """
    if not mask.any():
        return []
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    parts, _ = ndimage.label(mask[box])
    corner = np.array([columns[0], rows[0]])
    polygons: dict[int, list[Ring]] = {}
    group_of: dict[int, int] = {}
    for points, (row, column) in _loops(mask[box]):
        part, ring = int(parts[row, column]), (points + corner).tolist()
        group_of[part] = int(groups[box][row, column])
        rings = polygons.setdefault(part, [])
        if _doubled_area(points) > 0:
            rings.insert(0, ring)
        else:
            rings.append(ring)
    found: dict[int, list[list[Ring]]] = defaultdict(list)
    for part in sorted(polygons):
        found[group_of[part]].append(polygons[part])
    return [found[group] for group in sorted(found)]


def _doubled_area(points: np.ndarray) -> float:
    x, y = points[:, 0], points[:, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())


def _loops(mask: np.ndarray) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Closed simple loops of points (x, y) around a mask, its pixels to one side, each with one of those pixels."""
    starts, directions, pixels, width = _edges(mask)
    ends = starts + _STEPS[directions] @ np.array([1, width])
    following = _next_edges(starts, ends, directions)
    crossings = _doubled(starts)
    loops = []
    done = np.zeros(len(starts), bool)
    for first in range(len(starts)):
        if done[first]:
            continue
        loop, edge = [], first
        while not done[edge]:
            done[edge] = True
            loop.append(edge)
            edge = int(following[edge])
        for part in _parted(loop, starts, crossings):
            turned = directions[part] != directions[np.roll(part, 1)]
            at = starts[np.array(part)[turned]]
            points = np.stack([at % width, at // width], axis=1)
            loops.append((np.concatenate([points, points[:1]]), tuple(pixels[part[0]])))
    return loops


def _edges(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Edges between painted and unpainted pixels: number of the first corner, direction and painted pixel of each."""
    padded, width = np.pad(mask, 1), mask.shape[1] + 1
    beyond = padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2]  # above, right, below, left
    corners = (0, 0), (0, 1), (1, 1), (1, 0)  # (row, column) of the corner where that edge begins
    starts, directions, pixels = [], [], []
    for direction, (neighbour, (down, right)) in enumerate(zip(beyond, corners, strict=True)):
        found = np.argwhere(mask & ~neighbour)
        starts.append((found[:, 0] + down) * width + found[:, 1] + right)
        directions.append(np.full(len(found), direction))
        pixels.append(found)
    return np.concatenate(starts), np.concatenate(directions), np.concatenate(pixels), width


def _next_edges(starts: np.ndarray, ends: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """For each edge the one that goes on from it; where two do, the one around the same pixel."""
    order = np.argsort(starts, kind="stable")
    place = np.searchsorted(starts[order], ends)
    one, other = order[place], order[np.minimum(place + 1, len(order) - 1)]
    wrong = (starts[other] == ends) & (directions[one] != (directions + 1) % 4)
    return np.where(wrong, other, one)


def _doubled(starts: np.ndarray) -> set[int]:
    """Corners where two edges begin, since the mask touches itself there."""
    corners, counts = np.unique(starts, return_counts=True)
    return set(corners[counts > 1].tolist())


def _parted(loop: list[int], starts: np.ndarray, crossings: set[int]) -> list[list[int]]:
    """A loop cut wherever it comes back to a corner."""
    parts: list[list[int]] = []
    kept: list[int] = []
    seen: dict[int, int] = {}
    for edge in loop:
        corner = int(starts[edge])
        if corner in crossings:
            if corner in seen:
                cut = seen[corner]
                parts.append(kept[cut:])
                seen = {known: place for known, place in seen.items() if place < cut}
                kept = kept[:cut]
            seen[corner] = len(kept)
        kept.append(edge)
    return [*parts, kept]


class Canvas:
    """A mask to draw polygons and lines on, within a bound on the work.

    Parameters
    ----------
    shape : tuple of int, ([T,] [Z,] Y, X)
    width_px : float
        Diameter of the brush of `stroke`.

    Attributes
    ----------
    mask : ndarray of bool, (P, Y, X)
        All planes of all times.
    """

    def __init__(self, shape: tuple[int, ...], width_px: float) -> None:
        self.mask = np.zeros((math.prod(shape[:-2]), *shape[-2:]), bool)
        self._radius = max(width_px / 2, _HALF_DIAGONAL)
        self._work = 0

    def fill(self, plane: int, rings: Sequence[np.ndarray]) -> None:
        """Paint the pixels whose centres lie inside an odd number of rings (N, 2) of points x, y.

        Raises
        ------
        InputError
            If there is no such plane, a ring has fewer than three points, or the work would have no end.
        """
        mask = self._plane(plane)
        if any(len(ring) < 3 for ring in rings):
            raise InputError("a polygon has fewer than three points.")
        if not rings:
            return
        (x0, y0), (x1, y1) = (np.concatenate([np.roll(r, k, axis=0) for r in rings]).T for k in (0, -1))
        left, right = _clipped(x0.min(), x0.max(), mask.shape[1])
        # A row is crossed where its middle lies between the ends of an edge; one of the ends counts, the other not.
        first, last = (
            np.clip(np.ceil(f(y0, y1) - 0.5), 0, mask.shape[0]).astype(int) for f in (np.minimum, np.maximum)
        )
        counts = last - first
        top, bottom = first.min(), last.max()
        self._spend(int(counts.sum()) + int(bottom - top) * (right - left))
        if top >= bottom or left >= right:
            return
        edge = np.repeat(np.arange(len(counts)), counts)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        slope = (x1 - x0)[edge] / (y1 - y0)[edge]
        x = x0[edge] + (row + 0.5 - y0[edge]) * slope
        column = np.clip(np.ceil(x - 0.5), left, right).astype(int)
        crossed = np.zeros((bottom - top, right - left + 1), np.uint8)
        np.add.at(crossed, (row - top, column - left), 1)
        inside = np.cumsum(crossed, axis=1, dtype=np.uint8) % 2 == 1
        mask[top:bottom, left:right] |= inside[:, :-1]

    def stroke(self, plane: int, points: np.ndarray) -> None:
        """Paint along a line through points (N, 2) of x, y, or one dab at a single point.

        Raises
        ------
        InputError
            If there is no such plane, or the work would have no end.
        """
        mask = self._plane(plane)
        for start, end in zip(points[: max(1, len(points) - 1)], points[min(1, len(points) - 1) :], strict=True):
            pieces = int(np.hypot(*(end - start)) // _PIECE_PX) + 1
            self._spend(pieces * _PIECE_WORK)
            stops = start + np.linspace(0, 1, pieces + 1)[:, None] * (end - start)
            for one, other in pairwise(stops):
                self._piece(mask, one, other)

    def _piece(self, mask: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
        low, high = np.minimum(start, end) - self._radius, np.maximum(start, end) + self._radius
        left, right = _clipped(low[0], high[0], mask.shape[1])
        top, bottom = _clipped(low[1], high[1], mask.shape[0])
        if left >= right or top >= bottom:
            return
        self._spend((right - left) * (bottom - top))
        y, x = np.mgrid[top:bottom, left:right] + 0.5
        along = end - start
        squared = float(along @ along)
        part = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / squared if squared else np.zeros_like(x)
        part = np.clip(part, 0, 1)
        gap = np.hypot(x - start[0] - part * along[0], y - start[1] - part * along[1])
        mask[top:bottom, left:right] |= gap <= self._radius

    def _plane(self, plane: int) -> np.ndarray:
        if not 0 <= plane < len(self.mask):
            raise InputError(f"its plane is {str(plane)[:20]}, but the image has {len(self.mask)} (counted from 0).")
        found: np.ndarray = self.mask[plane]
        return found

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > _MAX_WORK:
            raise InputError("the shapes are too large or too many. Give the strokes as a label image.")


def _clipped(low: float, high: float, size: int) -> tuple[int, int]:
    """First pixel and the one after the last that a stretch reaches, inside the image."""
    return int(np.clip(np.floor(low), 0, size)), int(np.clip(np.ceil(high), 0, size))

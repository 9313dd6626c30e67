"""The circular rim of an all-sky frame, a fundus or a dish: the circle outside of which nothing is seen.

From the picture's border inwards, rows and columns are followed up to where they differ from what its corners show.
Most of the places found lie on the rim; a time stamp, a hut or a dark stretch of sky puts some elsewhere, so the circle
is the one that most places agree on (RANSAC: Fischler and Bolles, Communications of the ACM 24, 1981), fitted to these
by least squares (Kasa, IEEE Transactions on Instrumentation and Measurement 25, 1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..samples import Array

MAX_SIDE_PX = 512  # of the picture that is looked at; a rim needs no more detail
MAX_PLANES = 9
_BAND_PX = 2**24  # of the picture, read at a time
TRIALS = 600
TOLERANCE = 0.012  # of the radius: how far from the circle a place may lie
LEAST_AGREEMENT = 0.5  # fraction of the circle within the picture along which places agree
NOISE = 5.0  # so many deviations from what the corners show is something else
LEVELS = (
    0.02,
    0.1,
    0.25,
    0.5,
)  # of the light of the middle: the housing of a lens may glow, and a sky be dim at its rim
DIRECTIONS = 180

Circle: TypeAlias = tuple[float, float, float]  # row, column, radius


@dataclass(frozen=True)
class Rim:
    """A circle in pixels of an image's rows and columns; its centre may lie anywhere, also between pixels."""

    row: float
    column: float
    radius_px: float

    def outside(self, shape: tuple[int, ...]) -> np.ndarray:
        """Mask ([T,] [Z,] Y, X) bool of the pixels outside the circle."""
        rows, columns = np.ogrid[: shape[-2], : shape[-1]]
        outside = (rows - self.row) ** 2 + (columns - self.column) ** 2 > self.radius_px**2
        return np.broadcast_to(outside, shape).copy()


def find_rim(image: Array, name: str = "The image") -> Rim:
    """Find the circle outside of which an image is dark or constant.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
        Of a stack or series, a few planes are averaged.
    name : str
        Of the image, for messages.

    Raises
    ------
    InputError
        If there is no such circle.
    """
    picture, step = _picture(image)
    best, highest = None, 0.0
    for level in LEVELS:
        circle = _circle(picture, level)
        if circle is not None and (height := _edge(circle, picture)) > highest:
            best, highest = circle, height
    if best is None:
        raise InputError(f"{name} has no circular rim that could be found. Paint the region to ignore by hand.")
    row, column, radius = best
    return Rim(row * step + (step - 1) / 2, column * step + (step - 1) / 2, radius * step)


def _circle(picture: np.ndarray, level: float) -> Circle | None:
    """The circle around what is seen at a level, if it is one."""
    seen = _seen(picture, level)
    places = _first_places(seen)
    circle = _agreed(places, min(picture.shape)) if len(places) >= 12 else None
    if circle is None or _agreement(circle, places, seen.shape) < LEAST_AGREEMENT:
        return None
    beyond = Rim(circle[0], circle[1], 1.03 * circle[2]).outside(seen.shape)
    return circle if beyond.any() and seen[beyond].mean() <= 0.2 else None


def _edge(circle: Circle, picture: np.ndarray) -> float:
    """How much light changes across a circle, in most of its directions."""
    sides = []
    for radius in (0.97 * circle[2], 1.03 * circle[2]):
        rows, columns = _around((circle[0], circle[1], radius))
        sides.append(ndimage.map_coordinates(picture, [rows, columns], order=1, cval=np.nan))
    steps = np.abs(sides[0] - sides[1])
    return float(np.median(steps[np.isfinite(steps)])) if np.isfinite(steps).any() else 0.0


def _picture(image: Array) -> tuple[np.ndarray, int]:
    """A small grey picture (Y, X) float32 of an image, and how many pixels a side of one of its pixels covers."""
    step = max(1, -(-max(image.shape[-2:]) // MAX_SIDE_PX))
    rows, columns = (side // step * step for side in image.shape[-2:])
    planes = list(np.ndindex(*image.shape[:-2]))
    kept = planes[:: max(1, len(planes) // (MAX_PLANES * image.shape[0]))]
    total = np.zeros((rows // step, columns // step), np.float64)
    with np.errstate(invalid="ignore"):
        for plane in kept:
            total += _shrunk(image, plane, total.shape, step)
    picture = np.nan_to_num(total / len(kept), posinf=0.0, neginf=0.0).astype(np.float32)
    return ndimage.median_filter(picture, 3), step


def _shrunk(image: Array, plane: tuple[int, ...], shape: tuple[int, ...], step: int) -> np.ndarray:
    """Means over squares of `step` pixels of one plane (Y, X), a band of rows at a time."""
    found, band = np.empty(shape), max(1, _BAND_PX // (step * image.shape[-1]))
    for start in range(0, shape[0], band):
        stop = min(start + band, shape[0])
        part = np.asarray(image[(*plane, slice(start * step, stop * step), slice(0, shape[1] * step))])
        found[start:stop] = part.astype(np.float64).reshape(-1, step, shape[1], step).mean(axis=(1, 3))
    return found


def _seen(picture: np.ndarray, fraction: float) -> np.ndarray:
    """Mask (Y, X) of the pixels that differ from what the corners show, by a fraction of what the middle differs."""
    side = max(2, min(picture.shape) // 24)
    ends = slice(None, side), slice(-side, None)
    corners = [picture[rows, columns].ravel() for rows in ends for columns in ends]
    ground = float(np.median([np.median(corner) for corner in corners]))  # one corner may hold a time stamp
    spread = float(np.median([np.median(np.abs(corner - np.median(corner))) for corner in corners])) * 1.4826
    middle = picture[tuple(slice(side // 3, side - side // 3) for side in picture.shape)]
    away = np.abs(picture - ground)
    contrast = float(np.median(np.abs(middle - ground))) if middle.size else 0.0
    seen = away > max(NOISE * spread, fraction * contrast, 1e-9)
    return np.asarray(ndimage.binary_opening(seen, iterations=1))  # lone noisy pixels


def _first_places(seen: np.ndarray) -> np.ndarray:
    """Where rows and columns, followed inwards from each end, first see something: (N, 2)."""
    places = []
    for turned in (False, True):
        mask = seen.T if turned else seen
        found = np.flatnonzero(mask.any(axis=1))
        first, last = mask[found].argmax(axis=1), mask.shape[1] - 1 - mask[found, ::-1].argmax(axis=1)
        for at, end in ((first, 0), (last, mask.shape[1] - 1)):
            inner = at != end  # else the circle is cut off by the picture's border there
            pairs = np.stack([found[inner], at[inner]], axis=1)
            places.append(pairs[:, ::-1] if turned else pairs)
    return np.concatenate(places).astype(float)


def _agreed(places: np.ndarray, side: int) -> Circle | None:
    """The circle that most places lie on: row, column, radius."""
    rng = np.random.default_rng(0)
    best, most = None, 0
    for _ in range(TRIALS):
        circle = _fit(places[rng.choice(len(places), 3, replace=False)])
        if circle is None or not 0.2 * side < circle[2] < 2 * side:
            continue
        n = int(_near(circle, places).sum())
        if n > most:
            best, most = circle, n
    for _ in range(3):
        if best is not None:
            best = _fit(places[_near(best, places)]) or best
    return best


def _fit(places: np.ndarray) -> Circle | None:
    """The circle nearest to places (N, 2), by least squares; None where they lie on a line."""
    matrix = np.column_stack([2 * places, np.ones(len(places))])
    solution, _, rank, _ = np.linalg.lstsq(matrix, (places**2).sum(axis=1), rcond=None)
    square = solution[2] + solution[0] ** 2 + solution[1] ** 2
    if rank < 3 or square <= 0:
        return None
    return float(solution[0]), float(solution[1]), float(np.sqrt(square))


def _near(circle: Circle, places: np.ndarray) -> np.ndarray:
    row, column, radius = circle
    away = np.abs(np.hypot(places[:, 0] - row, places[:, 1] - column) - radius)
    return np.asarray(away < max(1.5, TOLERANCE * radius))


def _agreement(circle: Circle, places: np.ndarray, shape: tuple[int, ...]) -> float:
    """Fraction of the circle's directions within the picture in which places lie on it."""
    row, column, _ = circle
    rows, columns = _around(circle)
    within = (rows > 1) & (rows < shape[0] - 2) & (columns > 1) & (columns < shape[1] - 2)
    near = places[_near(circle, places)]
    turn = np.arctan2(near[:, 0] - row, near[:, 1] - column)
    agreed = np.zeros(DIRECTIONS, bool)
    agreed[((turn + np.pi) / (2 * np.pi) * DIRECTIONS).astype(int) % DIRECTIONS] = True
    return float(agreed[within].mean()) if within.sum() >= 20 else 0.0


def _around(circle: Circle) -> tuple[np.ndarray, np.ndarray]:
    row, column, radius = circle
    angles = np.linspace(-np.pi, np.pi, DIRECTIONS, endpoint=False)
    return row + radius * np.sin(angles), column + radius * np.cos(angles)

"""A synthetic all-sky frame of the aurora, with exact truth and brush strokes as a person would paint them.

The sky is seen through a fish-eye lens (the distance from the zenith on the picture is proportional to the zenith
angle). Curtains of light stand on curves above the ground, 100 to 250 km high; the picture adds up thin layers of
them, so arcs bend, fold, show rays and a red top as in a real frame. What makes it hard is there too: moon with its
halo, moonlit cloud, the Milky Way, stars, airglow towards the horizon, sensor noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import expit
from skimage.morphology import skeletonize

from .core.errors import InputError

_HEIGHTS = np.linspace(1.0, 2.6, 20)  # of the layers of light, in units of 100 km
_EAST = np.linspace(-26, 26, 4097)  # places along a curtain, in units of 100 km
_EDGE_DEG = 84.0  # zenith angle at the rim of the picture's circle
_AURORA_LEVEL = 0.24  # of the light of a bright curtain: what is brighter is aurora
_MIN_SIDE_PX, _MAX_SIDE_PX = 64, 4096


@dataclass(frozen=True, eq=False)
class AuroraFrame:
    """A synthetic frame and all that is known of it.

    Parameters
    ----------
    image : ndarray of uint8, (3, Y, X)
        Red, green and blue, 0..255.
    truth : ndarray of bool, (Y, X)
        Where there is aurora.
    valid : ndarray of bool, (Y, X)
        Inside the rim of the sky; only there can anything be said.
    positive, negative : ndarray of bool, (Y, X)
        Simulated brush strokes on aurora, and on sky without it (moon and cloud among it).
    """

    image: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    positive: np.ndarray
    negative: np.ndarray

    @property
    def class_prior(self) -> float:
        """Fraction of aurora inside the rim."""
        return float(self.truth[self.valid].mean())


def aurora_frame(seed: int = 0, side_px: int = 512) -> AuroraFrame:
    """Make a frame; the same seed and side give the same frame.

    Parameters
    ----------
    seed : int
    side_px : int, 64..4096
        Side of the square picture.

    Raises
    ------
    InputError
        If the side is out of range.
    """
    if not _MIN_SIDE_PX <= side_px <= _MAX_SIDE_PX:
        raise InputError(f"A synthetic frame can be {_MIN_SIDE_PX} to {_MAX_SIDE_PX} pixels wide, not {side_px}.")
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side_px, :side_px]
    radius_px = 0.48 * side_px
    u, v = (x - side_px / 2) / radius_px, (y - side_px / 2) / radius_px  # the rim is the unit circle
    r = np.hypot(u, v)
    azimuth = np.arctan2(v, u)
    horizon = 1 - 0.02 - 0.025 * _ring(rng, azimuth, 90)  # trees and huts
    valid = r < horizon
    green, red = _aurora(rng, u, v, r)
    truth = valid & (green + red > _AURORA_LEVEL)
    light = _sky(rng, u, v, r) + green * np.array([0.36, 1.45, 0.18])[:, None, None]
    light += red * np.array([1.0, 0.25, 0.12])[:, None, None]
    light, moon = _clouds_and_moon(rng, light, u, v, truth)
    light += _stars(rng, side_px)
    soft = ndimage.gaussian_filter(valid.astype(float), side_px / 700)
    exposed = 1 - np.exp(-1.1 * light * soft * (1 - 0.25 * r**2))  # the lens is darker at its edge
    noise = rng.normal(size=exposed.shape) * (0.010 + 0.022 * np.sqrt(exposed)) + 0.008
    image = np.clip(255 * (exposed + noise), 0, 255).astype(np.uint8)
    positive = _strokes(rng, truth, 9, side_px)
    sky = valid & ~ndimage.binary_dilation(truth, iterations=max(2, side_px // 64))
    negative = _strokes(rng, sky & ~moon, 8, side_px) | _strokes(rng, sky & moon, 1, side_px)
    return AuroraFrame(image, truth, valid, positive, negative)


def _ring(rng: np.random.Generator, azimuth: np.ndarray, n: int) -> np.ndarray:
    """Rough closed curve, 0..1, of the azimuth."""
    rough = ndimage.gaussian_filter1d(rng.random(8 * n), 2, mode="wrap")
    rough = (rough - rough.min()) / np.ptp(rough)
    angle = (azimuth + np.pi) / (2 * np.pi) * rough.size
    return np.asarray(np.interp(angle, np.arange(rough.size + 1), np.append(rough, rough[0]))) ** 2


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> np.ndarray:
    """Smooth random field of zero mean and unit deviation, `cells` bumps across."""
    coarse = rng.normal(size=(cells + 4, cells + 4))
    grid = np.meshgrid(*(np.linspace(1, cells + 2, n) for n in shape), indexing="ij")
    field = ndimage.map_coordinates(coarse, grid, order=3)
    return np.asarray((field - field.mean()) / field.std())


def _aurora(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Green and red light of two or three curtains, seen from below; a bright curtain is about 1."""
    sky = r < 1
    zenith = np.radians(r[sky] * _EDGE_DEG)
    reach = np.tan(zenith) / np.maximum(r[sky], 1e-6)
    turn = rng.uniform(0, 2 * np.pi)
    x, y = (np.cos(turn) * u + np.sin(turn) * v)[sky] * reach, (np.cos(turn) * v - np.sin(turn) * u)[sky] * reach
    curtains = [_Curtain.random(rng, at) for at in rng.permutation([-2.4, 0.9, -0.7])[: rng.integers(2, 4)]]
    blur = (_HEIGHTS[1] - _HEIGHTS[0]) * np.tan(zenith) / 2  # layers that are seen at a slant must not show as lines
    green, red = np.zeros_like(u), np.zeros_like(u)
    thickness = 1 / np.sqrt(np.cos(zenith) + 0.05)
    for height in _HEIGHTS:
        # height * (x, y) is where the line of sight meets this layer
        density = thickness * sum(curtain.density(height * x, height * y, blur) for curtain in curtains)
        green[sky] += 0.26 * density * np.exp(-(height - 1.0) / 0.28)
        red[sky] += 0.04 * density * np.exp(-(((height - 1.9) / 0.6) ** 2))
    patchy = np.clip(1 + 0.30 * _smooth_noise(rng, r.shape, 7), 0.35, 2)
    return green * patchy, ndimage.gaussian_filter(red * patchy, r.shape[0] / 80)


@dataclass(frozen=True)
class _Curtain:
    """One sheet of light standing on a wavy line of the ground plane, from west to east."""

    line: np.ndarray  # place of the sheet, at `_EAST`
    rays: np.ndarray  # brightness of the sheet, at `_EAST`
    width: float

    @classmethod
    def random(cls, rng: np.random.Generator, at: float) -> _Curtain:
        """A curtain near y = `at`."""
        waves = rng.uniform((0.1, 0.4, 0), (0.45, 1.5, 6.3), size=(3, 3))
        line = at + sum(a * np.sin(k * _EAST + p) for a, k, p in waves)
        fine, coarse = (ndimage.gaussian_filter1d(rng.normal(size=_EAST.size), px) * px**0.5 for px in (5, 25))
        middle, reach, brightness, width = rng.uniform((-1.5, 2.5, 0.9, 0.08), (1.5, 6.0, 1.5, 0.16))
        ends = np.exp(-(((_EAST - middle) / reach) ** 2))
        return cls(line, brightness * ends * np.clip(1 + 0.38 * fine + 0.30 * coarse, 0.12, 2), width)

    def density(self, x: np.ndarray, y: np.ndarray, blur: np.ndarray) -> np.ndarray:
        """Light at points of the ground plane: a thin sheet, widened by `blur`, in a wide and faint veil."""
        away = (y - np.interp(x, _EAST, self.line)) ** 2
        width = self.width**2 + blur**2
        sheet = np.exp(-away / (2 * width)) * self.width / np.sqrt(width)
        veil = 0.12 * np.exp(-away / (2 * (4 * self.width) ** 2))
        return np.asarray(np.interp(x, _EAST, self.rays) * (sheet + veil))


def _sky(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Airglow, brighter towards the horizon, and the Milky Way; (3, Y, X)."""
    turn, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    away = np.cos(turn) * v - np.sin(turn) * u - shift + 0.05 * _smooth_noise(rng, u.shape, 5)
    milky_way = np.exp(-((away / 0.09) ** 2)) * (1 + 0.5 * _smooth_noise(rng, u.shape, 24))
    airglow = 0.085 + 0.075 * r**4 + 0.008 * _smooth_noise(rng, u.shape, 4)
    tint = np.array([0.95, 1.0, 0.85])[:, None, None]
    return np.asarray(airglow * tint + 0.045 * np.clip(milky_way, 0, None) * np.array([1.0, 0.95, 0.9])[:, None, None])


def _clouds_and_moon(
    rng: np.random.Generator, light: np.ndarray, u: np.ndarray, v: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The light with thin cloud and a moon that stands clear of the aurora, and where the moon and its glare are."""
    clear = ndimage.distance_transform_edt(~truth) * (np.hypot(u, v) < 0.72)
    candidates = np.flatnonzero(clear > 0.7 * clear.max())
    row, column = np.unravel_index(rng.choice(candidates), u.shape)
    away = np.hypot(u - u[row, column], v - v[row, column])
    glare = 1.1 * np.exp(-away / 0.06) + 0.4 * np.exp(-away / 0.25)
    disc = 8 * expit((0.028 - away) / 0.003)
    rough = sum(_smooth_noise(rng, u.shape, cells) / cells**0.7 for cells in (3, 6, 12, 24, 48))
    cloud = np.clip(rough - 0.15, 0, 1.2) * (0.35 + np.exp(-away / 0.6))
    opaque = np.clip(0.30 * cloud, 0, 0.4)
    white = np.array([1.0, 0.97, 0.88])[:, None, None]
    light = light * (1 - opaque) + (1.2 * cloud + glare + disc) * white
    return light, away < 0.10


def _stars(rng: np.random.Generator, side_px: int) -> np.ndarray:
    """Points of many brightnesses (few bright ones) and slightly different colours; (3, Y, X)."""
    n = int(600 * (side_px / 512) ** 2)
    points = np.zeros((3, side_px, side_px))
    rows, columns = rng.integers(0, side_px, (2, n))
    brightness = np.minimum(0.25 * (1 - rng.random(n)) ** -0.85, 14)
    points[:, rows, columns] = brightness * rng.uniform(0.75, 1.15, (3, n))
    return np.asarray(ndimage.gaussian_filter(points, (0, 0.7, 0.7)))


def _strokes(rng: np.random.Generator, region: np.ndarray, n: int, side_px: int) -> np.ndarray:
    """At most `n` brush strokes (Y, X), a few pixels wide: along the region's centre lines and, by turns, across."""
    brush_px, reach_px = max(1, round(side_px / 256)), max(4, side_px // 9)
    painted = np.zeros_like(region)
    inside = np.pad(ndimage.binary_erosion(region, iterations=brush_px), 1)
    lines = np.pad(np.asarray(skeletonize(ndimage.binary_opening(region, iterations=brush_px))), 1)  # type: ignore[no-untyped-call]
    for i in range(n):
        starts = np.argwhere(lines[1:-1, 1:-1] & ~ndimage.binary_dilation(painted, iterations=reach_px // 2))
        if not len(starts):
            break
        start, length_px = starts[rng.integers(len(starts))], int(rng.integers(reach_px // 2, reach_px))
        path = _across(rng, inside, start, length_px) if i % 2 else _along(lines, start, length_px)
        stroke = np.zeros_like(region)
        stroke[tuple(path.T)] = True
        painted |= ndimage.binary_dilation(stroke, iterations=brush_px) & region
    return painted


def _along(lines: np.ndarray, start: np.ndarray, n_px: int) -> np.ndarray:
    """Up to `n_px` pixels (n, 2) of a line, straight on where it forks; `lines` has a margin of one pixel."""
    path, heading, free = [start], np.zeros(2), lines.copy()
    while len(path) < n_px:
        row, column = path[-1]
        free[row + 1, column + 1] = False
        steps = np.argwhere(free[row : row + 3, column : column + 3]) - 1
        if not len(steps):
            break
        step = steps[np.argmax(steps @ heading)]
        path.append(path[-1] + step)
        heading = 0.8 * heading + step
    return np.array(path)


def _across(rng: np.random.Generator, inside: np.ndarray, start: np.ndarray, n_px: int) -> np.ndarray:
    """Up to `n_px` pixels (n, 2) of a slightly bent line through `start`; `inside` has a margin of one pixel."""
    angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-0.02, 0.02)
    path = [start]
    for way in (1, -1):
        for step in range(1, n_px // 2 + 1):
            turned = angle + bend * step
            point = start + np.rint(way * step * np.array([np.sin(turned), np.cos(turned)])).astype(int)
            if not inside[tuple(np.clip(point, -1, len(inside) - 2) + 1)]:
                break
            path.append(point)
    return np.array(path)

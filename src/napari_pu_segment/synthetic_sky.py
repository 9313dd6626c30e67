"""A synthetic field of stars and galaxies, with the exact class of every source.

Counts, sizes, seeing and depth are about those of the KiDS survey in red light (Kuijken et al. 2019, A&A 625:A2), but
for the stars, of which there are more than far from the Milky Way. Bright stars are plain; the faintest sources, of a
signal to noise of about ten, are smaller than the seeing and hardly told apart by anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from .core.errors import InputError

PIXEL_ARCSEC = 0.2
SEEING_ARCSEC = 0.7  # full width at half maximum
BRIGHTEST, FAINTEST = 18.0, 23.5  # magnitudes
DEPTH = 24.5  # magnitude of a star of five times the noise within 2 arcsec
_FINE = 3  # galaxies are drawn on a grid so much finer: their middles are sharp
_MOFFAT_BETA = 3.0
_HALF_PX = 30  # half the side of what is drawn of a source
_SKY = 100.0  # of the image: a source as bright doubles the variance of the noise
_MIN_SIDE_PX, _MAX_SIDE_PX = 128, 4096


@dataclass(frozen=True, eq=False)
class StarField:
    """A field and all that is known of it.

    Parameters
    ----------
    image : ndarray of float32, (1, Y, X)
        In units of the noise of a pixel of empty sky, which is 0 on average.
    y, x : ndarray, (n,)
        Middles of the sources, in pixels.
    magnitude : ndarray, (n,)
    is_star : ndarray of bool, (n,)
    """

    image: np.ndarray
    y: np.ndarray
    x: np.ndarray
    magnitude: np.ndarray
    is_star: np.ndarray


def star_field(seed: int = 0, side_px: int = 768) -> StarField:
    """Make a field; the same seed and side give the same field.

    Magnitudes are drawn from `BRIGHTEST` to `FAINTEST` with counts that grow by 10^0.15 (stars) and 10^0.35 (galaxies)
    per magnitude. A star is a Moffat profile of beta 3. A galaxy is a Sersic profile, of n = 1 (two of three) or
    n = 2.5, of any axis ratio from 0.3 on, whose half-light radius is 10^(-0.05 - 0.1 (m - 20)) arcsec with a scatter
    of 0.15 in the logarithm (Shen et al. 2003, MNRAS 343:978, has such sizes), seen through the same seeing.

    Parameters
    ----------
    seed : int
    side_px : int, 128..4096

    Raises
    ------
    InputError
        If the side is out of range.
    """
    if not _MIN_SIDE_PX <= side_px <= _MAX_SIDE_PX:
        raise InputError(f"A synthetic field can be {_MIN_SIDE_PX} to {_MAX_SIDE_PX} pixels wide, not {side_px}.")
    rng = np.random.default_rng(seed)
    area = (side_px * PIXEL_ARCSEC / 60) ** 2  # square minutes of arc
    n_stars, n_galaxies = rng.poisson(14 * area), rng.poisson(22 * area)
    n = n_stars + n_galaxies
    is_star = np.arange(n) < n_stars
    y, x = rng.uniform(8, side_px - 8, (2, n))
    magnitude = np.where(is_star, _magnitudes(rng, n, 0.15), _magnitudes(rng, n, 0.35))
    noise_in_aperture = np.sqrt(np.pi) / PIXEL_ARCSEC  # of a circle of 2 arcsec across, in noises of a pixel
    flux = 5 * noise_in_aperture * 10 ** (-0.4 * (magnitude - DEPTH))
    image = np.zeros((side_px + 2 * _HALF_PX,) * 2)
    for i in range(n):
        corner = np.array([round(y[i]), round(x[i])])
        offset = np.array([y[i], x[i]]) - corner
        light = _star(offset) if is_star[i] else _galaxy(rng, offset, magnitude[i])
        image[tuple(slice(at, at + 2 * _HALF_PX + 1) for at in corner)] += flux[i] * light
    image = image[_HALF_PX:-_HALF_PX, _HALF_PX:-_HALF_PX]
    image += rng.normal(size=image.shape) * np.sqrt(1 + image / _SKY)
    return StarField(image[None].astype(np.float32), y, x, magnitude, is_star)


def _magnitudes(rng: np.random.Generator, n: int, slope: float) -> np.ndarray:
    """Magnitudes (n,) whose counts grow by 10^slope for each."""
    low, high = 10 ** (slope * BRIGHTEST), 10 ** (slope * FAINTEST)
    return np.asarray(np.log10(rng.uniform(low, high, n)) / slope)


def _grid(offset: np.ndarray, fine: int = 1) -> np.ndarray:
    """Places (2, n, n) of a stamp, in arcsec from the middle of a source that is `offset` pixels from its own."""
    n = (2 * _HALF_PX + 1) * fine
    steps = (np.arange(n) - (n - 1) / 2) / fine
    return np.stack(np.meshgrid(steps - offset[0], steps - offset[1], indexing="ij")) * PIXEL_ARCSEC


def _star(offset: np.ndarray, fine: int = 1) -> np.ndarray:
    """Light of a star on a stamp, of sum 1."""
    scale = SEEING_ARCSEC / (2 * np.sqrt(2 ** (1 / _MOFFAT_BETA) - 1))
    light = (1 + np.hypot(*_grid(offset, fine)) ** 2 / scale**2) ** -_MOFFAT_BETA
    return np.asarray(light / light.sum())


def _galaxy(rng: np.random.Generator, offset: np.ndarray, magnitude: float) -> np.ndarray:
    """Light of a galaxy on a stamp, of sum 1, seen through the atmosphere."""
    radius = 10 ** (-0.05 - 0.1 * (magnitude - 20) + rng.normal(0, 0.15))
    index, axis_ratio, angle = (1.0 if rng.random() < 2 / 3 else 2.5), rng.uniform(0.3, 1), rng.uniform(0, np.pi)
    y, x = _grid(offset, _FINE)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    steepness = 2 * index - 1 / 3 + 0.009876 / index  # so that half of the light is within the radius
    away = np.sqrt(axis_ratio * along**2 + across**2 / axis_ratio) / radius
    light = fftconvolve(np.exp(-steepness * away ** (1 / index)), _star(np.zeros(2), _FINE), mode="same")
    n = 2 * _HALF_PX + 1
    binned = light.reshape(n, _FINE, n, _FINE).sum((1, 3))
    return np.asarray(binned / binned.sum())

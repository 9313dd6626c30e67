"""Synthetic stained smears of three kinds of cells, whose kinds and diagnoses are known exactly.

They are no substitute for real smears: the kinds differ in just what is written here, with a spread that makes them
overlap. A cell is an ellipse of pale stain with a nucleus of haematoxylin in it; kinds differ in the nucleus' size,
stain and chromatin, and in how much cell there is around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.color import rgb_from_hed

# Radius of the nucleus and of the cell (px), stain of the nucleus (decades), coarseness of the chromatin (px), and its
# share of the stain; about as superficial, intermediate and dysplastic cells differ from each other.
KINDS = ((5.0, 30.0, 0.75, 1.0, 0.10), (8.0, 27.0, 0.50, 1.2, 0.15), (10.0, 19.0, 0.58, 2.2, 0.35))
_SPREAD = 0.15  # of sizes and stain, as a standard deviation of the logarithm
_SHARES = {"well": (0.45, 0.45, 0.10), "ill": (0.325, 0.325, 0.35)}
_CONCENTRATION = 12.0  # of the Dirichlet distribution that an image's own shares are drawn from
_N_CELLS, _SIDE, _TRIES = 30, 480, 400
_LOOK = 0.08  # by how much the stains of images differ, as a standard deviation of the logarithm


@dataclass(frozen=True, eq=False)
class Smear:
    """A smear and all that is known of it.

    Parameters
    ----------
    image : ndarray of uint8, (3, Y, X)
    nuclei : ndarray of int32, (Y, X)
        The nuclei, 1..n.
    kinds : ndarray of uint8, (Y, X)
        1..3 where a nucleus of that kind lies.
    diagnosis : str
    """

    image: np.ndarray
    nuclei: np.ndarray
    kinds: np.ndarray
    diagnosis: str


def smear(seed: int, diagnosis: str) -> Smear:
    """Make a smear; the same seed and diagnosis, "well" or "ill", give the same."""
    rng = np.random.default_rng([seed, list(_SHARES).index(diagnosis)])
    shares = rng.dirichlet(_CONCENTRATION * np.array(_SHARES[diagnosis]))
    stains, nuclei = np.zeros((2, _SIDE, _SIDE)), np.zeros((_SIDE, _SIDE), np.int32)
    kinds, taken = np.zeros((_SIDE, _SIDE), np.uint8), np.zeros((_SIDE, _SIDE), bool)
    n = 0
    for _ in range(_TRIES):
        kind = int(rng.choice(3, p=shares))
        radius, reach, stain, coarse, rough = np.array(KINDS[kind]) * np.exp(rng.normal(0, [_SPREAD] * 3 + [0.1, 0.1]))
        middle = rng.uniform(reach, _SIDE - reach, 2)
        here = tuple(slice(max(0, int(at - 1.3 * reach)), min(_SIDE, int(at + 1.3 * reach) + 2)) for at in middle)
        grid = np.mgrid[here] - middle[:, None, None]
        cell, nucleus = _ellipse(rng, grid, reach), _ellipse(rng, grid, radius)
        if n == _N_CELLS:
            break
        if (nucleus & taken[here]).any():
            continue
        n += 1
        taken[here] |= cell
        chromatin = gaussian_filter(rng.normal(size=nucleus.shape), coarse)
        texture = np.clip(1 + rough * chromatin / chromatin.std(), 0.2, 2)
        stains[1][here] += cell * 0.12 * np.exp(rng.normal(0, 0.2))
        stains[0][here] = np.where(nucleus, stain * texture, stains[0][here])
        nuclei[here][nucleus], kinds[here][nucleus] = n, kind + 1
    amounts = gaussian_filter(stains, (0, 0.8, 0.8)) * np.exp(rng.normal(0, _LOOK, (2, 1, 1)))
    light = 10 ** -np.einsum("syx,sc->cyx", amounts, rgb_from_hed[:2])
    noisy = 255 * (0.95 * light + rng.normal(0, 0.015, light.shape))
    return Smear(noisy.clip(0, 255).round().astype(np.uint8), nuclei, kinds, diagnosis)


def _ellipse(rng: np.random.Generator, grid: np.ndarray, radius: float) -> np.ndarray:
    """An ellipse of any direction about as large as a circle of that radius."""
    ratio, angle = rng.uniform(0.75, 1.0), rng.uniform(0, np.pi)
    y, x = grid
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return np.asarray(ratio * along**2 + across**2 / ratio < radius**2)

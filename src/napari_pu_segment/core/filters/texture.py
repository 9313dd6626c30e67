"""Filters for texture, lines and edges: those of Trainable Weka Segmentation, made of shifted sums.

Where a window would hold many pixels at a large scale, a few places in it are looked at, of an image smoothed to their
distance. Directions lie in the plane of rows and columns, of volumes too. There is no exponential and no logarithm:
their last bits depend on where in a tile a pixel stands. References: Arganda-Carreras et al. 2017,
Bioinformatics 33:2424, and those of each function.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch

from .scale_space import Scale, extreme, gaussian, gaussian_weights, repeat_edges

_WIDER = 1.6  # the outer Gaussian, in the inner one's sigmas (Marr & Hildreth 1980)
_RANGE = 0.1  # of intensities that are alike; the image is normalised to about 0..1
_BINS = 8
_ANGLES, _PLACES = 12, 9  # of lines, and places on each
_EXCHANGES = (  # after which the middle one of nine is where it belongs
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)
_WAVE = 3.0  # wavelength of the Gabor filter, in sigmas


def laplacian(scale: Scale) -> torch.Tensor:
    """Sum of the second derivatives."""
    total = scale.hessian[0][0]
    for i in range(1, len(scale.hessian)):
        total = total + scale.hessian[i][i]
    return total


def dog(scale: Scale) -> torch.Tensor:
    """Difference of Gaussians of sigma and 1.6 sigma (Marr & Hildreth 1980, Proc. R. Soc. Lond. B 207:187)."""
    return scale.smoothed - gaussian(scale.image, _WIDER * scale.sigma_px, scale.plane_px)


def extremes(scale: Scale) -> list[torch.Tensor]:
    """Largest and smallest value of a box as large as that of the opening."""
    return [extreme(scale.image, scale.radii, one) for one in (torch.maximum, torch.minimum)]


def median(scale: Scale) -> torch.Tensor:
    """Median of 3 x 3 places, sigma apart, of the image smoothed by sigma / 2.

    By the network of 19 exchanges of Paeth 1990, Graphics Gems: 4 times as fast as sorting (measured).
    """
    step = _step(scale.sigma_px)
    at = _shifts(_smoother(scale, 0.5), step)
    places = [at(y, x) for y in (-step, 0, step) for x in (-step, 0, step)]
    for low, high in _EXCHANGES:
        places[low], places[high] = torch.minimum(places[low], places[high]), torch.maximum(places[low], places[high])
    return places[4]


def neighbours(scale: Scale) -> list[torch.Tensor]:
    """Highest and lowest of eight places on a circle of two sigmas, of the smoothed image."""
    radius = 2 * scale.sigma_px
    near, far = _step(radius / math.sqrt(2)), _step(radius)
    at = _shifts(scale.smoothed, far)
    ring = [(y * far, x * far) for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    ring += [(y * near, x * near) for y, x in itertools.product((-1, 1), repeat=2)]
    highest = lowest = at(*ring[0])
    for y, x in ring[1:]:
        highest, lowest = torch.maximum(highest, at(y, x)), torch.minimum(lowest, at(y, x))
    return [highest, lowest]


def kuwahara(scale: Scale) -> torch.Tensor:
    """Mean of the most even of the windows at the corners around a pixel (Kuwahara et al. 1976).

    Windows are Gaussians of sigma / 2, sigma away along rows and columns (after Papari et al. 2007, IEEE TIP 16:2449).
    """
    step = _step(scale.sigma_px)
    mean, square = _smoother(scale, 0.5), gaussian(scale.image * scale.image, scale.sigma_px / 2, scale.plane_px)
    means, spreads = _shifts(mean, step), _shifts((square - mean * mean).clamp_min(0), step)
    corners = list(itertools.product((-step, step), repeat=2))
    best, least = means(*corners[0]), spreads(*corners[0])
    for corner in corners[1:]:
        mean, spread = means(*corner), spreads(*corner)
        best, least = torch.where(spread < least, mean, best), torch.minimum(spread, least)
    return best


def bilateral(scale: Scale) -> torch.Tensor:
    """Mean of 5 x 5 places, sigma / 2 apart, weighed by distance and likeness (after Tomasi & Manduchi 1998, ICCV).

    Likeness is 1 / (1 + (d / 0.1)^2)^2, d the difference of intensities.
    """
    step = _step(scale.sigma_px / 2)
    image = _smoother(scale, 0.25)
    at = _shifts(image, 2 * step)
    total, weights = torch.zeros_like(image), torch.zeros_like(image)
    for y, x in itertools.product((-2 * step, -step, 0, step, 2 * step), repeat=2):
        there = at(y, x)
        near = math.exp(-(y * y + x * x) / (2 * scale.sigma_px**2))
        unlike = (there - image) * (1 / _RANGE)
        unlike = unlike * unlike + 1
        weight = near / (unlike * unlike)
        total, weights = total + weight * there, weights + weight
    return total / weights


def membrane(scale: Scale) -> list[torch.Tensor]:
    """Largest, smallest and spread of the means along lines of four sigmas, in twelve directions."""
    length = 2 * scale.sigma_px
    at, means = _shifts(_smoother(scale, 1 / 3), math.ceil(length)), []
    for k in range(_ANGLES):
        total = None
        for i in range(_PLACES):
            along = length * (2 * i / (_PLACES - 1) - 1)
            place = [round(round(along * f(math.pi * k / _ANGLES), 6)) for f in (math.sin, math.cos)]
            total = at(*place) if total is None else total + at(*place)
        assert total is not None
        means.append(total / _PLACES)
    highest = lowest = total = means[0]
    for one in means[1:]:
        highest, lowest, total = torch.maximum(highest, one), torch.minimum(lowest, one), total + one
    mean, spread = total / _ANGLES, torch.zeros_like(total)
    for one in means:
        spread = spread + (one - mean) * (one - mean)
    return [highest, lowest, torch.sqrt(spread / _ANGLES)]


def entropy(scale: Scale) -> torch.Tensor:
    """Quadratic entropy 1 - sum p^2 of eight bins of intensity from 0 to 1, in a Gaussian window (Tsallis 1988)."""
    bins = (scale.image.clamp(0, 1) * _BINS).floor().clamp_max(_BINS - 1)
    total = torch.ones_like(scale.image)
    for number in range(_BINS):
        share = gaussian((bins == number).to(scale.image.dtype), scale.sigma_px, scale.plane_px)
        total = total - share * share
    return total.clamp_min(0)


def gabor(scale: Scale) -> list[torch.Tensor]:
    """Largest and mean energy of Gabor filters in four directions (Daugman 1985, JOSA A 2:1160).

    The envelope is the Gaussian of the scale, the wavelength three sigmas; even brightness gives nothing.
    """
    image, energies = scale.image - scale.smoothed, []
    for k in range(4):
        waves = [2 * math.pi / (_WAVE * scale.sigma_px) * f(math.pi * k / 4) for f in (math.sin, math.cos)]
        even, odd = _waved(image, image.ndim - 2, scale.sigma_px, waves[0])
        (cc, cs), (sc, ss) = (_waved(part, image.ndim - 1, scale.sigma_px, waves[1]) for part in (even, odd))
        real, imaginary = cc - ss, cs + sc
        energies.append(torch.sqrt(real * real + imaginary * imaginary))
    total = energies[0]
    for energy in energies[1:]:
        total = total + energy
    return [torch.stack(energies).amax(0), total / len(energies)]


def _waved(image: torch.Tensor, axis: int, sigma_px: float, wave: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The image weighed along an axis by a Gaussian times a cosine, and times a sine, of a wave in 1/px."""
    weights = gaussian_weights(sigma_px)
    radius, n = len(weights) - 1, image.shape[axis]
    padded = repeat_edges(image, axis, radius)
    even, odd = padded.narrow(axis, radius, n) * weights[0], torch.zeros_like(image)
    for i, weight in enumerate(weights[1:], start=1):
        before, after = padded.narrow(axis, radius - i, n), padded.narrow(axis, radius + i, n)
        even = even + (before + after) * (weight * math.cos(wave * i))
        odd = odd + (after - before) * (weight * math.sin(wave * i))
    return even, odd


def _step(distance_px: float) -> int:
    return max(1, round(distance_px))


def _smoother(scale: Scale, factor: float) -> torch.Tensor:
    """The image smoothed by a part of the scale's sigma."""
    return gaussian(scale.image, factor * scale.sigma_px, scale.plane_px)


def _shifts(image: torch.Tensor, width: int) -> Callable[[int, int], torch.Tensor]:
    """Looks so many rows and columns away, at most `width`; edges repeat the outermost pixel."""
    rows, columns = image.ndim - 2, image.ndim - 1
    n: Sequence[int] = image.shape
    padded = repeat_edges(repeat_edges(image, rows, width), columns, width)
    return lambda y, x: padded.narrow(rows, width + y, n[rows]).narrow(columns, width + x, n[columns])

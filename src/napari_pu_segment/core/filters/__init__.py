"""FILTERS: the multi-scale filter bank, in torch, for planes and volumes, on any device; see `scale_space`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..errors import InputError, pick
from . import texture
from .scale_space import TRUNCATE, Scale, eigenvalues, extreme, gaussian

__all__ = ["FILTERS", "TRUNCATE", "Filter", "Scale", "compute", "count", "eigenvalues", "gaussian", "halo_px"]


@dataclass(frozen=True)
class Filter:
    """One row of the filter bank.

    Parameters
    ----------
    title : str
    n_maps : callable
        Number of maps for each channel and sigma, from the number of spatial axes.
    compute : callable
        The maps, each (N, C, [Z,] Y, X), from a `Scale`.
    reach : float
        How far it looks, in sigmas, and `extra_px` more.
    """

    title: str
    n_maps: Callable[[int], int]
    compute: Callable[[Scale], list[torch.Tensor]]
    reach: float = TRUNCATE
    extra_px: int = 0


def _magnitude(parts: list[torch.Tensor]) -> torch.Tensor:
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total = total + part * part
    return torch.sqrt(total)


def _spread(scale: Scale) -> torch.Tensor:
    mean = scale.smoothed
    return torch.sqrt((gaussian(scale.image * scale.image, scale.sigma_px, scale.plane_px) - mean * mean).clamp_min(0))


def _opened_and_closed(scale: Scale) -> list[torch.Tensor]:
    """What is left of bright parts, and of dark ones, where a square of the scale's size fits in (Serra 1982)."""
    highest, lowest = torch.maximum, torch.minimum
    return [
        extreme(extreme(scale.image, scale.radii, first), scale.radii, second)
        for first, second in ((lowest, highest), (highest, lowest))
    ]


FILTERS: dict[str, Filter] = {
    "gaussian": Filter("Gaussian smoothing", lambda ndim: 1, lambda s: [s.smoothed]),
    "gradient": Filter("Gradient magnitude", lambda ndim: 1, lambda s: [_magnitude(s.gradient)], extra_px=1),
    "hessian": Filter("Hessian eigenvalues", lambda ndim: ndim, lambda s: eigenvalues(s.hessian), extra_px=2),
    "structure": Filter(
        "Structure tensor eigenvalues",
        lambda ndim: ndim,
        lambda s: [torch.sqrt(value.clamp_min(0)) for value in eigenvalues(s.structure)],
        reach=2 * TRUNCATE,
        extra_px=1,
    ),
    "opening": Filter("Opening and closing", lambda ndim: 2, _opened_and_closed, extra_px=2),
    "spread": Filter("Local standard deviation", lambda ndim: 1, lambda s: [_spread(s)]),
    "laplacian": Filter("Laplacian", lambda ndim: 1, lambda s: [texture.laplacian(s)], extra_px=2),
    "dog": Filter("Difference of Gaussians", lambda ndim: 1, lambda s: [texture.dog(s)], reach=2 * TRUNCATE),
    "extremes": Filter("Maximum and minimum", lambda ndim: 2, texture.extremes),
    "median": Filter("Median of nine places", lambda ndim: 1, lambda s: [texture.median(s)], extra_px=1),
    "neighbours": Filter("Highest and lowest neighbour", lambda ndim: 2, texture.neighbours, reach=2 * TRUNCATE),
    "kuwahara": Filter("Kuwahara", lambda ndim: 1, lambda s: [texture.kuwahara(s)], extra_px=1),
    "bilateral": Filter("Bilateral", lambda ndim: 1, lambda s: [texture.bilateral(s)], extra_px=1),
    "membrane": Filter("Membrane projections", lambda ndim: 3, texture.membrane, extra_px=2),
    "entropy": Filter("Entropy", lambda ndim: 1, lambda s: [texture.entropy(s)]),
    "gabor": Filter("Gabor energy", lambda ndim: 2, texture.gabor, reach=2 * TRUNCATE),
}


def compute(
    image: torch.Tensor,
    filters: Sequence[str],
    sigmas_px: Sequence[float],
    plane_px: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Feature maps of an image.

    Parameters
    ----------
    image : Tensor, (N, C, [Z,] Y, X)
    filters : sequence of str
        Rows of `FILTERS`.
    sigmas_px : sequence of float
    plane_px : float
        How many pixels wide the distance between two planes is.
    dtype : torch.dtype
        Of what is returned; every map is rounded to it as soon as it is there, while it is in the processor's cache.

    Returns
    -------
    Tensor, (N, F, [Z,] Y, X)
        The image itself, then every filter at every sigma, channels together; see `count`.
    """
    rows, n_channels = [pick(FILTERS, name, "filter") for name in filters], image.shape[1]
    n_maps = count(n_channels, image.ndim - 2, filters, sigmas_px)
    maps = image.new_empty((len(image), n_maps, *image.shape[2:]), dtype=dtype)
    maps[:, :n_channels], at = image, n_channels
    for sigma in sigmas_px:
        scale = Scale(image, sigma, plane_px)
        for row in rows:
            for found in row.compute(scale):
                maps[:, at : at + n_channels] = found
                at += n_channels
    return maps


def count(n_channels: int, ndim: int, filters: Sequence[str], sigmas_px: Sequence[float]) -> int:
    """Number F of feature maps that `compute` returns."""
    per_sigma = sum(pick(FILTERS, name, "filter").n_maps(ndim) for name in filters)
    return n_channels * (1 + per_sigma * len(sigmas_px))


def halo_px(filters: Sequence[str], sigmas_px: Sequence[float]) -> int:
    """How far the filter bank looks, in the unit of the sigmas: pixels, or planes where they are in planes."""
    if not filters or not sigmas_px:
        raise InputError("The filter bank needs at least one filter and one sigma.")
    rows = [pick(FILTERS, name, "filter") for name in filters]
    # each smoothing is cut at ceil(TRUNCATE * sigma); two in a row look twice as far
    return max(
        round(row.reach / TRUNCATE) * max(1, math.ceil(TRUNCATE * s)) + row.extra_px for row in rows for s in sigmas_px
    )

"""BACKENDS: two implementations of dense-CRF inference. The only user of pydensecrf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import InputError
from . import grid as crf_grid
from .prepare import Problem

if TYPE_CHECKING:
    from .settings import CrfSettings

Backend: TypeAlias = Callable[[Problem, "CrfSettings"], Iterator[np.ndarray]]
"""Yields the probability of each class (K, [Z,] Y, X), float32, after each step."""


def _grid(problem: Problem, settings: CrfSettings) -> Iterator[np.ndarray]:
    kernels = []
    if settings.gaussian_weight:
        kernels.append((settings.gaussian_weight, crf_grid.gaussian(settings.gaussian_width_px)))
    if settings.bilateral_weight:
        widths = problem.bilateral_width_px, settings.bilateral_intensity_width
        kernels.append((settings.bilateral_weight, crf_grid.bilateral(problem.guide, *widths, problem.origin)))
    return crf_grid.mean_field(problem.logit, kernels, settings.steps)


def _pydensecrf(problem: Problem, settings: CrfSettings) -> Iterator[np.ndarray]:
    from pydensecrf.densecrf import DenseCRF

    n_classes, *shape = problem.logit.shape
    scores = np.concatenate([np.zeros((1, *shape), np.float32), problem.logit]).reshape(n_classes + 1, -1)
    crf = DenseCRF(scores.shape[1], n_classes + 1)
    energies = [np.logaddexp.reduce(scores - score) for score in scores]  # -log of the probability of each label
    crf.setUnaryEnergy(np.ascontiguousarray(energies, dtype=np.float32))
    if settings.gaussian_weight:
        near = _positions(shape, problem.origin, settings.gaussian_width_px)
        crf.addPairwiseEnergy(near, compat=settings.gaussian_weight)
    if settings.bilateral_weight:
        looks = problem.guide.reshape(len(problem.guide), scores.shape[1]) / np.float32(
            settings.bilateral_intensity_width
        )
        features = np.concatenate([_positions(shape, problem.origin, problem.bilateral_width_px), looks])
        crf.addPairwiseEnergy(np.ascontiguousarray(features), compat=settings.bilateral_weight)
    q, buffer, other_buffer = crf.startInference()
    for _ in range(settings.steps):
        crf.stepInference(q, buffer, other_buffer)
        yield np.array(q, dtype=np.float32)[1:].reshape(n_classes, *shape)


def _positions(shape: Sequence[int], origin: Sequence[int], width_px: float) -> np.ndarray:
    """Positions of all pixels in kernel widths, (axes, pixels) float32.

    The permutohedral lattice (Adams, Baek & Davis 2010, Computer Graphics Forum 29:753), scaled to a standard deviation
    of one, repeats along its axis k every sqrt(3 / 2 (k + 1) (k + 2)) widths. The origin is taken modulo that: a window
    then lies on the lattice of its plane, and float32 keeps its precision far from 0.
    """
    axes = []
    for k, (n, start) in enumerate(zip(shape, origin, strict=True)):
        period = np.sqrt(1.5 * (k + 1) * (k + 2))
        axes.append((np.arange(n) + start % (period * width_px)) / width_px)
    positions = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij")
    return np.stack([position.ravel() for position in positions])


BACKENDS: dict[str, Backend] = {"pydensecrf": _pydensecrf, "grid": _grid}


def available_backend() -> str:
    """The backend that "auto" takes: "pydensecrf" where it is installed, else "grid"."""
    try:
        return "pydensecrf" if find_spec("pydensecrf.densecrf") else "grid"
    except ModuleNotFoundError:
        return "grid"


def installed(name: str) -> str:
    """The backend that a setting means.

    Raises
    ------
    InputError
        If it is not installed.
    """
    if name == "auto":
        return available_backend()
    if name == "pydensecrf" and available_backend() != name:
        raise InputError(
            "The CRF backend pydensecrf is not installed. Choose the backend auto or grid, or install it: "
            'pip install "napari-pu-segment[crf]" (this needs a C++ compiler).'
        )
    return name

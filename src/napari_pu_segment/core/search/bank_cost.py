"""What filters cost: seconds of computing for each megapixel, measured in the middle of an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..filters import FILTERS, Scale, compute
from ..images.intensity import normalise
from ..networks import NetworkSpec, stacked
from ..samples import Sample
from ..training.building import Basis
from .candidates import Candidate, bank_of

_SIDE_PX, _PLANES = 384, 8
_ROWS_SHAPE = (64, 128)
_ROUNDS = 2  # the quicker one counts: the first touches new memory


def filters_cost(sample: Sample, basis: Basis) -> Callable[[Sequence[Candidate]], float]:
    """Tells what the filters of some candidates cost together, each filter and scale measured when first asked for."""
    middle = _middle(sample, basis, (_PLANES, _SIDE_PX, _SIDE_PX))
    known: dict[tuple[str, float], float] = {}

    def cost(members: Sequence[Candidate]) -> float:
        spec = bank_of(members, basis.spec)
        for sigma in spec.sigmas_px:
            if any((name, sigma) not in known for name in spec.filters):
                known.update(_measured(middle, sigma, spec))
        return sum(known[name, sigma] for sigma in spec.sigmas_px for name in ("", *spec.filters))

    return cost


def rows_side_by_side(sample: Sample, basis: Basis) -> np.ndarray:
    """Features (n, F) of pixels that are neighbours, as those of an image are: trees are quicker then (measured)."""
    spec = basis.spec
    piece = _middle(sample, basis, (1, *_ROWS_SHAPE))
    maps = compute(piece, spec.filters, spec.sigmas_px, spec.plane_px, torch.float16)
    return maps.movedim(1, -1).flatten(0, -2).numpy()


def _middle(sample: Sample, basis: Basis, sides: Sequence[int]) -> torch.Tensor:
    """The middle of an image, normalised, at most so many planes, rows and columns."""
    ndim = basis.spec.ndim
    n_own = len(sample.spatial_shape) - ndim
    wanted = [1] * n_own + list(sides[3 - ndim :])
    starts = [max(0, (n - side) // 2) for n, side in zip(sample.spatial_shape, wanted, strict=True)]
    box = (slice(start, start + side) for start, side in zip(starts, wanted, strict=True))
    piece = np.asarray(sample.image[(slice(None), *box)])
    return stacked(torch.from_numpy(normalise(piece, basis.stats[0])), n_own)


def _measured(piece: torch.Tensor, sigma: float, spec: NetworkSpec) -> dict[tuple[str, float], float]:
    """Of each filter at a scale; under "" the smoothing that they share, and its rounding."""
    rounds = []
    for _ in range(_ROUNDS):
        found, scale = {}, Scale(piece, sigma, spec.plane_px)
        with torch.inference_mode():
            began = time.thread_time()
            assert scale.smoothed is not None
            found["", sigma] = time.thread_time() - began
            for name in spec.filters:
                began = time.thread_time()
                for part in FILTERS[name].compute(scale):
                    part.half()  # as it is kept
                found[name, sigma] = time.thread_time() - began
        rounds.append(found)
    mpx = piece[0, 0].numel() * piece.shape[0] / 1e6
    return {key: min(one[key] for one in rounds) / mpx for key in rounds[0]}

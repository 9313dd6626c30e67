"""Places: spots all over an image that a user could be asked about, and what speaks for each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .. import filters
from ..images.intensity import measure, normalise
from ..model import Model
from ..networks import stacked
from ..progress import run
from ..samples import UNLABELED, Sample
from ..training.patches import Stroke, find_strokes
from ..training.trust import label_trust
from .uncertainty import shifted_scores, uncertainty

_PLACES = 4096  # about so many cells are looked at, with one place in each
_PLANES = 16  # of a stack or series, at most so many layers of cells along planes and time together
_FEATURE_PX = 2**18  # features are made of a sub-sampled image of about so many pixels
_STROKE_PX = 40  # pixels that stand for one stroke
_CLIP = 3.0  # standard deviations; one odd feature must not decide alone
_FILTERS, _SIGMAS_PX = ("gaussian", "gradient"), (1.0, 2.0, 4.0)  # for networks without a filter bank


@dataclass(frozen=True, eq=False)
class Places:
    """N places, and what is known of a dab of the brush at each of them.

    Parameters
    ----------
    centres : ndarray of int, (N, D)
        [T,] [Z,] Y, X.
    radii_px : ndarray, (N,)
        Of the dabs; see `dab_radii_px`.
    scores : ndarray, (N,)
        Mean ``logit(p) - logit(t)`` within the dab: positive where the place is predicted to be an object.
    uncertainty : ndarray, (N,), in [0, 1]
        Mean entropy in bits within the dab; see `uncertainty.uncertainty`.
    change : ndarray, (N,), in [0, 1]
        Mean difference from the previous probability within the dab; 0 where there is none.
    distrust : ndarray, (N,), in [0, 1]
        Mean probability within the dab that the labels of a rough mask are wrong; 0 where there are none.
    to_positive, to_negative : ndarray, (N,)
        Distance in feature space to the nearest painted pixel of a kind; infinite where nothing is painted.
    """

    centres: np.ndarray
    radii_px: np.ndarray
    scores: np.ndarray
    uncertainty: np.ndarray
    change: np.ndarray
    distrust: np.ndarray
    to_positive: np.ndarray
    to_negative: np.ndarray

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def foreground(self) -> np.ndarray:
        """Which places are predicted to be objects, (N,) bool."""
        return self.scores >= 0

    @property
    def novelty(self) -> np.ndarray:
        """Distance in feature space to the nearest painted pixel of either kind, (N,); 0 where nothing is painted."""
        nearest = np.minimum(self.to_positive, self.to_negative)
        return np.where(np.isfinite(nearest), nearest, 0)


def find_places(
    sample: Sample,
    probability: np.ndarray,
    threshold: float,
    model: Model | None,
    *,
    radius_px: float,
    seed: int | Sequence[int] = 0,
    previous: np.ndarray | None = None,
    rough: np.ndarray | None = None,
    strokes: Mapping[str, Sequence[Stroke]] | None = None,
) -> Places:
    """Places at random, one in each cell of a coarse grid, where a dab touches nothing that is painted or ignored.

    Parameters
    ----------
    sample : Sample
        Image and strokes.
    probability : ndarray, ([T,] [Z,] Y, X), in [0, 1]
    threshold : float
    model : Model or None
        Gives intensity statistics and filters for the feature space; without one, they are the image's and a few.
    radius_px : float
        Of a dab, in the plane of rows and columns.
    seed : int or sequence of int
    previous : ndarray, ([T,] [Z,] Y, X), optional
        The probability of the round before.
    rough : ndarray of label codes, ([T,] [Z,] Y, X), optional
        Of an unreliable mask.
    strokes : mapping of kind to strokes, optional
        Of the sample, where they have been found already; see `patches.find_strokes`.
    """
    labels = np.zeros(sample.spatial_shape, np.uint8) if sample.labels is None else sample.labels
    centres = _grid(labels.shape, np.random.default_rng(seed))
    dabs = _dabs(centres, labels.shape, radius_px)
    free = (labels[dabs] == UNLABELED).all(1) & np.isfinite(probability[dabs]).all(1)
    centres, dabs = centres[free], tuple(axis[free] for axis in dabs)
    inside = probability[dabs]
    radii = dab_radii_px(probability, threshold, centres, radius_px)
    change = np.zeros(len(centres)) if previous is None else np.nan_to_num(np.abs(inside - previous[dabs])).mean(1)
    distrust = np.zeros(len(centres)) if rough is None else 1 - label_trust(inside, rough[dabs]).mean(1)
    return Places(
        centres,
        radii,
        shifted_scores(inside, threshold).mean(1),
        uncertainty(inside, threshold).mean(1),
        change,
        distrust,
        *_distances(sample, centres, model, find_strokes([sample]) if strokes is None else strokes),
    )


def dab_radii_px(probability: np.ndarray, threshold: float, centres: np.ndarray, radius_px: float) -> np.ndarray:
    """How large a dab of one class may be, (N,), in half pixels: as the brush, but not across the predicted outline.

    Where classes meet, a part of a whole dab would be wrong, and a wrong stroke does more harm than a small one.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), in [0, 1]
    threshold : float
    centres : ndarray of int, (N, D)
    radius_px : float
        Half the width of the brush.

    Returns
    -------
    ndarray, (N,)
        At least 0.5, a single pixel.
    """
    rows, columns = _disk(radius_px)
    side = probability[_dabs(centres, probability.shape, radius_px)] >= threshold
    middle = probability[tuple(centres.T)] >= threshold
    distance = np.where(side != middle[:, None], np.hypot(rows, columns), np.inf).min(1, initial=np.inf)
    return np.asarray(np.clip(distance - 0.5, 0.5, max(radius_px, 0.5)))


def _grid(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    cells = _layers(shape)
    side = max(1.0, math.sqrt(shape[-2] * shape[-1] * math.prod(cells) / _PLACES))
    cells += [max(1, round(n / side)) for n in shape[-2:]]
    corners = np.stack(np.meshgrid(*map(np.arange, cells), indexing="ij"), -1).reshape(-1, len(shape))
    jittered = (corners + rng.random(corners.shape)) * np.array(shape) / np.array(cells)
    return np.asarray(np.minimum(jittered.astype(int), np.array(shape) - 1))


def _layers(shape: tuple[int, ...]) -> list[int]:
    """Layers of cells along time and planes, together about `_PLANES`."""
    n_own = len(shape) - 2
    layers: list[int] = []
    for i, n in enumerate(shape[:n_own]):
        layers.append(min(n, max(1, round((_PLANES / math.prod(layers)) ** (1 / (n_own - i))))))
    return layers


def _dabs(centres: np.ndarray, shape: tuple[int, ...], radius_px: float) -> tuple[np.ndarray, ...]:
    """Indices (N, K) along each axis of the K pixels of a dab at every centre; at the border some come twice."""
    rows, columns = _disk(radius_px)
    offsets = [np.zeros_like(rows)] * (len(shape) - 2) + [rows, columns]
    return tuple(np.clip(centres[:, i, None] + offset, 0, shape[i] - 1) for i, offset in enumerate(offsets))


def _disk(radius_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of a disk around (0, 0)."""
    reach = int(radius_px)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = rows**2 + columns**2 <= radius_px**2
    return rows[disk], columns[disk]


def _distances(
    sample: Sample, centres: np.ndarray, model: Model | None, strokes: Mapping[str, Sequence[Stroke]]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every centre to the nearest painted pixel, positive and negative, in standardised features."""
    if not len(centres) or not any(strokes.values()):
        return np.full(len(centres), np.inf), np.full(len(centres), np.inf)
    maps, step = _features(sample, model)
    ours = _rows(maps, centres, step)
    mean, scale = ours.mean(0), ours.std(0, correction=0).clamp_min(1e-6)
    found = []
    for kind in ("positive", "negative"):
        pixels = [stroke.pixels[:: max(1, len(stroke.pixels) // _STROKE_PX)] for stroke in strokes[kind]]
        if not pixels:
            found.append(np.full(len(centres), np.inf))
            continue
        painted = np.stack(np.unravel_index(np.concatenate(pixels), sample.spatial_shape), -1)
        theirs = ((_rows(maps, painted, step) - mean) / scale).clamp(-_CLIP, _CLIP)
        found.append(torch.cdist(((ours - mean) / scale).clamp(-_CLIP, _CLIP), theirs).amin(1).numpy())
    return found[0], found[1]


def _features(sample: Sample, model: Model | None) -> tuple[torch.Tensor, Sequence[int]]:
    """Filter bank (F, [T,] [Z,] Y, X) of the image sub-sampled by the returned steps, each plane on its own."""
    card = None if model is None else run(model.for_image(sample.image)).card
    intensity = run(measure([Sample(sample.image)])) if card is None else card.intensity
    names, sigmas_px = ((), ()) if card is None else (card.network.filters, card.network.sigmas_px)
    shape = sample.spatial_shape
    step = [-(-n // layers) for n, layers in zip(shape, _layers(shape), strict=False)]
    side = math.prod(shape) / math.prod(step) / _FEATURE_PX
    step += [max(1, math.ceil(math.sqrt(side)))] * 2
    small = np.asarray(sample.image[(slice(None), *(slice(None, None, s) for s in step))])
    x = torch.from_numpy(normalise(small, intensity))
    n_own = len(step) - 2
    with torch.inference_mode():
        bank = (names or _FILTERS, sigmas_px or _SIGMAS_PX)
        maps = filters.compute(stacked(x, n_own), *bank).transpose(0, 1)  # (F, planes, Y, X)
    return maps.reshape(len(maps), *x.shape[1:]), step


def _rows(maps: torch.Tensor, places: np.ndarray, step: Sequence[int]) -> torch.Tensor:
    """Features (N, F) at places (N, D) of the full image."""
    flat = np.ravel_multi_index((places // np.array(step)).T, tuple(maps.shape[1:]))
    return maps.flatten(1)[:, torch.from_numpy(flat)].T

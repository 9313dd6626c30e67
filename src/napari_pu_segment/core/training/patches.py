"""Training pixels and patches: strokes drawn evenly, unlabelled pixels drawn uniformly from the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ..images.sampling import places_of
from ..losses.pu import Group, Scores
from ..networks import Network
from ..samples import NEGATIVE, POSITIVE, Sample, neighbours
from .patch_images import PatchImage

KINDS = {"positive": POSITIVE, "negative": NEGATIVE}
_FEW = 16  # painted pixels in so many, or fewer, are joined one by one; more of them as an image


@dataclass(frozen=True)
class Stroke:
    """Pixels painted in one piece: their flat indices into image number `sample`."""

    sample: int
    pixels: np.ndarray


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Parameters
    ----------
    features : Tensor, (B, F) or (B, F, [p,] p, p)
    parts : mapping of kind to slice
        Which of the B belong to "positive", "negative", "unlabelled".
    weights : Tensor, (B, [p,] p, p), or None
        How much each pixel of a patch counts; 0 leaves it out. None where B are single pixels that count alike.
    """

    features: torch.Tensor
    parts: Mapping[str, slice]
    weights: torch.Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Batch(self.features.to(device), self.parts, weights)

    def scores(self, scores: torch.Tensor) -> Scores:
        """Groups for a risk from the network's scores (B, 1, ...)."""
        groups = {kind: self._group(scores[part, 0], part) for kind, part in self.parts.items()}
        return Scores(groups["positive"], groups.get("unlabelled"), groups.get("negative"))

    def _group(self, scores: torch.Tensor, part: slice) -> Group:
        if self.weights is None:
            return Group(scores)
        weights = self.weights[part]
        picked = weights > 0  # by indexing, not by multiplying: what is masked out must not contribute
        return Group(scores[picked], weights[picked])


class Sampler(Protocol):
    """Anything that draws training batches."""

    def draw(self, rng: np.random.Generator) -> Batch:
        """One step's batch."""
        ...

    def everything(self, rng: np.random.Generator) -> Batch:
        """A larger batch, for scores that are reported rather than trained on."""
        ...


def find_strokes(samples: Sequence[Sample], kinds: Mapping[str, int] = KINDS) -> dict[str, list[Stroke]]:
    """Strokes of each kind: connected parts of what was painted, over all samples; never across time.

    Parameters
    ----------
    samples : sequence of Sample
    kinds : mapping of str to int
        The label code of each kind.
    """
    found: dict[str, list[Stroke]] = {kind: [] for kind in kinds}
    for index, sample in enumerate(samples):
        for kind, code in kinds.items():
            if sample.labels is None:
                continue
            flat = places_of(sample.labels, code)
            if not len(flat):
                continue
            few = len(flat) * _FEW < sample.labels.size
            names = _parts(flat, sample) if few else _parts_of_mask(sample, code).ravel()[flat] - 1
            pieces = np.split(flat[np.argsort(names, kind="stable")], np.cumsum(np.bincount(names))[:-1])
            found[kind] += [Stroke(index, piece) for piece in pieces]
    return found


def _parts_of_mask(sample: Sample, code: int) -> np.ndarray:
    """Number of the connected part at each pixel of the labels that bears a code, 0 elsewhere."""
    parts, _ = ndimage.label(sample.labels == code, structure=neighbours(sample.axes, diagonal=True))
    return np.asarray(parts)


def _parts(flat: np.ndarray, sample: Sample) -> np.ndarray:
    """Number, from 0, of the connected part of each painted pixel (n,): the same parts, from the pixels alone."""
    shape = sample.spatial_shape
    places = np.stack(np.unravel_index(flat, shape))
    links = []
    for step in np.argwhere(neighbours(sample.axes, diagonal=True)) - 1:
        offset = int(np.dot(step, np.cumprod((1, *shape[:0:-1]))[::-1]))
        if offset <= 0:  # its opposite does as well
            continue
        beside = places + step[:, None]
        inside = ((beside >= 0) & (beside < np.array(shape)[:, None])).all(0)
        at = np.searchsorted(flat, flat + offset).clip(max=len(flat) - 1)
        joined = np.flatnonzero(inside & (flat[at] == flat + offset))
        links.append(np.stack([joined, at[joined]]))
    ends = np.concatenate(links, axis=1)
    graph = csr_array((np.ones(ends.shape[1], bool), (ends[0], ends[1])), shape=(len(flat),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1])


def _even(sizes: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`n` draws (stroke, place in the stroke) from strokes of given sizes: long or short, each is as likely."""
    which = rng.integers(len(sizes), size=n)
    return which, (rng.random(n) * sizes[which]).astype(np.int64)


class PixelSampler:
    """Draws rows of features; they are made once, so that a step costs no more than looking them up.

    Parameters
    ----------
    rows : mapping of kind to list of Tensor, each (n, F)
        Features of the pixels of each stroke.
    unlabelled : Tensor, (m, F)
        Features of pixels drawn uniformly from the images.
    network : Network
        Tells how many of each kind a step takes.
    """

    def __init__(self, rows: Mapping[str, Sequence[torch.Tensor]], unlabelled: torch.Tensor, network: Network) -> None:
        self.unlabelled = unlabelled
        self._n_labelled, self._n_unlabelled = network.n_labelled, network.n_unlabelled
        self._rows = {kind: torch.cat(list(part)) for kind, part in rows.items() if part}
        self._sizes = {kind: np.array([len(stroke) for stroke in part]) for kind, part in rows.items() if part}

    def draw(self, rng: np.random.Generator) -> Batch:
        """One step's pixels."""
        features, parts, n = [], {}, 0
        for kind, sizes in self._sizes.items():
            which, place = _even(sizes, self._n_labelled, rng)
            features.append(self._rows[kind][torch.from_numpy((np.cumsum(sizes) - sizes)[which] + place)])
            parts[kind] = slice(n, n := n + self._n_labelled)
        features.append(self.unlabelled[torch.from_numpy(rng.integers(len(self.unlabelled), size=self._n_unlabelled))])
        parts["unlabelled"] = slice(n, n + self._n_unlabelled)
        return Batch(torch.cat(features), parts)

    def everything(self, rng: np.random.Generator) -> Batch:
        """All rows of all strokes and of the pool, for scores that are reported rather than trained on."""
        parts, n = {}, 0
        for kind, rows in self._rows.items():
            parts[kind] = slice(n, n := n + len(rows))
        parts["unlabelled"] = slice(n, n + len(self.unlabelled))
        return Batch(torch.cat([*self._rows.values(), self.unlabelled]), parts)

    def strokes(self, kind: str, values: np.ndarray) -> list[np.ndarray]:
        """Values (n, ...) of all rows of a kind, in the order of `everything`, parted into those of each stroke."""
        return np.split(values, np.cumsum(self._sizes[kind])[:-1])


class PatchSampler:
    """Draws patches: labelled ones around stroke pixels, unlabelled ones uniformly over the images of the pool.

    Parameters
    ----------
    images : sequence of PatchImage
    strokes : mapping of kind to strokes
    pool : mapping of int to int
        Numbers of the images whose pixels stand for the unlabelled distribution, and how many pixels of each may be
        trained on (of a large image, about).
    ndim : int
        2 for patches (p, p), also of planes and time points; 3 for volumes.
    network : Network
        Tells the size of patches, and how many of each kind a step takes.
    """

    def __init__(
        self,
        images: Sequence[PatchImage],
        strokes: Mapping[str, Sequence[Stroke]],
        pool: Mapping[int, int],
        ndim: int,
        network: Network,
    ) -> None:
        self._images = images
        self._strokes = {kind: part for kind, part in strokes.items() if part}
        self._sizes = {kind: np.array([len(s.pixels) for s in part]) for kind, part in self._strokes.items()}
        self._n_labelled, self._n_unlabelled = network.n_labelled, network.n_unlabelled
        self._n_own = len(images[0].shape) - ndim
        self._patch = patch_sides(network, self._n_own, ndim)
        self._pool, sizes = list(pool), np.array(list(pool.values()), float)
        self._shares = sizes / sizes.sum()

    def draw(self, rng: np.random.Generator) -> Batch:
        """One step's patches; each is turned or mirrored at random."""
        patches: list[tuple[np.ndarray, np.ndarray]] = []
        parts, n = {}, 0
        for kind, strokes in self._strokes.items():
            which, places = _even(self._sizes[kind], self._n_labelled, rng)
            for stroke, place in zip(which, places, strict=True):
                patches.append(self._around(strokes[stroke], strokes[stroke].pixels[place], rng))
            parts[kind] = slice(n, n := n + self._n_labelled)
        patches += [self._anywhere(rng) for _ in range(self._n_unlabelled)]
        parts["unlabelled"] = slice(n, n + self._n_unlabelled)
        features = torch.from_numpy(np.stack([image for image, _ in patches]))
        weights = torch.from_numpy(np.stack([weight for _, weight in patches]))
        own = range(self._n_own)  # time, and planes to a network for planes: drop these axes
        features, weights = features.squeeze([2 + axis for axis in own]), weights.squeeze([1 + axis for axis in own])
        return Batch(features, parts, weights)

    def everything(self, rng: np.random.Generator) -> Batch:
        """A larger draw, for scores that are reported rather than trained on."""
        draws = [self.draw(rng) for _ in range(4)]
        parts, features, weights, n = {}, [], [], 0
        for kind in draws[0].parts:
            for batch in draws:
                features.append(batch.features[batch.parts[kind]])
                weights.append(batch.weights[batch.parts[kind]])  # type: ignore[index]
            size = sum(len(part) for part in features[-len(draws) :])
            parts[kind] = slice(n, n := n + size)
        return Batch(torch.cat(features), parts, torch.cat(weights))

    def _anywhere(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image = self._images[self._pool[rng.choice(len(self._pool), p=self._shares)]]
        looks, usable = image.cut(image.anywhere(self._patch, rng), self._patch)
        looks, weights = turned((looks, usable.astype(np.float32)), rng)
        return looks, weights

    def _around(self, stroke: Stroke, pixel: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shape = self._images[stroke.sample].shape
        jitter = [int(rng.integers(-(side // 4), side // 4 + 1)) for side in self._patch]
        place = np.unravel_index(pixel, shape)
        centre = [int(np.clip(c + j, 0, n - 1)) for c, j, n in zip(place, jitter, shape, strict=True)]
        starts = [c - side // 2 for c, side in zip(centre, self._patch, strict=True)]
        painted = np.zeros(self._patch, bool)
        local = np.array(np.unravel_index(stroke.pixels, shape)).T - starts
        inside = local[((local >= 0) & (local < self._patch)).all(1)]
        painted[tuple(inside.T)] = True
        looks, usable = self._images[stroke.sample].cut(starts, self._patch)
        mask = painted & usable
        # weights sum to 1, so that the patch of a short stroke counts as much as one of a long stroke
        weights = mask.astype(np.float32) / max(int(mask.sum()), 1)
        looks, weights = turned((looks, weights), rng)
        return looks, weights


def patch_sides(network: Network, n_own: int, ndim: int) -> tuple[int, ...]:
    """Sides of a network's patches: 1 along the leading axes, each on its own, then those along `ndim` spatial ones."""
    planes = [network.patch_planes or network.patch_px] * (ndim - 2)
    return (1,) * n_own + (*planes, network.patch_px, network.patch_px)


def turned(arrays: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Arrays turned by the same random one of the eight symmetries of a square, in the plane of rows and columns."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    return [np.rot90(array, turns, axes=(-2, -1))[..., :: -1 if mirror else 1] for array in arrays]

"""Training pixels and patches: strokes drawn evenly, unlabelled pixels drawn uniformly from the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import ndimage

from .losses.pu import Group, Scores
from .networks import Network
from .samples import IGNORE, NEGATIVE, POSITIVE, UNLABELED, Sample

KINDS = {"positive": POSITIVE, "negative": NEGATIVE}


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


def find_strokes(samples: Sequence[Sample]) -> dict[str, list[Stroke]]:
    """Strokes of each kind: connected parts of what was painted, over all samples."""
    found: dict[str, list[Stroke]] = {kind: [] for kind in KINDS}
    for index, sample in enumerate(samples):
        for kind, code in KINDS.items():
            if sample.labels is None or not sample.count(code):
                continue
            painted = sample.labels == code
            parts, n_parts = ndimage.label(painted, structure=_joined(sample.axes))
            flat = np.flatnonzero(painted)
            names = parts.ravel()[flat]
            order = np.argsort(names, kind="stable")
            pieces = np.split(flat[order], np.cumsum(np.bincount(names, minlength=n_parts + 1)[1:])[:-1])
            found[kind] += [Stroke(index, piece) for piece in pieces]
    return found


def _joined(axes: str) -> np.ndarray:
    """Which neighbours belong to one stroke: all around a pixel, but none of another time."""
    joined = np.ones((3,) * (len(axes) - 1), bool)
    if "T" in axes:
        joined[[0, 2]] = False
    return joined


def is_unlabelled(sample: Sample) -> bool:
    """Whether an image tells about unlabelled pixels: one that is labelled everywhere (a patch) does not."""
    return sample.labels is None or bool((sample.labels == UNLABELED).any())


def usable(sample: Sample) -> np.ndarray:
    """Pixels ([T,] [Z,] Y, X) that may be trained on: not ignored, and finite in every channel."""
    fine = np.ones(sample.spatial_shape, bool)
    if sample.labels is not None:
        fine &= sample.labels != IGNORE
    if np.dtype(sample.image.dtype).kind == "f":
        for channel in sample.image:
            fine &= np.isfinite(np.asarray(channel))
    return fine


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


class PatchSampler:
    """Draws patches: labelled ones around stroke pixels, unlabelled ones uniformly over the images of the pool.

    Parameters
    ----------
    images : sequence of Tensor, (C, [T,] [Z,] Y, X)
        Normalised.
    usable : sequence of ndarray of bool, ([T,] [Z,] Y, X)
        Pixels that may be trained on.
    strokes : mapping of kind to strokes
    pool : sequence of int
        Numbers of the images whose pixels stand for the unlabelled distribution.
    ndim : int
        2 for patches (p, p), also of planes and time points; 3 for (p, p, p).
    network : Network
        Tells the size of patches, and how many of each kind a step takes.
    """

    def __init__(
        self,
        images: Sequence[torch.Tensor],
        usable: Sequence[np.ndarray],
        strokes: Mapping[str, Sequence[Stroke]],
        pool: Sequence[int],
        ndim: int,
        network: Network,
    ) -> None:
        self._shapes = [mask.shape for mask in usable]
        self._strokes = {kind: part for kind, part in strokes.items() if part}
        self._sizes = {kind: np.array([len(s.pixels) for s in part]) for kind, part in self._strokes.items()}
        self._n_labelled, self._n_unlabelled = network.n_labelled, network.n_unlabelled
        side = network.patch_px if ndim == 2 else max(network.patch_px // 2, network.stride_px)
        self._n_own = len(self._shapes[0]) - ndim
        self._patch = (1,) * self._n_own + (side,) * ndim
        self._images = [self._padded(image.numpy(), "symmetric") for image in images]
        self._usable = [self._padded(mask[None], "constant")[0] for mask in usable]
        self._pool, sizes = list(pool), np.array([usable[i].sum() for i in pool], float)
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

    def _padded(self, array: np.ndarray, mode: Literal["symmetric", "constant"]) -> np.ndarray:
        return np.pad(array, [(0, 0), *((side, side) for side in self._patch)], mode=mode)

    def _anywhere(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        index = self._pool[rng.choice(len(self._pool), p=self._shares)]
        # patches may hang over the edge, so that a pixel in a corner is seen as often as one in the middle
        starts = [int(rng.integers(1, n + side)) for n, side in zip(self._shapes[index], self._patch, strict=True)]
        window = tuple(slice(start, start + side) for start, side in zip(starts, self._patch, strict=True))
        weights = self._usable[index][window].astype(np.float32)
        return _turned(self._images[index][(slice(None), *window)], weights, rng)

    def _around(self, stroke: Stroke, pixel: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shape = self._shapes[stroke.sample]
        jitter = [int(rng.integers(-(side // 4), side // 4 + 1)) for side in self._patch]
        place = np.unravel_index(pixel, shape)
        centre = [int(np.clip(c + j, 0, n - 1)) for c, j, n in zip(place, jitter, shape, strict=True)]
        starts = [c + side - side // 2 for c, side in zip(centre, self._patch, strict=True)]  # in the padded image
        window = tuple(slice(start, start + side) for start, side in zip(starts, self._patch, strict=True))
        painted = np.zeros(self._patch, bool)
        local = np.array(np.unravel_index(stroke.pixels, shape)).T - centre + np.array(self._patch) // 2
        inside = local[((local >= 0) & (local < self._patch)).all(1)]
        painted[tuple(inside.T)] = True
        mask = painted & self._usable[stroke.sample][window]
        # weights sum to 1, so that the patch of a short stroke counts as much as one of a long stroke
        weights = mask.astype(np.float32) / max(int(mask.sum()), 1)
        return _turned(self._images[stroke.sample][(slice(None), *window)], weights, rng)


def _turned(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random one of the eight symmetries of the square, in the plane of rows and columns."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    image, mask = np.rot90(image, turns, axes=(-2, -1)), np.rot90(mask, turns, axes=(-2, -1))
    return (image[..., ::-1], mask[..., ::-1]) if mirror else (image, mask)

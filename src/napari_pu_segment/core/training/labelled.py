"""Pixels that bear labels, of masks or strokes, for methods that learn from labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch

from ..errors import InputError
from ..filters.features import gather
from ..images.intensity import ChannelStats
from ..images.sampling import places_of, usable_places
from ..losses.reweight import Labelled
from ..networks import Network, NetworkSpec
from ..progress import Work
from ..samples import NEGATIVE, POSITIVE, Sample
from .fit import FeatureCache
from .patch_images import PatchImage
from .patches import patch_sides, turned

_POOL_PX = 50_000  # pixels that stand for all labelled ones


class LabelledPixels:
    """Draws rows of features that were made once.

    Parameters
    ----------
    rows : Labelled
        Features (n, F) of single pixels.
    n : int
        Pixels in a batch.
    """

    def __init__(self, rows: Labelled, n: int) -> None:
        self.rows, self._n = rows, n

    def draw(self, rng: np.random.Generator) -> Labelled:
        """One step's pixels."""
        index = torch.from_numpy(rng.integers(len(self.rows.targets), size=self._n))
        return Labelled(self.rows.features[index], self.rows.targets[index], self.rows.weights[index])


class LabelledPatches:
    """Draws patches around labelled pixels, turned or mirrored at random.

    Parameters
    ----------
    images : sequence of PatchImage
    samples : sequence of Sample
    centres : sequence of ndarray of int
        Flat indices of the labelled pixels of each image.
    weights : sequence of ndarray, (2,)
        How much a negative, and a positive, pixel of each image counts.
    ndim : int
        2 for patches (p, p), also of planes and time points; 3 for volumes.
    network : Network
        Tells the size of patches, and how many a step takes.
    """

    def __init__(
        self,
        images: Sequence[PatchImage],
        samples: Sequence[Sample],
        centres: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        ndim: int,
        network: Network,
    ) -> None:
        self._images, self._samples, self._centres, self._weights = images, samples, centres, weights
        self._n_own, self._n = len(images[0].shape) - ndim, network.n_unlabelled
        self._patch = patch_sides(network, self._n_own, ndim)
        sizes = np.array([len(part) for part in centres], float)
        self._shares = sizes / sizes.sum()

    def draw(self, rng: np.random.Generator) -> Labelled:
        """One step's patches."""
        found = [self._one(rng) for _ in range(self._n)]
        features, targets, weights = (torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True))
        own = range(self._n_own)  # time, and planes to a network for planes: drop these axes
        drop = [1 + axis for axis in own]
        return Labelled(features.squeeze([2 + axis for axis in own]), targets.squeeze(drop), weights.squeeze(drop))

    def _one(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index = int(rng.choice(len(self._images), p=self._shares))
        image, labels = self._images[index], self._samples[index].labels
        assert labels is not None
        place = np.unravel_index(rng.choice(self._centres[index]), image.shape)
        starts = [int(at - rng.integers(side)) for at, side in zip(place, self._patch, strict=True)]
        looks, fine = image.cut(starts, self._patch)
        codes = np.zeros(self._patch, np.uint8)
        there = [(max(a, 0), min(a + s, n)) for a, s, n in zip(starts, self._patch, image.shape, strict=True)]
        inside = tuple(slice(a - start, b - start) for (a, b), start in zip(there, starts, strict=True))
        codes[inside] = labels[tuple(slice(a, b) for a, b in there)]
        count_of = np.zeros(4, np.float32)
        count_of[[NEGATIVE, POSITIVE]] = self._weights[index]
        weights = np.where(fine, count_of[codes], np.float32(0))
        looks, targets, weights = turned((looks, (codes == POSITIVE).astype(np.float32), weights), rng)
        return looks, targets, weights


LabelledSampler: TypeAlias = LabelledPixels | LabelledPatches


def labelled_sampler(
    samples: Sequence[Sample],
    stats: Sequence[Sequence[ChannelStats]],
    network: Network,
    spec: NetworkSpec,
    seed: int,
    cache: FeatureCache | None,
) -> Work[LabelledSampler]:
    """What draws labelled pixels, or patches, of samples for a network.

    All labelled pixels of masks count alike. Strokes are no fair sample of an image, so the classes of an image whose
    labels are strokes (``trust="scribble"``) count the same as a whole.

    Raises
    ------
    InputError
        If no pixel of the samples is labelled.
    """
    rng = np.random.default_rng(seed)
    places = []
    for sample in samples:
        places.append((yield from _labelled_places(sample)))
    if not any(map(len, places)):
        raise InputError("No pixel is labelled: the masks are empty of objects and background, or all is ignored.")
    weights = [_class_weights(sample, part) for sample, part in zip(samples, places, strict=True)]
    if network.patch_px > 1:
        used = [i for i, part in enumerate(places) if len(part)]
        images = [PatchImage(samples[i], stats[i]) for i in used]
        chosen = [samples[i] for i in used]
        return LabelledPatches(
            images, chosen, [places[i] for i in used], [weights[i] for i in used], spec.ndim, network
        )
    sizes = np.array([len(part) for part in places], float)
    counts = rng.multinomial(_POOL_PX, sizes / sizes.sum())
    features, targets, worth = [], [], []
    for sample, stat, part, n, weight in zip(samples, stats, places, counts, weights, strict=True):
        pixels = part[rng.integers(len(part), size=n)] if n else part[:0]
        rows = yield from gather(sample, [pixels], network, spec, stat, spec.n_features, cache)
        assert sample.labels is not None
        positive = sample.labels.reshape(-1)[pixels] == POSITIVE
        features.append(rows[0])
        targets.append(torch.from_numpy(positive.astype(np.float32)))
        worth.append(torch.from_numpy(weight[positive.astype(int)]))
    rows_of_all = Labelled(torch.cat(features), torch.cat(targets), torch.cat(worth))
    return LabelledPixels(rows_of_all, network.n_unlabelled)


def _labelled_places(sample: Sample) -> Work[np.ndarray]:
    """Flat indices of labelled pixels; of a large mask those in some windows, as all of them would fill the memory."""
    if sample.labels is None:
        return np.empty(0, np.int64)
    if sample.trust == "scribble":
        return np.sort(np.concatenate([places_of(sample.labels, code) for code in (POSITIVE, NEGATIVE)]))
    places = yield from usable_places(sample)
    codes = sample.labels.reshape(-1)[places]
    kept: np.ndarray = places[(codes == POSITIVE) | (codes == NEGATIVE)]
    return kept


def _class_weights(sample: Sample, places: np.ndarray) -> np.ndarray:
    """How much a negative, and a positive, labelled pixel of a sample counts."""
    assert sample.labels is not None
    if sample.trust != "scribble" or not len(places):
        return np.ones(2, np.float32)
    n_positive = np.count_nonzero(sample.labels.reshape(-1)[places] == POSITIVE)
    sizes = np.array([len(places) - n_positive, n_positive])
    return np.asarray(len(places) / np.maximum(2 * sizes, 1), np.float32)

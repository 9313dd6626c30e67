"""What a training works on: samples, their strokes, intensity statistics, and the sampler that suits a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..errors import InputError
from ..filters.features import gather
from ..images.intensity import ChannelStats
from ..images.sampling import draw_pixels, is_unlabelled, n_usable
from ..networks import Network, NetworkSpec
from ..networks.rows import RowNetwork
from ..progress import Work
from ..samples import Sample
from .fit import FeatureCache
from .patch_images import PatchImage
from .patches import PatchSampler, PixelSampler, Stroke, find_strokes

_POOL_PX = 50_000  # unlabelled pixels that stand for the images
_STROKE_PX = 5_000  # pixels that stand for one stroke
_HOLD_OUT_FROM = 10  # strokes of a kind from which on a fifth of them is held out


@dataclass(frozen=True)
class TrainingData:
    """Samples, and what was found out about them.

    Parameters
    ----------
    samples : sequence of Sample
    strokes : mapping of kinds, such as "positive" and "negative", to strokes
    stats : tuple of tuple of ChannelStats
        For each sample one for each channel; all alike where the statistics are the training images'.
    pool : tuple of int
        Numbers of the samples whose pixels stand for the unlabelled distribution.
    """

    samples: Sequence[Sample]
    strokes: Mapping[str, Sequence[Stroke]]
    stats: tuple[tuple[ChannelStats, ...], ...]
    pool: tuple[int, ...]

    def count(self, kind: str) -> int:
        """Number of strokes of a kind."""
        return len(self.strokes[kind])

    def split(self, seed: int) -> tuple[TrainingData, TrainingData | None]:
        """The data to train on, and every fifth stroke held out whole, where there are enough of every kind."""
        if any(0 < len(part) < _HOLD_OUT_FROM for part in self.strokes.values()):
            return self, None
        rng = np.random.default_rng(seed)
        kept: dict[str, list[Stroke]] = {}
        held: dict[str, list[Stroke]] = {}
        for kind, part in self.strokes.items():
            order = rng.permutation(len(part))
            n_held = len(part) // 5
            held[kind], kept[kind] = [part[i] for i in order[:n_held]], [part[i] for i in order[n_held:]]
        return replace(self, strokes=kept), replace(self, strokes=held)

    def halves(self, seed: int) -> tuple[TrainingData, TrainingData]:
        """The strokes parted at random into two halves; a single stroke stands in both."""
        rng = np.random.default_rng(seed)
        parts: list[dict[str, list[Stroke]]] = [{}, {}]
        for kind, strokes in self.strokes.items():
            order = rng.permutation(len(strokes))
            for side, half in enumerate(parts):
                half[kind] = [strokes[i] for i in order[side::2]] or list(strokes)
        return replace(self, strokes=parts[0]), replace(self, strokes=parts[1])


def prepare(samples: Sequence[Sample], stats: tuple[tuple[ChannelStats, ...], ...]) -> TrainingData:
    """Find the strokes of samples.

    An image that is labelled everywhere, such as a patch of a folder of positive patches, tells nothing about the
    unlabelled distribution and is left out of the pool, unless all images are.

    Raises
    ------
    InputError
        If there is no positive stroke, or nothing but positive strokes.
    """
    strokes = find_strokes(samples)
    if not strokes["positive"]:
        raise InputError("There are no positive strokes. Paint at least one stroke on an object.")
    if not strokes["negative"] and not any(is_unlabelled(sample) for sample in samples):
        raise InputError("Everything is painted positive, so nothing can be learnt. Leave the background unpainted.")
    return TrainingData(samples, strokes, stats, unlabelled_pool(samples))


def unlabelled_pool(samples: Sequence[Sample]) -> tuple[int, ...]:
    """Numbers of the samples whose pixels stand for the unlabelled distribution; all, where all are labelled whole."""
    return tuple(i for i, sample in enumerate(samples) if is_unlabelled(sample)) or tuple(range(len(samples)))


def make_sampler(
    data: TrainingData, network: Network, spec: NetworkSpec, seed: int, cache: FeatureCache | None
) -> Work[PixelSampler | PatchSampler]:
    """The sampler that suits a network: single pixels of its stem's features, or patches of the image.

    Raises
    ------
    InputError
        If every pixel is ignored or not finite.
    """
    if network.patch_px > 1:
        sizes = {}
        for i in data.pool:
            sizes[i] = yield from n_usable(data.samples[i])
        if not any(sizes.values()):
            raise _nothing_usable()
        images = [PatchImage(sample, stats) for sample, stats in zip(data.samples, data.stats, strict=True)]
        return PatchSampler(images, data.strokes, sizes, spec.ndim, network)
    n_values = len(network.mean) if isinstance(network, RowNetwork) else spec.n_features
    rng = np.random.default_rng(seed)
    wanted = yield from draw_pixels(data.samples, _POOL_PX, rng, data.pool)
    if not any(map(len, wanted)):
        raise _nothing_usable()
    strokes = {kind: [_thinned(stroke, rng) for stroke in part] for kind, part in data.strokes.items()}
    rows: dict[str, list[torch.Tensor]] = {kind: [torch.empty(0)] * len(part) for kind, part in strokes.items()}
    unlabelled = []
    for index, sample in enumerate(data.samples):
        places = [(kind, i) for kind, part in strokes.items() for i, s in enumerate(part) if s.sample == index]
        asked = [strokes[kind][i].pixels for kind, i in places]
        found = yield from gather(sample, [*asked, wanted[index]], network, spec, data.stats[index], n_values, cache)
        for (kind, i), part_rows in zip(places, found, strict=False):
            rows[kind][i] = part_rows
        unlabelled.append(found[-1])
    return PixelSampler(rows, torch.cat(unlabelled), network)


def _nothing_usable() -> InputError:
    return InputError("No pixel is left to learn from: all are ignored, or not finite. Check the image.")


def _thinned(stroke: Stroke, rng: np.random.Generator) -> Stroke:
    if len(stroke.pixels) <= _STROKE_PX:
        return stroke
    return replace(stroke, pixels=rng.choice(stroke.pixels, _STROKE_PX, replace=False))

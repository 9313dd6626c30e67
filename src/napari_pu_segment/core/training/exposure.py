"""Whether images differ in exposure, by what was painted on them: should each be measured by itself?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..images.intensity import ChannelStats
from ..images.sampling import is_large, places_of, values
from ..progress import Progress, Ticker, Work
from ..samples import POSITIVE, Sample

_CLEARLY = 2.0  # real images of unlike exposure have mostly 3 to 100, those of a like one 0.01 to 1.6
_OBJECT_PX, _WHOLE_PX = 256, 65_536  # about so many pixels are enough for a mean


def exposures_differ(
    samples: Sequence[Sample], together: Sequence[ChannelStats], each: Sequence[Sequence[ChannelStats]]
) -> Work[bool]:
    """Whether painted objects of several images look clearly more alike where each image is measured by itself.

    With p_i the mean normalised intensity (C,) of the painted objects of image i, u_i that of the whole image, and V
    the sum over channels of the variance over images, r = (V(p) + V(u)) / |mean p - mean u|^2 tells how much images
    scatter beside what tells objects from images. Exposures differ where r of common statistics is at least twice the r
    of each image's own. Images without positive strokes say nothing; nor does a single image.

    Parameters
    ----------
    samples : sequence of Sample
    together : sequence of ChannelStats
        For each channel, those of all images.
    each : sequence of sequence of ChannelStats
        Those of each image by itself.
    """
    common, own = [], []
    for sample, stats in zip(samples, each, strict=True):
        objects = yield from _objects(sample)
        if not objects.shape[1]:
            continue
        whole = yield from values(sample.image, sample.labels)
        whole = whole[:, :: max(1, whole.shape[1] // _WHOLE_PX)]
        common.append([_mean(part, together) for part in (objects, whole)])
        own.append([_mean(part, stats) for part in (objects, whole)])
    return len(own) > 1 and _scatter(np.array(common)) >= _CLEARLY * _scatter(np.array(own))


def _objects(sample: Sample) -> Work[np.ndarray]:
    """At most 256 pixels (C, n) of an image's positive strokes, float64; of a large image read one by one."""
    flat = np.empty(0, int) if sample.labels is None else places_of(sample.labels, POSITIVE)
    flat = flat[:: max(1, -(-len(flat) // _OBJECT_PX))]
    if not is_large(sample.spatial_shape):
        return np.asarray(sample.image, np.float64).reshape(len(sample.image), -1)[:, flat]
    found, ticker = [np.empty((sample.image.shape[0], 0))], Ticker(waits=True)
    for step, place in enumerate(zip(*np.unravel_index(flat, sample.spatial_shape), strict=True)):
        if ticker.due():
            yield Progress(step, len(flat), "Looking at the strokes")
        pixel = sample.image[(slice(None), *(slice(int(at), int(at) + 1) for at in place))]
        found.append(np.asarray(pixel, np.float64).reshape(-1, 1))
    return np.concatenate(found, axis=1)


def _mean(pixels: np.ndarray, stats: Sequence[ChannelStats]) -> list[float]:
    """Mean normalised intensity of each channel of pixels (C, n); 0 where none is finite."""
    finite = [channel[np.isfinite(channel)] for channel in pixels]
    return [float(one.apply(part).mean()) if len(part) else 0.0 for one, part in zip(stats, finite, strict=True)]


def _scatter(means: np.ndarray) -> float:
    """r of `exposures_differ`, from means (images, 2, C) of objects and of whole images."""
    gap = means[:, 0].mean(0) - means[:, 1].mean(0)
    return float(means.var(axis=0, ddof=1).sum() / max(float(gap @ gap), 1e-12))

"""How much of an image is looked at where all of it counts: a small one whole, a large one in windows on a grid.

What is decided here depends on an image's shape alone, so that a lazy image and the same one in memory give the same.
To read some hundred windows of a compressed file takes seconds, so whatever reads them is long work.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..progress import Progress, Ticker, Work
from ..samples import IGNORE, UNLABELED, Array, Sample

LARGE_PX = 2**24  # an image of more pixels is never read whole
_N_WINDOWS, _SIDE_PX = 256, 64
_BLOCK_PX = 2**22  # labels are looked through in blocks of so many pixels
_GRID_PX = 1_000_000  # about so many pixels of an image are enough for percentiles
_MESSAGE = "Looking at the image"


def is_large(shape: Sequence[int]) -> bool:
    """Whether an image of a shape ([T,] [Z,] Y, X) is looked at in `windows` alone."""
    return math.prod(shape) > LARGE_PX


def windows(shape: Sequence[int]) -> list[tuple[slice, ...]]:
    """At most 256 windows on a regular grid over a shape ([T,] [Z,] Y, X), each of one plane and at most 64 x 64 px.

    Where there are more places for windows than that, every second one is left out along the axis with most of them,
    again and again; what is kept lies in the middle of what it stands for.
    """
    sides = [1] * (len(shape) - 2) + [min(_SIDE_PX, n) for n in shape[-2:]]
    places = [n // side for n, side in zip(shape, sides, strict=True)]
    kept = list(places)
    while math.prod(kept) > _N_WINDOWS:
        axis = int(np.argmax(kept))
        kept[axis] = -(-kept[axis] // 2)
    starts = [
        [(2 * i + 1) * n // (2 * m) * side for i in range(m)] for m, n, side in zip(kept, places, sides, strict=True)
    ]
    return [
        tuple(slice(start, start + side) for start, side in zip(corner, sides, strict=True))
        for corner in itertools.product(*starts)
    ]


def values(image: Array, labels: np.ndarray | None = None) -> Work[np.ndarray]:
    """About a million pixels (C, n), float64, of an image (C, [T,] [Z,] Y, X); NaN where the labels say ignore.

    Of every n-th pixel along each axis, or of the `windows` of a large image.
    """
    shape = tuple(image.shape[1:])
    step = max(1, round((math.prod(shape) / _GRID_PX) ** (1 / len(shape))))
    parts = windows(shape) if is_large(shape) else [(slice(None, None, step),) * len(shape)]
    found, ticker = [], Ticker(waits=True)
    for i, part in enumerate(parts):
        if ticker.due():
            yield Progress(i, len(parts), _MESSAGE)
        seen = np.array(image[(slice(None), *part)], dtype=np.float64)
        if labels is not None:
            seen[:, labels[part] == IGNORE] = np.nan
        found.append(seen.reshape(len(seen), -1))
    return np.concatenate(found, axis=1)


def usable(sample: Sample, window: tuple[slice, ...] = ()) -> np.ndarray:
    """Pixels ([T,] [Z,] Y, X) of a window that may be trained on: not ignored, and finite in every channel."""
    window = window or tuple(slice(0, n) for n in sample.spatial_shape)
    fine = np.ones([part.stop - part.start for part in window], bool)
    if sample.labels is not None:
        fine &= sample.labels[window] != IGNORE
    if np.dtype(sample.image.dtype).kind == "f":
        for channel in range(sample.image.shape[0]):
            fine &= np.isfinite(np.asarray(sample.image[(channel, *window)]))
    return fine


def n_usable(sample: Sample) -> Work[int]:
    """How many pixels may be trained on; of a large image about, from its `windows`."""
    shape = sample.spatial_shape
    if not is_large(shape):
        return int(np.count_nonzero(usable(sample)))
    seen, ticker, parts = 0, Ticker(waits=True), windows(shape)
    for i, window in enumerate(parts):
        if ticker.due():
            yield Progress(i, len(parts), _MESSAGE)
        seen += int(np.count_nonzero(usable(sample, window)))
    return round(seen * _share(shape))


def is_unlabelled(sample: Sample) -> bool:
    """Whether an image tells about unlabelled pixels: one that is labelled everywhere (a patch) does not."""
    return sample.labels is None or any((block == UNLABELED).any() for _, block in _blocks(sample.labels))


def places_of(labels: np.ndarray, code: int) -> np.ndarray:
    """Flat indices, in rising order, of the pixels of labels ([T,] [Z,] Y, X) that bear a code."""
    return np.concatenate([start + np.flatnonzero(block == code) for start, block in _blocks(labels)])


def draw_pixels(
    samples: Sequence[Sample], n: int, rng: np.random.Generator, pool: Sequence[int] | None = None
) -> Work[list[np.ndarray]]:
    """Flat indices into every sample, `n` in all, drawn uniformly over all usable pixels of the pool.

    Parameters
    ----------
    samples : sequence of Sample
        Of large ones the pixels come out of their `windows`.
    pool : sequence of int, optional
        Numbers of the samples to draw from; default: all.

    Returns
    -------
    list of ndarray of int, one for each sample, all of them empty where no pixel is usable
    """
    places = [np.empty(0, int) for _ in samples]
    for i in range(len(samples)) if pool is None else pool:
        places[i] = yield from usable_places(samples[i])
    weights = [len(p) * _share(sample.spatial_shape) for p, sample in zip(places, samples, strict=True)]
    if not any(weights):
        return places
    counts = rng.multinomial(n, [weight / sum(weights) for weight in weights])
    return [p[rng.integers(len(p), size=m)] if m else p[:0] for p, m in zip(places, counts, strict=True)]


def usable_places(sample: Sample) -> Work[np.ndarray]:
    """Flat indices, in rising order, of the pixels that may be trained on; of a large image those in its `windows`."""
    shape = sample.spatial_shape
    if not is_large(shape):
        return np.flatnonzero(usable(sample))
    found, ticker, parts = [], Ticker(waits=True), windows(shape)
    for i, window in enumerate(parts):
        if ticker.due():
            yield Progress(i, len(parts), _MESSAGE)
        inside = np.nonzero(usable(sample, window))
        corner = [part.start for part in window]
        found.append(np.ravel_multi_index([at + start for at, start in zip(inside, corner, strict=True)], shape))
    return np.concatenate(found)


def _share(shape: tuple[int, ...]) -> float:
    """How many pixels of an image each pixel that is looked at stands for."""
    if not is_large(shape):
        return 1.0
    seen: int = sum(math.prod(part.stop - part.start for part in window) for window in windows(shape))
    return math.prod(shape) / seen


def _blocks(labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Labels in flat blocks, each with where it starts: what is computed of a block stays small beside the image."""
    flat = labels.reshape(-1)
    for start in range(0, flat.size, _BLOCK_PX):
        yield start, flat[start : start + _BLOCK_PX]

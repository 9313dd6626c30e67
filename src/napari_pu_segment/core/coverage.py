"""How much of an image the objects cover at each threshold, and how large an object typically is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from .errors import InputError
from .progress import Progress, Ticker, Work
from .samples import IGNORE, NEGATIVE, POSITIVE, checked_axes, neighbours

N_BINS = 65_536
LOWEST, HIGHEST = -80.0, 17.0  # scores that probabilities of float32 can have, but for 0 and 1 themselves
DRAWN = -14.0  # probability 8e-7: what is less is background, and no matter how surely
BAND = (2.0, 1.0, 0.5)  # times the present coverage
_EDGE = 0.01  # of a bin; float32 knows scores no better
_BLOCK_PX = 2**20  # looked at in one go; a few milliseconds of work


@dataclass(frozen=True, eq=False)
class Coverage:
    """Histograms of the scores of a result; from them, area and threshold follow from one another at once.

    The score of a pixel is logit(p) = log(p / (1 - p)) of its probability p. Bins of equal width in the score tell
    thresholds near 0 and 1 apart as well as those near one half, where bins of the probability would not. Ignored
    pixels do not count.

    Parameters
    ----------
    pixels : ndarray of int64, (N_BINS,)
        Number of pixels by score, from `LOWEST` to `HIGHEST`; what lies beyond is in the outermost bins.
    positive, negative : ndarray of int64, (N_BINS,)
        The pixels of positive and of negative strokes among them.
    object_px : float
        Typical size of an object in pixels, 0 where there is none. See `typical_size`.
    """

    pixels: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    object_px: float

    @cached_property
    def n_pixels(self) -> int:
        """Number of pixels that count."""
        return int(self.pixels.sum())

    @cached_property
    def _fractions(self) -> np.ndarray:
        """What a bin and all above it cover, (N_BINS + 1,), from all to nothing."""
        reaching = np.append(np.cumsum(self.pixels[::-1])[::-1], 0)
        return reaching / max(1, self.n_pixels)

    def coverage_at(self, threshold: float) -> float:
        """Fraction of the pixels whose probability reaches a threshold, up to the width of a bin."""
        return float(self._fractions[first_bin(threshold)])

    def threshold_at(self, coverage: float) -> float:
        """The threshold, in [0, 1], that covers as nearly as can be a fraction `coverage` of the pixels.

        Where many pixels share one probability no threshold covers exactly that much. Of thresholds that cover the
        same it is the middle one: it stays clear of the pixels on both sides.
        """
        falling = -self._fractions
        below = int(np.searchsorted(falling, -coverage, side="left"))  # the first that covers no more
        if below > N_BINS - 1 or (below > 0 and falling[below] + coverage > -coverage - falling[below - 1]):
            below -= 1
        first, end = (int(np.searchsorted(falling, falling[below], side=side)) for side in ("left", "right"))
        return threshold_of((first + min(end - 1, N_BINS - 1)) // 2)

    def objects_at(self, coverage: float) -> float:
        """How many objects of typical size cover a fraction of the image; 0 where that size is not known."""
        return coverage * self.n_pixels / self.object_px if self.object_px else 0.0

    def coverage_of(self, n_objects: float) -> float:
        """The fraction of the image, at most 1, that a number of objects of typical size covers."""
        return min(1.0, n_objects * self.object_px / max(1, self.n_pixels))

    def band(self, covered: float) -> tuple[float, ...]:
        """The thresholds at which objects cover `BAND` times as much as now, at most everything; from low to high."""
        return tuple(self.threshold_at(min(1.0, times * covered)) for times in BAND)

    @cached_property
    def score_range(self) -> tuple[float, float]:
        """Scores worth drawing: but for one in a thousand at either end all pixels lie between, or below `DRAWN`."""
        ends = [int(np.searchsorted(-self._fractions, -share, side="left")) for share in (0.999, 0.001)]
        low, high = (_score(end) for end in ends)
        return max(min(low - 1, -2.0), DRAWN), min(max(high + 1, 2.0), HIGHEST)

    def shown(self, n: int) -> tuple[np.ndarray, ...]:
        """Counts of pixels, positive and negative strokes (n,) in equal steps over the `score_range`; for drawing.

        What lies beyond is counted in the first and the last step.
        """
        low, high = self.score_range
        scores = np.linspace(LOWEST, HIGHEST, N_BINS, endpoint=False)
        step = np.clip((scores - low) / (high - low) * n, 0, n - 1).astype(int)
        return tuple(np.bincount(step, counts, n) for counts in (self.pixels, self.positive, self.negative))


def measure_coverage(
    probability: np.ndarray, mask: np.ndarray, labels: np.ndarray | None = None, *, axes: str = ""
) -> Work[Coverage]:
    """Histograms of scores, and the typical size of an object.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), in [0, 1]
    mask : ndarray, ([T,] [Z,] Y, X)
        Non-zero on objects; only for their typical size.
    labels : ndarray of label codes, ([T,] [Z,] Y, X), optional
        Strokes; what is to be ignored is left out.
    axes : str
        Of the image; see `Sample.axes`. No object goes through time.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if mask.shape != probability.shape or (labels is not None and labels.shape != probability.shape):
        raise InputError("Probability, mask and strokes differ in shape. Segment the image again.")
    joined = neighbours(checked_axes(axes, (1, *probability.shape), "The probability"), diagonal=False)
    counts = {code: np.zeros(N_BINS, np.int64) for code in (None, POSITIVE, NEGATIVE)}
    touched: list[np.ndarray] = []
    untouched: list[np.ndarray] = []
    blocks, ticker = list(pieces(probability.shape)), Ticker()
    for i, block in enumerate(blocks):
        if ticker.due():
            yield Progress(i, len(blocks), "Measuring the area")
        codes = None if labels is None else np.asarray(labels[block])
        bins = bins_of(np.asarray(probability[block]))
        counts[None] += np.bincount(bins.ravel() if codes is None else bins[codes != IGNORE], minlength=N_BINS)
        for code in (POSITIVE, NEGATIVE):
            if codes is not None:
                counts[code] += np.bincount(bins[codes == code], minlength=N_BINS)
        sizes, painted = _parts(np.asarray(mask[block]), codes, joined)
        touched.append(sizes[painted])
        untouched.append(sizes[~painted])
    size = typical_size(np.concatenate(touched), np.concatenate(untouched))
    return Coverage(counts[None], counts[POSITIVE], counts[NEGATIVE], size)


def typical_size(touched: np.ndarray, untouched: np.ndarray) -> float:
    """Typical size of an object in pixels.

    The median size of the connected parts that bear a positive stroke: those the user has called objects. Where there
    are none, half of the mask's area lies in parts at least so large, so that many specks of a pixel or two do not
    make the typical object a speck.

    Parameters
    ----------
    touched, untouched : ndarray, (n,)
        Sizes in pixels of the mask's connected parts with and without positive strokes.
    """
    if touched.size:
        return float(np.median(touched))
    sizes = np.sort(untouched)
    if not sizes.size:
        return 0.0
    area = np.cumsum(sizes)
    return float(sizes[np.searchsorted(area, area[-1] / 2)])


def bins_of(probability: np.ndarray | np.float64) -> np.ndarray:
    """Bin of each probability, int32 of the same shape."""
    return np.clip(np.floor(_position(probability) + _EDGE), 0, N_BINS - 1).astype(np.int32)


def first_bin(threshold: float) -> int:
    """The lowest bin with pixels that reach a threshold, up to the width of a bin; 0..N_BINS - 1."""
    return int(bins_of(np.float64(threshold)))


def threshold_of(index: int) -> float:
    """The lowest probability of a bin; 0 for the first."""
    return 0.0 if index <= 0 else probability_of(_score(index))


def probability_of(score: float) -> float:
    """Probability of a score: its sigmoid."""
    return 1 / (1 + math.exp(-score))


def score_of(probability: float) -> float:
    """Score of a probability: its logit, from `LOWEST` to `HIGHEST`."""
    return _score(float(_position(np.float64(probability))))


def _score(position: float) -> float:
    return LOWEST + position / N_BINS * (HIGHEST - LOWEST)


def _position(probability: np.ndarray | np.float64) -> np.ndarray:
    """Where among the bins a probability lies, 0..N_BINS."""
    with np.errstate(divide="ignore"):
        score = np.log(probability) - np.log1p(-probability)
    return np.clip((score - LOWEST) * (N_BINS / (HIGHEST - LOWEST)), 0, N_BINS)


def _parts(mask: np.ndarray, codes: np.ndarray | None, joined: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of the connected parts of a mask (n,), and which of them bear positive strokes (n,)."""
    parts, n = ndimage.label(mask, joined)
    sizes = np.bincount(parts.ravel(), minlength=n + 1)[1:]
    painted = np.zeros(n + 1, bool)
    if codes is not None:
        painted[parts[codes == POSITIVE]] = True
    return sizes, painted[1:]


def pieces(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Blocks of at most 2^20 pixels that tile a shape: few, and as cubic as may be."""
    todo = [tuple(slice(0, side) for side in shape)]
    while todo:
        block = todo.pop()
        sides = [part.stop - part.start for part in block]
        if np.prod(sides) <= _BLOCK_PX:
            yield block
            continue
        axis = int(np.argmax(sides))
        middle = block[axis].start + sides[axis] // 2
        todo.append((*block[:axis], slice(middle, block[axis].stop), *block[axis + 1 :]))
        todo.append((*block[:axis], slice(block[axis].start, middle), *block[axis + 1 :]))

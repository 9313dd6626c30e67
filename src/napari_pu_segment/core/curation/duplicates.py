"""Duplicates: the same pixels, and the same picture cropped, compressed, brightened, flipped or turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..progress import Progress, Ticker, Work
from .look import SMALL_PX, shrinking

SYMMETRIES = (
    *("as it is", "left and right exchanged", "top and bottom exchanged", "turned by 180°"),
    *("rows and columns exchanged", "turned by 90° clockwise", "turned by 90° anticlockwise"),
    "rows and columns exchanged, turned by 180°",
)
_WAVES = 8  # cosine waves along each side that make the signature
_N_CANDIDATES, _LEAST_LIKE = 10, 0.65  # pictures worth a closer look, for each picture
_SIDES_PX = (64, 62, 61, 60, 58)  # of a picture that might be a crop of another, on the scale of that one
_DETAIL_PX, _AROUND_PX, _STEADY = 4, 8, 0.3
_ROWS = 512


@dataclass(frozen=True)
class Pair:
    """Two pictures that are alike.

    Parameters
    ----------
    first, second : int
        Numbers of the images.
    alike : float, -1..1
        Correlation of their details, where they are laid over each other best.
    symmetry : str
        One of `SYMMETRIES`: how the second has to be turned to look like the first.
    """

    first: int
    second: int
    alike: float
    symmetry: str


def same(digests: Sequence[str]) -> list[list[int]]:
    """Groups of two and more images that have the same pixels, by their first member."""
    groups: dict[str, list[int]] = {}
    for i, digest in enumerate(digests):
        groups.setdefault(digest, []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def joined(n: int, links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Groups of two and more of `n` images that hang together by links, by their first member."""
    ends = np.array(links, dtype=int).reshape(-1, 2)
    _, labels = connected_components(coo_array((np.ones(len(ends)), ends.T), shape=(n, n)), directed=False)
    groups: dict[int, list[int]] = {}
    for i, label in enumerate(labels):
        groups.setdefault(int(label), []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def near_pairs(smalls: np.ndarray, least: float) -> Work[list[Pair]]:
    """Pairs of pictures that are the same but for a crop, a compression, a brightness, a flip or a turn.

    First, the signature of a picture: its 8 x 8 lowest cosine waves but the mean, as a unit vector. It is the
    perceptual hash (Zauner 2010) before its numbers are cut to signs, which loses order where many pictures are of one
    kind. A flip changes the sign of every second wave and a transposition swaps them, so all eight symmetries are
    compared without a second transform. The ten nearest of each picture with a correlation of 0.65 and more are looked
    at closely.

    Then, the details of both: what a Gaussian of 4 px takes away, divided by its local deviation so that one bright
    spot cannot stand for a picture. Each in turn is shrunk by up to a tenth and moved over the other; the best
    normalised cross-correlation (Lewis 1995) is how much they are alike.

    Parameters
    ----------
    smalls : ndarray, (N, 64, 64)
        See `look.Look`.
    least : float
        Pairs that are less alike are left out.

    Returns
    -------
    list of Pair
        In rising order of their numbers.
    """
    stretched = _stretched(smalls)
    candidates = yield from _candidates(stretched)
    details, ticker, found = [_details(picture) for picture in stretched], Ticker(), []
    for step, ((first, second), symmetry) in enumerate(sorted(candidates.items())):
        if ticker.due():
            yield Progress(step, len(candidates), "Comparing pictures")
        one, other = details[first], np.ascontiguousarray(_turned(details[second], symmetry))
        alike = min(max(_overlap(one, other), _overlap(other, one)), 1.0)  # roundings
        if alike >= least:
            found.append(Pair(first, second, alike, SYMMETRIES[symmetry]))
    return found


def _stretched(smalls: np.ndarray) -> np.ndarray:
    """Pictures between their 1st and 99.5th percentile, 0..1; 0 where there is nothing between."""
    low, high = np.percentile(smalls, (1, 99.5), axis=(1, 2))[..., None, None]
    unit = np.where(high > low, high - low, 1)
    return np.asarray(np.clip((smalls - low) / unit, 0, 1), np.float32)


def _candidates(pictures: np.ndarray) -> Work[dict[tuple[int, int], int]]:
    """Pairs worth a closer look, and the symmetry that brings the second of each nearest to the first."""
    waves = dctn(pictures, axes=(1, 2), norm="ortho")[:, :_WAVES, :_WAVES]
    turned = np.stack([_signatures(_turned_waves(waves, symmetry)) for symmetry in range(len(SYMMETRIES))])
    found: dict[tuple[int, int], int] = {}
    for start in range(0, len(waves), _ROWS):
        yield Progress(start, len(waves), "Looking for pictures that are alike")
        rows = turned[0, start : start + _ROWS]
        like, best = np.full((len(rows), len(waves)), -1.0, np.float32), np.zeros((len(rows), len(waves)), np.uint8)
        for symmetry, signatures in enumerate(turned):
            these = rows @ signatures.T
            better = these > like
            like[better], best[better] = these[better], symmetry
        like[np.arange(len(rows)), start + np.arange(len(rows))] = -1
        n = min(_N_CANDIDATES, len(waves) - 1)
        for i, others in enumerate(np.argpartition(-like, n - 1, axis=1)[:, :n] if n else ()):
            for j in others[like[i, others] >= _LEAST_LIKE]:
                pair = (start + i, int(j))
                if pair[0] < pair[1]:
                    found[pair] = int(best[i, j])
                else:  # the other way round it is the inverse: only quarter turns differ from theirs
                    found.setdefault((pair[1], pair[0]), {5: 6, 6: 5}.get(int(best[i, j]), int(best[i, j])))
    return found


def _turned_waves(waves: np.ndarray, symmetry: int) -> np.ndarray:
    """The cosine waves (N, k, k) of turned pictures."""
    signs = (-1.0) ** np.arange(_WAVES)
    waves = waves.transpose(0, 2, 1) if symmetry & 4 else waves
    return np.asarray(waves * (signs[:, None] if symmetry & 2 else 1) * (signs if symmetry & 1 else 1))


def _turned(picture: np.ndarray, symmetry: int) -> np.ndarray:
    """A square picture, turned as one of `SYMMETRIES` says: transposed, then upside down, then mirrored."""
    picture = picture.T if symmetry & 4 else picture
    return picture[:: -1 if symmetry & 2 else 1, :: -1 if symmetry & 1 else 1]


def _signatures(waves: np.ndarray) -> np.ndarray:
    rows = waves.reshape(len(waves), -1)[:, 1:].astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 0))


def _details(picture: np.ndarray) -> np.ndarray:
    fine = picture - ndimage.gaussian_filter(picture, _DETAIL_PX, mode="nearest")
    around = ndimage.gaussian_filter(fine * fine, _AROUND_PX, mode="nearest")
    steady = (_STEADY * fine.std()) ** 2
    return np.asarray(fine / np.sqrt(around + steady) if steady > 0 else fine, np.float32)


def _overlap(whole: np.ndarray, part: np.ndarray) -> float:
    """Best correlation of a picture with a window of another (both 64 x 64), over sizes and places of the window."""
    best = -1.0
    for side in _SIDES_PX:
        shrink = _SHRINK[side]
        template = shrink @ part @ shrink.T
        template = template - template.mean()
        windows = np.lib.stride_tricks.sliding_window_view(whole, (side, side)).reshape(-1, side * side)
        spread = np.sqrt(np.maximum(np.einsum("ij,ij->i", windows, windows) - windows.sum(1) ** 2 / side**2, 0))
        unit = spread * np.linalg.norm(template)
        products = windows @ template.ravel()
        best = max(best, float(np.max(np.divide(products, unit, out=np.full_like(products, -1), where=unit > 1e-6))))
    return best


_SHRINK = {side: shrinking(SMALL_PX, side).astype(np.float32) for side in _SIDES_PX}

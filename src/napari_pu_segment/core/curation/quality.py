"""MEASURES of how an image was taken; what stands apart in them; drifts over a set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..filters import compute
from ..robust import modified_z
from .embed import Windows, standardised
from .groups import UNDER

if TYPE_CHECKING:
    from .look import Look

_SIGMAS_PX = (0.7, 1.0, 2.0, 5.6)
_NOISE_ENERGY = np.array([0.0503, 0.0178])  # mean of g(1)^2 and g(2)^2 of white noise with a deviation of 1
_LEAST_ENERGY = 0.1  # of what there was before noise was taken off: nothing but noise has no sharpness to speak of
_FLOOR = 1e-6  # of an image's range
_LEAST_DRIFT = 20  # images
_LEAST_GROUP = 20


@dataclass(frozen=True)
class Measure:
    """One row of the table of measures.

    Parameters
    ----------
    title : str
    low, high : str
        What an image is called whose value is far below, or above, that of the others; empty where that is no fault.
    least : float
        A value that is called high is at least this.
    most : float
        A value that is called low is at most this.
    """

    title: str
    low: str = ""
    high: str = ""
    least: float = -np.inf
    most: float = np.inf


MEASURES: dict[str, Measure] = {
    "sharpness": Measure("Sharpness", low="blurred"),
    "structure": Measure("Structure", low="empty", most=-0.5),
    "clipped_fraction": Measure("Clipped fraction", high="saturated", least=0.01),
    "brightness": Measure("Brightness", low="dark", high="bright"),
    "contrast": Measure("Contrast", low="low contrast", high="high contrast"),
    "red_share": Measure("Share of the first colour", low="other colour", high="other colour"),
    "blue_share": Measure("Share of the last colour", low="other colour", high="other colour"),
}


def measure(windows: Windows) -> dict[str, float]:
    """The `MEASURES` of a plane.

    With the gradient magnitude g(s) of the grey picture at sigma s px, times s: sharpness is log of the root mean
    square of g(1) over that of g(2), both without that of white noise, for a defocused picture has the noise of a
    sharp one. Structure is log of the mean of g(5.6) over that of g(0.7), about -1.5 where there is nothing but
    white noise, and -4 where there is nothing at all. The clipped fraction is that of the pixels which have the
    largest value of their band, in the band with most of them, without one pixel for each window. Brightness is the
    median, contrast the range from the 1st to the 99th percentile, both averaged over bands and in the image's
    unit; a share is that of a band's median in the sum of the three, 0 for grey pictures.

    Parameters
    ----------
    windows : sequence of ndarray, (B, y, x)
    """
    pixels = np.concatenate([window.reshape(len(window), -1) for window in windows], axis=1)
    low, middle, high = np.percentile(pixels, (1, 50, 99), axis=1)
    share = np.abs(middle) / max(np.abs(middle).sum(), np.finfo(np.float32).tiny)
    grey = len(pixels) == 1
    clipped = ((pixels == pixels.max(1, keepdims=True)).sum(1) - len(windows)).max() / pixels.shape[1]
    return {
        **_gradients(windows, pixels.mean(0)),
        "clipped_fraction": float(max(clipped, 0)) if pixels.max() > pixels.min() else 0.0,
        "brightness": float(middle.mean()),
        "contrast": float((high - low).mean()),
        "red_share": 0.0 if grey else float(share[0]),
        "blue_share": 0.0 if grey else float(share[-1]),
    }


def _gradients(windows: Windows, grey: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(grey, (1, 99.5))
    low, unit = (low, high - low) if high > low else (grey.min(), np.ptp(grey))
    if not unit:
        return {"sharpness": 0.0, "structure": -4.0}
    pictures = [np.clip((window.mean(0) - low) / unit, -1, 2).astype(np.float32) for window in windows]
    maps = [compute(torch.from_numpy(one)[None, None], ("gradient",), _SIGMAS_PX)[0, 1:] for one in pictures]
    found = np.concatenate([one.reshape(len(one), -1).numpy() for one in maps], axis=1).astype(np.float64) + _FLOOR
    energy = (found[1:3] ** 2).mean(1)
    fine, coarse = np.maximum(energy - _NOISE_ENERGY * _noise(pictures) ** 2, _LEAST_ENERGY * energy)
    return {
        "sharpness": float(np.log(fine / coarse) / 2),
        "structure": float(np.log(found[3].mean() / found[0].mean())),
    }


def _noise(pictures: Sequence[np.ndarray]) -> float:
    """The deviation of white noise, by the mask that lets least of a picture through (Immerkaer 1996, CVIU 64:300)."""
    left = np.concatenate([np.diff(np.diff(picture, 2, axis=0), 2, axis=1).ravel() for picture in pictures])
    return float(np.median(np.abs(left)) / (0.6745 * 6)) if left.size else 0.0


def table_of(looks: Sequence[Look]) -> np.ndarray:
    """The measures (N, M) of all images, in the order of `MEASURES`."""
    return np.array([[look.measures[name] for name in MEASURES] for look in looks])


def findings(looks: Sequence[Look], groups: Sequence[Sequence[int]], limit: float) -> list[list[str]]:
    """What is odd about each image, in words.

    An image is compared with its group, or with the whole set where its group has fewer than 20 images or is less than
    half as large as an even share: a few images that are blurred alike may make a group. It is called what `MEASURES`
    say where its `modified_z` there is over the limit; and of other size, type, channels or axes where more than half
    agree and it does not.

    Parameters
    ----------
    looks : sequence of Look
    groups : sequence of sequence of int
        Their groups; every image is in one.
    limit : float
        In robust standard deviations.
    """
    found: list[list[str]] = [[] for _ in looks]
    everybody = range(len(looks))
    small = [i for group in groups if not _is_large(group, len(looks) / len(groups)) for i in group]
    for members, reference in [
        (small, everybody),
        *((group, group) for group in groups if not set(group) & set(small)),
    ]:
        told = _odd([looks[i] for i in reference], limit)
        place = {i: at for at, i in enumerate(reference)}
        for i in members:
            found[i] += told[place[i]]
    return found


def _is_large(group: Sequence[int], even_share: float) -> bool:
    return len(group) >= _LEAST_GROUP and len(group) > UNDER * even_share


def _odd(looks: Sequence[Look], limit: float) -> list[list[str]]:
    """What is odd about each of some images that are compared with one another."""
    values = table_of(looks)
    z = modified_z(values)
    found: list[list[str]] = [[] for _ in looks]
    for column, row in enumerate(MEASURES.values()):
        for i, mine in enumerate(found):
            high = z[i, column] > limit and values[i, column] >= row.least
            low = z[i, column] < -limit and values[i, column] <= row.most
            word = row.high if high else row.low if low else ""
            if word and word not in mine:
                mine.append(word)
    odd = {
        "other size": _others([look.shape[-2:] for look in looks]),
        "other type": _others([look.dtype for look in looks]),
        "other channels": _others([look.shape[0] for look in looks]),
        "other axes": _others([look.axes for look in looks]),
    }
    for word, members in odd.items():
        for i in members:
            found[i].append(word)
    return found


def _others(values: Sequence[Hashable]) -> list[int]:
    """Which values are not the one that more than half of them are, if there is one."""
    common, count = Counter(values).most_common(1)[0]
    return [i for i, value in enumerate(values) if value != common] if 2 * count > len(values) else []


def oddity(looks: Sequence[Look], seed: int) -> np.ndarray:
    """How unlike the others each image is, (N,), 0..1; about 0.5 and more is odd.

    The anomaly score of an isolation forest of 200 trees (Liu, Ting & Zhou 2008, ICDM) on the embedder's rows and the
    measures, each by its robust deviation within the set.
    """
    from sklearn.ensemble import IsolationForest

    rows = standardised(np.concatenate([np.array([look.row for look in looks]), table_of(looks)], axis=1))
    return np.asarray(-IsolationForest(n_estimators=200, random_state=seed).fit(rows).score_samples(rows))


@dataclass(frozen=True)
class Drift:
    """A measure that changes along the set, in the order of names.

    Parameters
    ----------
    measure : str
        A key of `MEASURES`.
    rho : float, -1..1
        Spearman's rank correlation with the place in the order.
    first, last : float
        Median of the first and of the last third of the images.
    """

    measure: str
    rho: float
    first: float
    last: float


def drifts(looks: Sequence[Look]) -> list[Drift]:
    """Measures that drift: exposure, stain, sharpness.

    In the natural order of names (2 before 10): Spearman's rho (Spearman 1904) of at least 0.5 in size with p < 0.001,
    and medians of the first and the last third that differ by more than twice the median absolute deviation within
    thirds. Sets of fewer than 20 images are told to drift in nothing.
    """
    from scipy.stats import spearmanr

    if len(looks) < _LEAST_DRIFT:
        return []
    order = sorted(range(len(looks)), key=lambda i: natural(looks[i].name))
    found = []
    for column, name in enumerate(MEASURES):
        values = table_of(looks)[order, column]
        thirds = np.array_split(values, 3)
        first, last = float(np.median(thirds[0])), float(np.median(thirds[-1]))
        noise = np.median(np.concatenate([np.abs(third - np.median(third)) for third in thirds]))
        if first == last or abs(last - first) <= 2 * noise:
            continue
        rho, p = spearmanr(np.arange(len(values)), values)
        if abs(rho) >= 0.5 and p < 0.001:
            found.append(Drift(name, float(rho), first, last))
    return found


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names with numbers by the size of the numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part[:18]), "") if part.isdecimal() and part.isascii() else (0, part) for part in parts]

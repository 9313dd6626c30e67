"""Where to ask the user next: ACQUISITIONS, and suggestions spread over image, planes and time.

A few answers must tell what objects and their surroundings are like on the whole: places where some measure is highest
are no fair sample of them. What suggestions bring depends on how training uses the answers; see their benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ..compute.runtime import set_threads
from ..errors import InputError, pick
from ..model import Model
from ..progress import Progress, Work
from ..samples import NEGATIVE, POSITIVE, UNLABELED, Sample
from ..settings import OneOf, Settings, advanced
from ..training.patches import find_strokes
from .places import Places, find_places

_LEAST = 1e-3  # added before a logarithm
_LEAST_PLACES = 16  # of the background, where few objects are predicted


@dataclass(frozen=True)
class Acquisition:
    """One row of the table of acquisition functions.

    Parameters
    ----------
    title : str
    reason : str
        Why a place is suggested, for the user; empty where that differs from place to place: see `explain`.
    utility : callable
        How useful an answer at each place would be, (N,), on a logarithmic scale; -inf: do not ask there.
    strata : int
        Parts, from low to high scores, that the questions of each side of the threshold are asked in, one after the
        other.
    """

    title: str
    reason: str
    utility: Callable[[Places], np.ndarray]
    strata: int = 1


def _uncertain(places: Places) -> np.ndarray:
    """log H: entropy as seen from the threshold."""
    return np.asarray(np.log(places.uncertainty + _LEAST))


def _unlike(places: Places) -> np.ndarray:
    """log of the distance in feature space to the nearest painted pixel (core-set; Sener & Savarese 2018)."""
    return np.asarray(np.log(places.novelty + _LEAST))


def _missed(places: Places) -> np.ndarray:
    """Where no object is predicted: how much nearer to painted objects than to painted background, in feature space."""
    positive = np.where(np.isfinite(places.to_positive), places.to_positive, 1)
    negative = np.where(np.isfinite(places.to_negative), places.to_negative, 1)
    likeness = np.log(negative + _LEAST) - np.log(positive + _LEAST)
    return np.where(places.foreground, -np.inf, likeness)


def _changed(places: Places) -> np.ndarray:
    """log of the change in probability since the round before."""
    return np.where(places.change > 0, np.log(places.change + _LEAST), -np.inf)


def _suspect(places: Places) -> np.ndarray:
    """log of the probability that the label of a rough mask is wrong, where that is likelier than not."""
    return np.where(places.distrust > 0.5, np.log(places.distrust + _LEAST), -np.inf)


def _mixed(places: Places) -> np.ndarray:
    """Anywhere in predicted objects; of the background, as much as there is of objects, what is most like them.

    Sampled evenly over the scores, stratum by stratum, half of it where objects are predicted.
    """
    foreground = places.foreground
    n = max(_LEAST_PLACES, int(foreground.sum()))
    background = np.where(foreground, -np.inf, places.scores)
    least = np.sort(background)[-min(n, len(background))]
    return np.where(foreground | (background >= least), 0.0, -np.inf)


ACQUISITIONS: dict[str, Acquisition] = {
    "mixed": Acquisition("Mixed", "", _mixed, strata=5),
    "uncertain": Acquisition("Uncertain", "uncertain", _uncertain),
    "unlike": Acquisition("Unlike anything painted", "unlike anything painted", _unlike),
    "missed": Acquisition("Likely missed", "likely missed object", _missed),
    "changed": Acquisition("Large change", "large change since the last round", _changed),
    "suspect": Acquisition("Suspect labels", "suspect label", _suspect),
}


class SuggestSettings(Settings):
    """Settings of `suggest`."""

    acquisition: Annotated[str, OneOf(ACQUISITIONS)] = advanced(
        default="mixed", title="Look for", description="What kind of place to be taken to."
    )
    n: int = advanced(default=8, ge=1, le=100, title="Places", description="How many to suggest at a time.")
    brush_px: float = advanced(
        default=0, ge=0, le=1000, title="Brush (px)", description="Width of an answer; 0: a hundredth of the image."
    )
    noise: float = advanced(
        default=0.25, ge=0, le=100, title="Noise", description="How far chance decides between places that are alike."
    )
    seed: int = advanced(default=0, ge=0, le=2**31 - 1, title="Seed", description="Same seed, same suggestions.")


@dataclass(frozen=True)
class Suggestion:
    """A place to ask the user about.

    Parameters
    ----------
    centre : tuple of int
        [T,] [Z,] Y, X in pixels of the image array.
    radius_px : float
        Of the dab that an answer paints: half the width of the brush, less at a predicted outline.
    reason : str
        Why there, in a few words for the user.
    score : float
        Higher is more useful; comparable within one list only.
    rough : bool or None
        What the rough mask says of the middle; None where it says nothing, or there is none.
    """

    centre: tuple[int, ...]
    radius_px: float
    reason: str
    score: float
    rough: bool | None = None


def suggest(
    sample: Sample,
    probability: np.ndarray,
    threshold: float,
    model: Model | None,
    settings: SuggestSettings | None = None,
    *,
    previous: np.ndarray | None = None,
    rough: np.ndarray | None = None,
    skipped: Sequence[Sequence[float]] = (),
) -> Work[list[Suggestion]]:
    """Places worth an answer.

    Places are looked at on a coarse grid, with one place at random in each cell. They are chosen one by one by the
    highest ``u + noise * g``, where `u` is the utility of the acquisition function and `g` is drawn from a Gumbel
    distribution (Gumbel-top-k sampling); in turn where an object is predicted and where none is, beginning with the
    kind of stroke of which there are fewer; each far from those chosen before and from those that were skipped.

    Parameters
    ----------
    sample : Sample
        The image, (C, [T,] [Z,] Y, X), and all strokes painted by now.
    probability : ndarray, ([T,] [Z,] Y, X), in [0, 1]
        Of the present result.
    threshold : float in [0, 1]
    model : Model or None
        Its intensity statistics and filters make the feature space; see `places.find_places`.
    settings : SuggestSettings, optional
    previous : ndarray, ([T,] [Z,] Y, X), optional
        The probability of the round before.
    rough : ndarray of label codes, ([T,] [Z,] Y, X), optional
        Of an unreliable mask, whose suspect places are looked for, too.
    skipped : sequence of points, ([T,] [Z,] Y, X)
        Places that the user did not want to answer.

    Returns
    -------
    list of Suggestion
        At most ``settings.n``, most useful first; empty where everything is painted, ignored or skipped.

    Raises
    ------
    InputError
        If the shapes do not fit, or the model cannot see such an image.
    """
    settings = settings or SuggestSettings()
    shape = sample.spatial_shape
    if model is not None:
        model.check_image(tuple(sample.image.shape), f"Image {sample.name!r}", sample.channel_names, sample.axes)
    for array in (probability, previous, rough):
        if array is not None and array.shape != shape:
            raise InputError(f"The result measures {array.shape} pixels, but the image {shape}. Train again.")
    set_threads(0 if model is None else int(model.card.settings.get("threads", 0)))
    yield Progress(0, 1, "Looking for places")
    radius = (settings.brush_px or default_brush_px(shape)) / 2
    strokes = find_strokes([sample])
    n_painted = len(strokes["positive"]), len(strokes["negative"])
    seed = (settings.seed, *n_painted, len(skipped))
    extra = {"previous": previous, "rough": rough}
    places = find_places(sample, probability, threshold, model, radius_px=radius, seed=seed, strokes=strokes, **extra)
    row = pick(ACQUISITIONS, settings.acquisition, "acquisition function")
    chosen = choose(places, row, settings, shape, n_painted, skipped, np.random.default_rng(seed))
    reasons = explain(places) if not row.reason else [row.reason] * len(places)
    centres = [tuple(map(int, centre)) for centre in places.centres]
    return [
        Suggestion(centres[i], float(places.radii_px[i]), reasons[i], score, _said(rough, centres[i]))
        for i, score in chosen
    ]


def _said(rough: np.ndarray | None, centre: tuple[int, ...]) -> bool | None:
    code = UNLABELED if rough is None else rough[centre]
    return bool(code == POSITIVE) if code in (POSITIVE, NEGATIVE) else None


def default_brush_px(shape: Sequence[int]) -> int:
    """Width of a dab: about a hundredth of an image's shorter side ([T,] [Z,] Y, X), as brush layers begin with."""
    return max(1, round(min(shape[-2:]) / 100))


def choose(
    places: Places,
    row: Acquisition,
    settings: SuggestSettings,
    shape: Sequence[int],
    n_painted: tuple[int, int],
    skipped: Sequence[Sequence[float]],
    rng: np.random.Generator,
) -> list[tuple[int, float]]:
    """Numbers of the chosen places with their utility; see `suggest`.

    Parameters
    ----------
    n_painted : (int, int)
        Strokes on objects and on background so far.
    """
    if not len(places):
        return []
    utility = row.utility(places)
    noisy = utility + settings.noise * rng.gumbel(size=len(places))
    points = _stretched(places.centres, shape)
    reach = math.sqrt(float(shape[-2]) * shape[-1] / max(settings.n, 4)) / 2
    noisy[_near(points, _stretched(np.reshape(skipped, (-1, len(shape))), shape), reach / 2)] = -np.inf
    chosen: list[tuple[int, float]] = []
    counts = list(n_painted)
    while len(chosen) < settings.n and (noisy > -np.inf).any():
        side = places.foreground if counts[0] <= counts[1] else ~places.foreground
        side = side if (noisy[side] > -np.inf).any() else ~side
        asked = np.where(_stratum(places, utility, side, row.strata, sum(counts) // 2), noisy, -np.inf)
        best = int((asked if (asked > -np.inf).any() else np.where(side, noisy, -np.inf)).argmax())
        counts[0 if places.foreground[best] else 1] += 1
        chosen.append((best, float(utility[best])))
        noisy[_near(points, points[best : best + 1], reach)] = -np.inf
    return chosen


def _stratum(places: Places, utility: np.ndarray, side: np.ndarray, n_strata: int, turn: int) -> np.ndarray:
    """The places of a side, (N,) bool, whose scores are in the stratum of that turn: the middle, low, high, between."""
    usable = np.flatnonzero(side & (utility > -np.inf))
    ordered = usable[np.argsort(places.scores[usable], kind="stable")]
    part = np.zeros(len(places), bool)
    part[np.array_split(ordered, n_strata)[(n_strata // 2 + 3 * turn) % n_strata]] = True
    return part


def explain(places: Places) -> list[str]:
    """What speaks most for each place: that by which it stands out among all places."""
    rows = [row for row in ACQUISITIONS.values() if row.reason]
    ranks = np.stack([_rank(row.utility(places)) for row in rows])
    return [rows[i].reason for i in ranks.argmax(0)]


def _rank(utility: np.ndarray) -> np.ndarray:
    """The fraction of places that are less useful, (N,)."""
    return np.searchsorted(np.sort(utility), utility) / max(1, len(utility))


def _stretched(points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Points in pixels of rows and columns; all planes together, and all times, count as long as a plane is wide."""
    scale = np.ones(len(shape))
    scale[:-2] = max(shape[-2:]) / np.array(shape[:-2])
    return np.asarray(points, float) * scale


def _near(points: np.ndarray, others: np.ndarray, reach: float) -> np.ndarray:
    """Which of the points (N, D) lie within `reach` of one of the others."""
    near = np.zeros(len(points), bool)
    for other in others:
        near |= ((points - other) ** 2).sum(1) <= reach**2
    return near

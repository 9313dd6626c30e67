"""UNLABELLED: what a classifier that only knows labelled pixels makes of those that nobody painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import expit

from .classifiers import log_odds

_WEAK = 0.3  # of the background's weight, where there are background strokes
_ROUNDS = 2  # of guessing what the unlabelled pixels are
_BAGS = 3

Learn: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], list[Any]]


@dataclass(frozen=True)
class Painted:
    """What is known.

    Parameters
    ----------
    rows : ndarray, (n, F)
        Features of painted pixels.
    classes : ndarray of int, (n,)
        0 is the background.
    weights : ndarray, (n,)
        Those of a class add up to 1.
    unlabelled : ndarray, (m, F)
        Features of pixels drawn uniformly from the images.
    prior : float
        Expected fraction of objects.
    """

    rows: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    unlabelled: np.ndarray
    prior: float

    @property
    def has_background(self) -> bool:
        """Whether any background was painted."""
        return bool((self.classes == 0).any())


@dataclass(frozen=True)
class UnlabelledRow:
    """One way: a title, classifiers from `learn(rows, classes, weights)`, and its source."""

    title: str
    fit: Callable[[Painted, Learn], list[Any]]
    reference: str


def left_out(known: Painted, learn: Learn) -> list[Any]:
    """Learn from painted pixels alone; where there is no painted background, as `as_background`."""
    if not known.has_background:
        return as_background(known, learn)
    return learn(known.rows, known.classes, known.weights)


def as_background(known: Painted, learn: Learn) -> list[Any]:
    """Take unlabelled pixels for background, of less weight than the painted one."""
    m, share = len(known.unlabelled), _WEAK / (1 + _WEAK) if known.has_background else 1.0
    weights = np.where(known.classes == 0, known.weights * (1 - share), known.weights)
    return learn(
        np.concatenate([known.rows, known.unlabelled]),
        np.concatenate([known.classes, np.zeros(m, int)]),
        np.concatenate([weights, np.full(m, share / m)]),
    )


def guessed(known: Painted, learn: Learn) -> list[Any]:
    """Every unlabelled pixel is both object and background, weighed by how likely it is each of them.

    With the classifiers of `as_background` at first, and then with those so found, a pixel's weight as an object is
    w = sigmoid(s + c), s its log odds and c such that the mean of w is the class prior; w / prior and (1 - w) / (1 -
    prior) then weigh as much together as the strokes (after Elkan & Noto 2008, KDD, section 4, where a held-out sample
    of objects takes the place of the class prior). With several classes of objects w is shared in proportion to them.
    """
    members = as_background(known, learn)
    m, k = len(known.unlabelled), int(known.classes.max())
    rows = np.concatenate([known.rows, *[known.unlabelled] * (k + 1)])
    classes = np.concatenate([known.classes, np.repeat(np.arange(k + 1), m)])
    for _ in range(_ROUNDS):
        shares = memberships(log_odds(members, known.unlabelled), known.prior)  # (m, K + 1)
        weights = shares / np.maximum(shares.sum(0), 1e-9)
        members = learn(rows, classes, np.concatenate([known.weights, weights.T.ravel()]))
    return members


def bagged(known: Painted, learn: Learn) -> list[Any]:
    """Some classifiers, each with other unlabelled pixels as background, as many as were painted on objects."""
    rng, members = np.random.default_rng(0), []
    n = min(len(known.unlabelled), max(int((known.classes > 0).sum()), 1))
    for _ in range(_BAGS):
        drawn = known.unlabelled[rng.choice(len(known.unlabelled), n, replace=False)]
        members += as_background(Painted(known.rows, known.classes, known.weights, drawn, known.prior), learn)
    return members


def memberships(odds: np.ndarray, prior: float) -> np.ndarray:
    """Shares (m, K + 1) of every pixel in background and classes, whose mean outside the background is the prior.

    Parameters
    ----------
    odds : ndarray, (m, K)
        Log odds of each class against the background.
    prior : float
    """
    highest = odds.max(axis=1)
    total = highest + np.log(np.exp(odds - highest[:, None]).sum(axis=1))  # of an object, whichever
    low, high = -50.0, 50.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if expit(total + middle).mean() > prior else (middle, high)
    objects = expit(total + (low + high) / 2)
    return np.column_stack([1 - objects, objects[:, None] * np.exp(odds - total[:, None])])


UNLABELLED: dict[str, UnlabelledRow] = {
    "soft": UnlabelledRow("Weighed by what they seem to be", guessed, "after Elkan & Noto 2008, KDD"),
    "weak": UnlabelledRow("Background of little weight", as_background, "Lee & Liu 2003, ICML"),
    "bagging": UnlabelledRow("Some as background, several times", bagged, "Mordelet & Vert 2014, PRL 37:201"),
    "none": UnlabelledRow("Left out", left_out, "strokes alone"),
}

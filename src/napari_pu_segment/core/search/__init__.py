"""The bench of the pixel search: fits candidates, and scores them by whole strokes that they have not seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..networks import NetworkSpec
from ..progress import Progress, Work
from .candidates import Candidate, Tried, columns_of
from .classifiers import fit_classifier, log_odds, odds_of
from .unlabelled import UNLABELLED, Painted

N_FOLDS = 3
_CLASS_ROWS, _POOL_ROWS, _SCORED_ROWS = 2000, 1500, 3000  # at most so many are fitted of a class, fitted, and scored
_TIMED_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Rows:
    """Features of the pixels of each stroke, by class (0: background), each (n, F), and of others.

    Parameters
    ----------
    strokes : sequence of sequence of ndarray
    unlabelled : ndarray, (m, F)
        Of pixels drawn uniformly from the images.
    timed : ndarray, (t, F)
        Of neighbouring pixels: those that it is measured with how long a prediction takes.
    """

    strokes: Sequence[Sequence[np.ndarray]]
    unlabelled: np.ndarray
    timed: np.ndarray


@dataclass(frozen=True)
class Fold:
    """Numbers of the strokes of each class that are learnt from, and of those that are held out."""

    seen: Sequence[Sequence[int]]
    held: Sequence[Sequence[int]]


def grouped_folds(counts: Sequence[int], seed: int) -> list[Fold]:
    """Folds of whole strokes; a class with a single stroke stands on both sides, for there is no other way.

    Parameters
    ----------
    counts : sequence of int
        Number of strokes of each class.
    """
    several = [n for n in counts if n > 1]
    n_folds = min([N_FOLDS, *several]) if several else 1
    rng = np.random.default_rng(seed)
    orders = [[int(i) for i in rng.permutation(n)] for n in counts]
    folds = []
    for number in range(n_folds):
        held = [order[number::n_folds] if len(order) > 1 else order for order in orders]
        seen = [[i for i in order if len(order) == 1 or i not in out] for order, out in zip(orders, held, strict=True)]
        folds.append(Fold(seen, held))
    return folds


@dataclass(frozen=True, eq=False)
class Held:
    """What a candidate says of what it did not see in a fold.

    Parameters
    ----------
    odds : sequence of sequence of ndarray, each (n, K)
        Log odds of the pixels of each stroke that was held out, by class.
    unlabelled : ndarray, (m, K)
        Of pixels drawn from the images.
    """

    odds: Sequence[Sequence[np.ndarray]]
    unlabelled: np.ndarray


@dataclass(frozen=True, eq=False)
class Judged:
    """A candidate on the bench: what it says fold by fold, its row of the table, and s/Mpx without the filters."""

    folds: Sequence[Held]
    row: Tried
    seconds: float


def score_of(folds: Sequence[Held], prior: float) -> float:
    """How much probability the right class got, in strokes that were held out: 0 to 1, a geometric mean.

    exp(-L), with L the log loss: the mean over the pixels of a stroke, over strokes, classes and folds. That of the
    background comes in halves from painted pixels, which almost anything tells from objects, and from unlabelled ones
    and the class prior pi, max(0, (E_U[-log(1 - p)] - pi E_P[-log(1 - p)]) / (1 - pi)); where none was painted, from
    the latter alone (Sakai et al. 2017, arXiv:1605.06955, with eta = 1/2; Kiryo et al. 2017, arXiv:1703.00593).
    """
    losses = []
    for held in folds:
        own = [_loss(part, k) for k, part in enumerate(held.odds)]
        objects = float(np.mean([_loss(part, 0) for part in held.odds[1:]]))
        hidden = max(0.0, (_loss([held.unlabelled], 0) - prior * objects) / (1 - prior))
        own[0] = (own[0] + hidden) / 2 if held.odds[0] else hidden
        losses.append(float(np.mean(own)))
    return float(np.exp(-np.mean(losses)))


def _loss(strokes: Sequence[np.ndarray], k: int) -> float:
    """Mean of -log p_k over strokes of log odds (n, K) against class 0; 0 where there are none."""
    found = []
    for odds in strokes:
        whole = np.column_stack([np.zeros(len(odds)), odds])
        found.append(float((np.logaddexp.reduce(whole, axis=1) - whole[:, k]).mean()))
    return float(np.mean(found)) if found else 0.0


class Bench:
    """Fits candidates and scores them.

    Parameters
    ----------
    rows : Rows
        Of the whole filter bank.
    bank : NetworkSpec
    prior : float
        The class prior: the expected fraction of objects.
    seed : int
    filters_cost : callable
        Seconds for each megapixel that the filters of some candidates take together.
    """

    def __init__(
        self,
        rows: Rows,
        bank: NetworkSpec,
        prior: float,
        seed: int,
        filters_cost: Callable[[Sequence[Candidate]], float],
    ) -> None:
        self.bank, self.prior, self._seed, self._filters_cost = bank, prior, seed, filters_cost
        rng = np.random.default_rng(seed)
        self._strokes = [_thinned(part, rng) for part in rows.strokes]
        order = rng.permutation(len(rows.unlabelled))
        n_seen = min(_POOL_ROWS, -(-len(order) // 2))
        self._seen = rows.unlabelled[order[:n_seen]]
        self.unseen = rows.unlabelled[order[n_seen:]] if len(order) > 1 else rows.unlabelled
        self._timed_rows = np.resize(rows.timed, (_TIMED_ROWS, rows.timed.shape[1]))
        self.folds = grouped_folds([len(part) for part in self._strokes], seed)

    @property
    def n_classes(self) -> int:
        """K, of objects."""
        return len(self._strokes) - 1

    def fit(self, one: Candidate) -> list[Any]:
        """Classifiers fitted to all strokes."""
        return self._fit(one, [range(len(part)) for part in self._strokes])

    def judge(self, one: Candidate, go_on: Callable[[float], bool], report: Progress) -> Work[Judged | None]:
        """Fit a candidate to each fold, and score it; None where it was given up.

        Parameters
        ----------
        one : Candidate
        go_on : callable
            Asked with the score so far after each fold, whether to go on.
        report : Progress
            What is yielded meanwhile.
        """
        columns, folds, seconds = columns_of(self.bank, one), [], 0.0
        unlabelled = self.unseen[:_SCORED_ROWS, columns]
        for fold in self.folds:
            yield report
            members = self._fit(one, fold.seen)
            odds = [
                [log_odds(members, part[i][:, columns]) for i in numbers]
                for part, numbers in zip(self._strokes, fold.held, strict=True)
            ]
            folds.append(Held(odds, log_odds(members, unlabelled)))
            if not go_on(score_of(folds, self.prior)):
                return None
            seconds = seconds or self._timed(members, columns)
        return Judged(
            folds,
            Tried(members=(one,), score=score_of(folds, self.prior), s_per_mpx=self._filters_cost([one]) + seconds),
            seconds,
        )

    def together(self, parts: Sequence[Judged]) -> Judged:
        """The mean of several candidates' log odds, on the bench."""
        folds = []
        for few in zip(*(part.folds for part in parts), strict=True):
            odds = [
                [np.mean(stroke, axis=0) for stroke in zip(*(held.odds[k] for held in few), strict=True)]
                for k in range(len(few[0].odds))
            ]
            folds.append(Held(odds, np.mean([held.unlabelled for held in few], axis=0)))
        members, seconds = tuple(one for part in parts for one in part.row.members), sum(part.seconds for part in parts)
        cost = self._filters_cost(members) + seconds
        return Judged(folds, Tried(members=members, score=score_of(folds, self.prior), s_per_mpx=cost), seconds)

    def _fit(self, one: Candidate, seen: Sequence[Sequence[int]]) -> list[Any]:
        columns = columns_of(self.bank, one)
        picked = [[part[i][:, columns] for i in numbers] for part, numbers in zip(self._strokes, seen, strict=True)]
        known = Painted(
            rows=np.concatenate([rows for part in picked for rows in part]),
            classes=np.repeat(np.arange(len(picked)), [sum(map(len, part)) for part in picked]),
            weights=np.concatenate([np.full(len(r), 1 / len(part) / len(r)) for part in picked for r in part]),
            unlabelled=self._seen[:, columns],
            prior=self.prior,
        )

        def learn(rows: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> list[Any]:
            return [fit_classifier(new, rows, classes, weights, self._seed) for new in one.make(self._seed)]

        return UNLABELLED[one.unlabelled].fit(known, learn)

    def _timed(self, members: Sequence[Any], columns: np.ndarray) -> float:
        """Seconds of computing for each megapixel, as the network computes; other programs do not count."""
        features = torch.from_numpy(np.ascontiguousarray(self._timed_rows[:, columns].T, dtype=np.float32))
        ready = [odds_of(one, np.arange(len(columns)), len(columns)) for one in members]
        began = time.thread_time()
        for odds in ready:
            odds(features)
        return (time.thread_time() - began) / _TIMED_ROWS * 1e6


def _thinned(strokes: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """At most `_CLASS_ROWS` rows of a class, as many of each stroke."""
    most = max(1, _CLASS_ROWS // max(len(strokes), 1))
    return [rows if len(rows) <= most else rows[rng.permutation(len(rows))[:most]] for rows in strokes]

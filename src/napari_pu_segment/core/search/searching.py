"""The search itself: well-tried candidates first, then what Optuna proposes, until the time is up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..progress import Progress, Ticker, Work
from . import Bench, Judged
from .candidates import Candidate, Tried
from .pipelines import DEFAULT_FOREST, PIPELINES
from .unlabelled import UNLABELLED

# At most so many of `_FIRST`, and of what came after, are kept: their log odds are averaged.
_WELL_TRIED, _OTHERS = 4, 2
_ALIKE = 2  # of the former of one pipeline
_SAFE = 0.45  # of the forest's time is what may be estimated of another: that of some forests comes out twice as long
_LEFT_TO_DO = 2.0  # as long as so many candidates take, for what comes after the search
_ROWS = 30  # of the table that is shown

_FOREST_FILTERS, _FOREST_SCALES = ("gaussian", "gradient", "hessian"), (0, 5)  # as most pixel classifiers have

_BANKS: dict[str, tuple[tuple[str, ...], tuple[float, float]]] = {
    "standard": (("gaussian", "gradient", "hessian", "opening"), (0, 10)),
    "fine": (("gaussian", "gradient", "hessian", "opening"), (0, 5)),
    "wide": (("gaussian", "gradient", "hessian", "opening", "spread"), (0, 64)),
    "texture": (("gaussian", "spread", "opening"), (0.9, 7)),
    "edges": (("gaussian", "hessian", "structure"), (0.9, 7)),
}
# Of twenty on real images with few strokes, those that were best somewhere; the first ones differ most.
_FIRST: tuple[tuple[str, dict[str, float], str, str], ...] = (
    ("logistic", {}, "standard", "soft"),
    ("mlp", {}, "fine", "soft"),
    ("forest", {}, "standard", "soft"),
    ("extra_trees", {}, "fine", "soft"),
    ("mlp", {}, "texture", "soft"),
    ("logistic", {"C": 0.1}, "fine", "soft"),
    ("forest", {}, "standard", "none"),
    ("logistic", {}, "wide", "soft"),
    ("mlp", {}, "standard", "weak"),
    ("boosting", {}, "standard", "weak"),
    ("extra_trees", {}, "edges", "soft"),
    ("logistic", {}, "standard", "weak"),
    ("mlp", {}, "wide", "soft"),
    ("logistic", {"C": 0.1}, "standard", "bagging"),
    ("extra_trees", {}, "standard", "weak"),
)
# With several classes a rare one is guessed wherever it is not quite ruled out, which is no help (measured).
_OF_CLASSES = {"soft": "none", "none": "weak"}


@dataclass(frozen=True)
class Space:
    """What is searched, and for how long.

    Parameters
    ----------
    pipelines : tuple of str
        Rows of `PIPELINES`.
    seed : int
    n_trials : int
        How many candidates to try; 0: as long as there is time. Speed then counts, too.
    """

    pipelines: tuple[str, ...]
    seed: int
    n_trials: int


@dataclass
class Clock:
    """When to stop, and when to report."""

    began_s: float
    deadline_s: float
    ticker: Ticker = field(default_factory=Ticker)

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.deadline_s

    @property
    def done(self) -> float:
        """Which part of the time is gone."""
        return min(1.0, (time.monotonic() - self.began_s) / max(self.deadline_s - self.began_s, 1e-9))


@dataclass(frozen=True)
class SearchTable:
    """What was tried so far.

    Parameters
    ----------
    rows : tuple of Tried
        The one that is kept, then the others, best first.
    forest : Tried or None
        The forest that other programs have as default, for comparison: none that is kept takes longer to predict.
    n_tried : int
    """

    rows: tuple[Tried, ...]
    forest: Tried | None
    n_tried: int


class Search:
    """A search, and what it has found so far."""

    def __init__(self, bench: Bench, space: Space, clock: Clock) -> None:
        self._bench, self._space, self._clock = bench, space, clock
        self._first_ones: list[Judged] = []
        self._others: list[Judged] = []
        self._forest: Tried | None = None
        self._best: Judged | None = None
        self._n_tried, self._began_s = 0, 0.0

    @property
    def table(self) -> SearchTable:
        """What was tried so far."""
        best = () if self._best is None or len(self._best.row.members) == 1 else (self._best.row,)
        rows = [one.row for one in _ranked([*self._first_ones, *self._others])]
        return SearchTable((*best, *rows)[:_ROWS], self._forest, self._n_tried)

    def run(self) -> Work[SearchTable]:
        """Search until the time is up, or so many candidates were tried.

        Candidates come from a tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS; Akiba et al. 2019,
        arXiv:1907.10902), after those of `_FIRST`; one that is worse on a fold than half of those before is given up.
        What is kept is the mean of the best few (after Caruana et al. 2004, ICML), most of them of `_FIRST`: with few
        strokes a winner among many has won by chance (measured: the best four of sixty are worse than the best four of
        the first fifteen).
        """
        import optuna

        self._began_s = time.monotonic()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        first = [values for one in _FIRST if (values := self._first(*one))]
        if not self._space.n_trials:
            yield from self._look_at_forest()
        sampler = optuna.samplers.TPESampler(seed=self._space.seed, n_startup_trials=len(first))
        pruner = optuna.pruners.MedianPruner(n_startup_trials=max(1, len(first)))
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        for known in first:
            study.enqueue_trial(known)
        while not self._first_ones + self._others or not self._enough():
            trial = study.ask()
            self._n_tried += 1
            judged = yield from self._tried(trial)
            if judged is None:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                continue
            study.tell(trial, judged.row.score)
            (self._first_ones if trial.number < len(first) else self._others).append(judged)
            self._best = self._blended()
            yield self._report()
        return self.table

    def _enough(self) -> bool:
        if self._space.n_trials:
            return self._n_tried >= self._space.n_trials
        mean_s = (time.monotonic() - self._began_s) / self._n_tried
        return time.monotonic() + _LEFT_TO_DO * mean_s >= self._clock.deadline_s

    def _look_at_forest(self) -> Work[None]:
        bank = self._bench.bank
        seen = tuple(s for s in bank.sigmas_px if s < _FOREST_SCALES[1]) or bank.sigmas_px
        names = tuple(f for f in _FOREST_FILTERS if f in bank.filters) or bank.filters
        one = Candidate(
            pipeline=DEFAULT_FOREST,
            parameters=dict(PIPELINES[DEFAULT_FOREST].default),
            filters=names,
            sigmas_px=seen,
            unlabelled="none",
        )
        judged = yield from self._bench.judge(one, lambda _: True, self._report())
        assert judged is not None
        self._forest = judged.row

    def _tried(self, trial: Any) -> Work[Judged | None]:
        one, steps = self._candidate(trial), iter(range(100))

        def go_on(score: float) -> bool:
            if self._best is None:
                return True
            trial.report(score, next(steps))
            return not (trial.should_prune() or (self._clock.over and not self._space.n_trials))

        judged = yield from self._bench.judge(one, go_on, self._report())
        too_slow = judged is not None and self._best is not None and judged.row.s_per_mpx > self._limit
        return None if too_slow else judged

    @property
    def _limit(self) -> float:
        return float("inf") if self._forest is None else _SAFE * self._forest.s_per_mpx

    def _blended(self) -> Judged:
        parts: list[Judged] = []
        for one in _ranked(self._first_ones):
            kind = one.row.members[0].pipeline
            alike = sum(part.row.members[0].pipeline == kind for part in parts)
            if len(parts) < _WELL_TRIED and alike < _ALIKE:
                parts = self._with(parts, one)
        most = len(parts) + _OTHERS
        for one in _ranked(self._others):
            if len(parts) < most:
                parts = self._with(parts, one)
        return self._bench.together(_ranked(parts))

    def _with(self, parts: list[Judged], one: Judged) -> list[Judged]:
        """The parts and one more, unless they are too slow then."""
        more = [*parts, one]
        return more if not parts or self._bench.together(more).row.s_per_mpx <= self._limit else parts

    def _report(self) -> Progress:
        table, n = self.table, self._space.n_trials
        said = f"Searching: {self._n_tried} tried"
        if table.rows:
            said += f", best {table.rows[0].score:.3f}"
        step, total = (self._n_tried, n) if n else (round(1000 * self._clock.done), 1000)
        return Progress(min(step, total), total, said, preview=table)

    def _first(self, pipeline: str, changed: dict[str, float], bank: str, unlabelled: str) -> dict[str, Any]:
        """A trial to begin with; empty where the space has no such pipeline."""
        if pipeline not in self._space.pipelines:
            return {}
        wanted, (low, high) = _BANKS[bank]
        unlabelled = _OF_CLASSES.get(unlabelled, unlabelled) if self._bench.n_classes > 1 else unlabelled
        own = self._bench.bank
        scales = [i for i, sigma in enumerate(own.sigmas_px) if low <= sigma <= high] or [0]
        parameters = {**PIPELINES[pipeline].default, **changed}
        return {
            "pipeline": pipeline,
            **{f"{pipeline}.{key}": parameters[key] for key in PIPELINES[pipeline].varies},
            **{f"filter.{name}": name in wanted for name in own.filters},
            "first_scale": scales[0],
            "last_scale": scales[-1],
            "unlabelled": unlabelled,
        }

    def _ways(self) -> list[str]:
        return [name for name in UNLABELLED if name != "soft" or self._bench.n_classes == 1]

    def _candidate(self, trial: Any) -> Candidate:
        name, own = trial.suggest_categorical("pipeline", list(self._space.pipelines)), self._bench.bank
        row, parameters = PIPELINES[name], dict(PIPELINES[name].default)
        for key, span in row.varies.items():
            kind = trial.suggest_int if isinstance(row.default[key], int) else trial.suggest_float
            parameters[key] = kind(f"{name}.{key}", span.low, span.high, log=span.log)
        kept = tuple(key for key in own.filters if trial.suggest_categorical(f"filter.{key}", [True, False]))
        last = len(own.sigmas_px) - 1
        ends = [trial.suggest_int(f"{end}_scale", 0, last) for end in ("first", "last")]
        return Candidate(
            pipeline=name,
            parameters=parameters,
            filters=kept or own.filters[:1],
            sigmas_px=own.sigmas_px[min(ends) : max(ends) + 1],
            unlabelled=trial.suggest_categorical("unlabelled", self._ways()),
        )


def _ranked(judged: Sequence[Judged]) -> list[Judged]:
    return sorted(judged, key=lambda one: -one.row.score)

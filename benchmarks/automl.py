"""The search for a pixel classifier against two AutoML libraries, FLAML and TPOT, in as many seconds each.

    python benchmarks/automl.py DATA [--methods search flaml] [--seconds 20] [--csv FILE]
    python benchmarks/automl.py DATA --methods tpot

They need `flaml[automl]` and `tpot`, which do not fit into one environment: each wants another XGBoost.

DATA holds cases with stored strokes of both kinds; the first image of each is taken. All get the same painted pixels,
with the same weights where the library takes any, and the same folds of whole strokes. The libraries see all the
filters and scales that the search chooses from, and no unlabelled pixels. The seconds begin with reading the strokes.
`dice` is with the threshold by the rule of the search, for all of them; `dice_half` from one half on. Prediction is
timed from the image to the probability, in seconds of computing on one thread.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from scipy.special import logit
from threadpoolctl import threadpool_limits

from benchmarks.cases import Case, Plan, find_cases
from benchmarks.peers import Stopwatch, toy_job
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.filters import compute
from napari_pu_segment.core.images.intensity import normalise
from napari_pu_segment.core.methods import METHODS, pixel_search
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.networks import stacked
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import ONE_CLASS, Sample
from napari_pu_segment.core.search import Bench
from napari_pu_segment.core.search.classifiers import LIMIT

FIELDS = ("case", "image", "seed", "method", "dice", "dice_half", "train_s", "s_per_mpx", "n_tried", "pipeline")
_CHUNK = 2**17  # pixels that are classified together


@dataclass(frozen=True, eq=False)
class Painted:
    """Features (n, F) of painted pixels, which are objects (n,), their weights, and the number of their fold."""

    rows: np.ndarray
    objects: np.ndarray
    weights: np.ndarray
    folds: np.ndarray
    seconds: float


@dataclass(frozen=True, eq=False)
class Fitted:
    """The probability of an object of rows (n, F), how many pipelines were tried, and which was kept."""

    ask: Callable[[np.ndarray], np.ndarray]
    n_tried: int
    pipeline: str


def by_flaml(known: Painted) -> Fitted:
    """FLAML's search, scored by log loss in the folds."""
    from flaml import AutoML

    library = AutoML()
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        library.fit(
            known.rows,
            known.objects.astype(int),
            sample_weight=known.weights,
            task="classification",
            metric="log_loss",
            time_budget=known.seconds,
            eval_method="cv",
            split_type="group",
            groups=known.folds,
            n_splits=len(np.unique(known.folds)),
            n_jobs=1,
            seed=0,
            verbose=0,
            log_file_name=log.name,
            log_type="all",
        )
        n_tried = sum(
            "record_id" in line and "curr_best" not in line for line in Path(log.name).read_text().splitlines()
        )
    return Fitted(lambda rows: library.predict_proba(rows)[:, 1], n_tried, str(library.best_estimator))


def by_tpot(known: Painted) -> Fitted:
    """TPOT's search, scored by log loss in the folds; it takes no weights. Its worker is not started on the clock."""
    from dask.distributed import Client
    from sklearn.model_selection import PredefinedSplit
    from tpot import TPOTClassifier

    library = TPOTClassifier(
        search_space="linear-light",  # its quicker one
        scorers=["neg_log_loss"],
        scorers_weights=[1.0],
        cv=PredefinedSplit(known.folds),
        max_time_mins=known.seconds / 60,
        max_eval_time_mins=known.seconds / 120,
        client=Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None),
        random_state=0,
        verbose=0,
    )
    library.fit(known.rows, known.objects.astype(int))
    steps = " + ".join(type(step).__name__ for _, step in library.fitted_pipeline_.steps)
    n_tried = sum(isinstance(one, float) and one > -np.inf for one in library.evaluated_individuals.iloc[:, 0])
    return Fitted(lambda rows: library.predict_proba(rows)[:, 1], n_tried, steps)


class Ruled:
    """What the threshold rule of the search asks of a network, answered by a library's classifier."""

    n_classes = 1

    def __init__(self, fitted: Fitted) -> None:
        self._fitted, self.threshold = fitted, 0.0

    def head(self, features: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.odds(features.numpy())[:, None])

    def odds(self, rows: np.ndarray) -> np.ndarray:
        odds = logit(np.asarray(self._fitted.ask(rows), np.float64))
        return np.clip(odds, -LIMIT, LIMIT)

    def rescale(self, offset: float, factor: float) -> None:
        self.threshold = offset


def by_library(case: Case, find: Callable[[Painted], Fitted], seconds: float) -> dict[str, object]:
    """What a library finds in the filter bank."""
    watch, deadline = Stopwatch(), time.monotonic() + seconds
    sample, settings = Sample(case.image, case.labels("both")), METHODS["pixel_search"].settings(threads=1)
    basis = run(pixel_search._basis([sample], settings, (), None))
    known = run(pixel_search._known([sample], ONE_CLASS, settings, basis, None, None))
    bench = Bench(known.rows, basis.spec, known.estimate.prior, settings.seed, lambda _: 0.0)
    fitted = find(_painted(bench, deadline))
    ruled = Ruled(fitted)
    pixel_search._settle(ruled, known.batch, settings.threshold, known.estimate.prior)
    train_s, began = watch.lap(), time.process_time()
    spec, piece = basis.spec, stacked(torch.from_numpy(normalise(case.image, basis.stats[0])), 0)
    with torch.inference_mode():
        maps = compute(piece, spec.filters, spec.sigmas_px, spec.plane_px, torch.float16).flatten(2)[0]
    parts = [ruled.odds(part.T.float().numpy()) for part in maps.split(_CHUNK, 1)]
    odds, speed = np.concatenate(parts).reshape(case.truth.shape), time.process_time() - began
    facts = {"n_tried": fitted.n_tried, "pipeline": fitted.pipeline}
    return {**_dices(odds, ruled.threshold, case), "train_s": train_s, "s_per_mpx": speed / odds.size * 1e6, **facts}


def _painted(bench: Bench, deadline: float) -> Painted:
    """The pixels that the bench of the search has; those of a stroke that is in all folds are dealt to them."""
    rows, objects, weights, numbers = [], [], [], []
    for kind, strokes in enumerate(bench._strokes):
        for i, stroke in enumerate(strokes):
            n = len(stroke)
            rows.append(stroke)
            objects.append(np.full(n, kind == 1))
            weights.append(np.full(n, 1 / len(strokes) / n))
            folds = [number for number, fold in enumerate(bench.folds) if i in fold.held[kind]]
            numbers.append(np.resize(folds, n))
    whole = np.concatenate(weights)
    whole *= len(whole) / whole.sum()
    left_s = max(1.0, deadline - time.monotonic())
    return Painted(np.concatenate(rows), np.concatenate(objects), whole, np.concatenate(numbers), left_s)


def by_search(case: Case, seconds: float) -> dict[str, object]:
    """What `pixel_search` finds."""
    method, watch = METHODS["pixel_search"], Stopwatch()
    model = run(method.train([Sample(case.image, case.labels("both"))], method.settings(seconds=seconds, threads=1)))
    train_s, began = watch.lap(), time.process_time()
    probability = predict(model, case.image)
    speed = (time.process_time() - began) / probability.size * 1e6
    threshold, found = float(model.network.offset), model.card.found
    facts = {"n_tried": found.n_tried, "pipeline": found.pipeline}
    dices = _dices(logit(np.float64(probability)) + threshold, threshold, case)
    return {**dices, "train_s": train_s, "s_per_mpx": speed, **facts}


def _dices(odds: np.ndarray, threshold: float, case: Case) -> dict[str, float]:
    levels = {"dice": threshold, "dice_half": 0.0}
    return {name: scores(odds >= level, case.truth, case.valid)["dice"] for name, level in levels.items()}


RUNS: dict[str, Callable[[Case, float], dict[str, object]]] = {
    "search": by_search,
    "flaml": lambda case, seconds: by_library(case, by_flaml, seconds),
    "tpot": lambda case, seconds: by_library(case, by_tpot, seconds),
}


def _found(name: str, case: Case, seconds: float) -> dict[str, object]:
    try:
        return RUNS[name](case, seconds)
    except Exception as error:  # TPOT has none of its own for a time that was too short
        return {"pipeline": f"none: {error}"}


def summary(rows: list[dict[str, Any]]) -> str:
    """Dice of each case and method, and the means; then prediction and training times, by the median and the worst."""
    rows = [row for row in rows if "dice" in row]
    names, table = list(dict.fromkeys(row["method"] for row in rows)), {}
    for row in rows:
        table.setdefault(row["case"], {})[row["method"]] = row
    lines = ["| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for case, found in table.items():
        lines.append(f"| {case} | " + " | ".join(f"{found[n]['dice']:.3f}" if n in found else "" for n in names) + " |")
    for n in names:
        some = {key: np.array([row[key] for row in rows if row["method"] == n]) for key in FIELDS[4:9]}
        lines.append(
            f"{n}: {len(some['dice'])} images, mean Dice {some['dice'].mean():.3f} by the rule and "
            f"{some['dice_half'].mean():.3f} from one half on; {np.median(some['s_per_mpx']):.2f} s/Mpx "
            f"({some['s_per_mpx'].max():.2f} at most); trained {np.median(some['train_s']):.1f} s "
            f"({some['train_s'].max():.1f} at most); {np.median(some['n_tried']):g} tried"
        )
    return "\n".join(lines)


def main() -> None:
    """Run all, write one row for each, and print means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--methods", nargs="*", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--csv", type=Path, default=Path("automl.csv"))
    options, done = parser.parse_args(), []
    set_threads(1)
    warnings.simplefilter("ignore")
    firsts = {case.case: case for case in reversed(list(find_cases(options.data, Plan(1, names=tuple(options.cases)))))}
    for name in options.methods:
        _found(name, toy_job().case, 3)  # what is imported and compiled shall not be timed
    with threadpool_limits(1), options.csv.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, FIELDS)
        writer.writeheader()
        for case in reversed(firsts.values()):
            for name in options.methods:
                row = {"case": case.case, "image": case.stem, "seed": case.seed, "method": name}
                row |= _found(name, case, options.seconds)
                writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
                handle.flush()
                done.append(row)
    print(summary(done))


if __name__ == "__main__":
    main()

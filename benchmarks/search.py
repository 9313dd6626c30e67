"""How well a search for a pixel classifier does in 20 and in 60 seconds, against the default forest in the same run.

    python benchmarks/search.py DATA [--cases nuclei_fluo astro_kids] [--seconds 20 60] [--csv FILE]

DATA holds cases with stored strokes of both kinds. The forest is that of `peers.py`: 100 trees on scikit-image's
features, a mask from one half on. Prediction is timed from the image to the probability, features and all, in
seconds of computing on one thread. `busy` is the part of the time that the search had the processor: on a busy
computer it tries less.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.cases import MODES, Case, Plan, find_cases
from benchmarks.peers import Stopwatch, features, forest
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample

FIELDS = ("case", "image", "seed", "strokes", "method", "dice", "train_s", "busy", "s_per_mpx", "n_tried", "pipeline")


def by_forest(case: Case, mode: str) -> dict[str, object]:
    """The default forest; without strokes on background, as many random pixels are taken for it."""
    codes, watch, began = case.labels(mode).ravel(), Stopwatch(), time.process_time()
    rows = features(case.image)
    features_s = time.process_time() - began
    positive, negative = np.flatnonzero(codes == POSITIVE), np.flatnonzero(codes == NEGATIVE)
    if not len(negative):
        negative = np.random.default_rng(0).choice(np.flatnonzero(codes == 0), len(positive), replace=False)
    chosen = np.concatenate([positive, negative])
    model = forest(1).fit(rows[chosen], np.isin(chosen, positive))
    train_s, began = watch.lap(), time.process_time()
    mask = model.predict_proba(rows)[:, 1].reshape(case.truth.shape) >= 0.5
    speed = (features_s + time.process_time() - began) / case.truth.size * 1e6
    return {"method": "forest", **_dice(mask, case), "train_s": train_s, "s_per_mpx": speed}


def by_search(case: Case, mode: str, seconds: float) -> dict[str, object]:
    """What a search of so many seconds finds."""
    method, watch, began = METHODS["pixel_search"], Stopwatch(), time.process_time()
    settings = method.settings(seconds=seconds, threads=1)
    model = run(method.train([Sample(case.image, case.labels(mode))], settings))
    busy, train_s, began = time.process_time() - began, watch.lap(), time.process_time()
    mask = predict(model, case.image) >= model.card.threshold
    speed, found = (time.process_time() - began) / case.truth.size * 1e6, model.card.found
    facts = {"n_tried": found.n_tried, "pipeline": found.pipeline}
    return {
        "method": f"{seconds:g} s",
        **_dice(mask, case),
        "train_s": train_s,
        "busy": busy / train_s,
        "s_per_mpx": speed,
        **facts,
    }


def _dice(mask: np.ndarray, case: Case) -> dict[str, float]:
    return {"dice": scores(mask, case.truth, case.valid)["dice"]}


def measure(cases: Iterator[Case], modes: list[str], seconds: list[float]) -> Iterator[dict[str, object]]:
    """All rows, as they are measured."""
    for case in cases:
        for mode in modes:
            for found in (by_forest(case, mode), *(by_search(case, mode, s) for s in seconds)):
                yield {"case": case.case, "image": case.stem, "seed": case.seed, "strokes": mode, **found}


def summary(rows: list[dict[str, object]]) -> str:
    """Mean Dice of each case and method, and of all cases; then the ratio of speeds, its worst and its median."""
    lines = []
    for mode in dict.fromkeys(row["strokes"] for row in rows):
        some = [row for row in rows if row["strokes"] == mode]
        methods, table = list(dict.fromkeys(row["method"] for row in some)), defaultdict(dict)
        for case in dict.fromkeys(row["case"] for row in some):
            for name in methods:
                table[case][name] = np.mean([r["dice"] for r in some if (r["case"], r["method"]) == (case, name)])
        lines += [f"\nstrokes: {mode}", "| case | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
        lines += [
            f"| {case} | " + " | ".join(f"{row[name]:.3f}" for name in methods) + " |" for case, row in table.items()
        ]
        means = [f"{np.mean([row[name] for row in table.values()]):.3f}" for name in methods]
        lines.append("| mean | " + " | ".join(means) + " |")
        speed = {n: np.array([r["s_per_mpx"] for r in some if r["method"] == n]) for n in methods}
        ratios = {n: speed["forest"] / speed[n] for n in methods[1:]}
        lines += [
            f"{n}: {np.median(r):.2f} times as fast as the forest, {r.min():.2f} at worst" for n, r in ratios.items()
        ]
        late = {n: max(r["train_s"] for r in some if r["method"] == n) for n in methods[1:]}
        lines += [f"{n}: {s:.1f} s at most" for n, s in late.items()]
    return "\n".join(lines)


def main() -> None:
    """Run all, write one row for each, and print means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--strokes", nargs="*", choices=MODES, default=["both"])
    parser.add_argument("--seconds", nargs="*", type=float, default=[20.0, 60.0])
    parser.add_argument("--seeds", type=int, default=1, help="use stroke seeds below this")
    parser.add_argument("--images", type=int, default=99, help="of each case")
    parser.add_argument("--csv", type=Path, default=Path("search.csv"))
    options, done, counts = parser.parse_args(), [], defaultdict(set)
    set_threads(1)
    cases = (
        case
        for case in find_cases(options.data, Plan(seeds=options.seeds, names=tuple(options.cases)))
        if len(counts[case.case] | {case.stem}) <= options.images and not counts[case.case].add(case.stem)
    )
    with threadpool_limits(1), options.csv.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, FIELDS)
        writer.writeheader()
        for row in measure(cases, options.strokes, options.seconds):
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
            handle.flush()
            done.append(row)
    print(summary(done))


if __name__ == "__main__":
    main()

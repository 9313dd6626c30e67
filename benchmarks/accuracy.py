"""Dice of the plugin and of its rivals on images with truth: all runs in a CSV file, tables on the screen, plots.

    python benchmarks/accuracy.py [FOLDER] [--methods ours forest] [--prior auto true 0.67 1.5] [--plots DIR]

FOLDER is a case or holds cases: `images/`, `truth/` (same names; non-zero = object), and where there are any
`strokes/` (`<stem>_seed<k>`, codes 0, 1 positive, 2 negative) and `valid/` (1 = pixel is scored). Missing strokes are
simulated. Of a stack, the plane with the strokes is used. Without FOLDER, synthetic frames of the aurora are made.

One process, one image after the other, threads fixed; all methods of a run see the same strokes. Dice is that of the
mask a user gets (our method: its own threshold; others: 0.5), `dice_refined` that after the dense CRF, the same for
every method, and `dice_at_coverage` that of the mask which is made as large as the truth: a reference that no user has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.cases import MODES, Case, Plan, find_cases, synthetic_cases
from benchmarks.foreign import foreign_peers
from benchmarks.peers import PEERS, Job, Outcome, Peer, Stopwatch, toy_job
from benchmarks.report import against, cases_table, priors_table, strokes_table, summary
from benchmarks.rows import Row, write_rows
from benchmarks.strokes import SIMULATORS
from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.pipeline import refine

_LOWEST, _HIGHEST = 0.001, 0.98  # bounds of a prior that is told


def told_prior(case: Case, told: str) -> float | None:
    """The prior that a method is told: None for "auto", else the true one times the factor."""
    if told == "auto":
        return None
    factor = 1.0 if told == "true" else float(told)
    return float(np.clip(case.class_prior * factor, _LOWEST, _HIGHEST))


def evaluate(name: str, peer: Peer, job: Job, told: str, refined: bool = True, save: Path | None = None) -> Row:
    """Run a method once, refine what it made where that is asked for, and score both."""
    case = job.case
    outcome = peer.run(job)
    mask = threshold_mask(outcome.probability, outcome.threshold, job.labels)
    dice_refined, refine_s = float("nan"), float("nan")
    if refined:
        watch, settings = Stopwatch(), CrfSettings()
        labels, threshold = job.labels, outcome.threshold
        result = refine(case.image, outcome.probability, settings, labels=labels, threshold=threshold)
        refine_s = watch.lap()
        dice_refined = scores(result.mask, case.truth, case.valid)["dice"]
    if save is not None:
        _save(save, name, job, outcome)
    covered = np.quantile(outcome.probability[case.valid], 1 - case.class_prior)
    found = scores(mask, case.truth, case.valid)
    return {
        **{"case": case.case, "image": case.stem, "seed": case.seed, "strokes": job.mode, "method": name},
        **{"n_strokes": case.n_strokes, "simulator": case.simulator},
        **{"told_prior": told if told in ("auto", "true", "-") else f"x{told}", "true_prior": case.class_prior},
        **{"prior": outcome.prior, "mpx": case.truth.size / 1e6},
        **{key: found[key] for key in ("dice", "precision", "recall")},
        "dice_refined": dice_refined,
        "dice_at_coverage": scores(outcome.probability >= covered, case.truth, case.valid)["dice"],
        "dice_at_half": scores(outcome.probability >= 0.5, case.truth, case.valid)["dice"],
        **{"train_s": outcome.train_s, "predict_s": outcome.predict_s, "refine_s": refine_s},
    }


def _save(folder: Path, name: str, job: Job, outcome: Outcome) -> None:
    case = job.case
    np.savez(
        folder / f"{case.case}-{case.stem}-{case.seed}-{job.mode}-{name}.npz",
        probability=outcome.probability,
        threshold=outcome.threshold,
        image=case.image,
        labels=job.labels,
        truth=case.truth,
        valid=case.valid,
    )


def measure(cases: Iterator[Case], peers: dict[str, Peer], options: argparse.Namespace) -> Iterator[Row]:
    """All rows: cases x strokes x methods x priors, as they are measured. What is told no prior runs once."""
    settings = dict(pair.split("=", 1) for pair in options.set)
    for case in cases:
        if not (case.strokes == 1).any() or not 0 < case.class_prior < 1:
            print(f"{case.case}/{case.stem} has no object, or nothing else: left out", file=sys.stderr)
            continue
        for mode in MODES if options.strokes == "all" else (options.strokes,):
            for name, peer in peers.items():
                if mode not in peer.modes:
                    continue
                for told in options.prior if peer.uses_prior else ("-",):
                    prior = None if told == "-" else told_prior(case, told)
                    job = Job(case, mode, prior, options.threads, settings)
                    yield evaluate(name, peer, job, told, name in options.refine, options.save)


def warm_up(peers: dict[str, Peer], n_channels: int, threads: int) -> None:
    """Run everything once on a small image, so that no import is timed."""
    for name, peer in peers.items():
        if not peer.slow:
            evaluate(name, peer, toy_job(n_channels, peer.modes[-1], threads), "true")


def read_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    quick = [name for name, peer in PEERS.items() if not peer.slow]
    parser.add_argument("folder", type=Path, nargs="?", help="default: synthetic frames")
    parser.add_argument("--methods", nargs="+", default=quick, choices=[*PEERS], metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--refine", nargs="*", default=["ours", "forest"], metavar="NAME", help="methods to refine")
    parser.add_argument("--prior", nargs="+", default=["auto"], help="auto, true, or factors on the true prior")
    parser.add_argument("--strokes", choices=[*MODES, "all"], default="all", help="kinds of strokes")
    parser.add_argument("--n-strokes", type=int, nargs="+", default=[], help="simulate so many strokes of each kind")
    parser.add_argument("--simulator", choices=[*SIMULATORS], default="centre_line", help="of strokes")
    parser.add_argument("--cases", nargs="+", default=[], help="names of cases; default: all")
    parser.add_argument("--seeds", type=int, default=3, help="use stroke seeds below this")
    parser.add_argument("--frames", type=int, default=2, help="number of synthetic frames")
    parser.add_argument("--side", type=int, default=384, help="side of the synthetic frames, px")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--external", nargs="+", default=[], metavar="NAME=PYTHON", help="apoc, convpaint: see README")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of our method")
    parser.add_argument("--csv", type=Path, default=Path("accuracy.csv"))
    parser.add_argument("--plots", type=Path, help="folder for plots")
    parser.add_argument("--save", type=Path, help="folder for probabilities, for tuning what comes after")
    options = parser.parse_args(words)
    for told in options.prior:
        if told not in ("auto", "true"):
            try:
                float(told)
            except ValueError:
                parser.error(f"--prior takes auto, true or a number, not {told!r}")
    return options


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, run, write, print."""
    options = read_options(words)
    for folder in (options.save, options.plots, options.csv.parent):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(options.seeds, tuple(options.n_strokes), options.simulator, tuple(options.cases))
    peers = {name: PEERS[name] for name in options.methods} | foreign_peers(options.external)
    set_threads(options.threads)
    with threadpool_limits(options.threads):
        cases = (
            find_cases(options.folder, plan) if options.folder else synthetic_cases(plan, options.frames, options.side)
        )
        first = next(cases, None)
        if first is None:
            sys.exit(
                f"There are no cases in {options.folder}: it needs folders images and truth, or folders with these."
            )
        warm_up(peers, len(first.image), options.threads)
        again = (
            find_cases(options.folder, plan) if options.folder else synthetic_cases(plan, options.frames, options.side)
        )
        rows = write_rows(options.csv, measure(again, peers, options))
    show(rows, options)


def show(rows: list[Row], options: argparse.Namespace) -> None:
    """Print the tables, and draw the plots."""
    tables = [summary(rows), cases_table(rows)]
    if "ours" in options.methods:
        tables.append(priors_table(rows))
        if "forest" in options.methods and options.strokes != "positive":
            tables.append(against(rows))
    if len(options.n_strokes) > 1:
        tables.append(strokes_table(rows))
    print("\n\n".join(tables))
    print(f"\n{len(rows)} runs; all of them in {options.csv}")
    if options.plots:
        from benchmarks.plots import draw

        print("plots: " + ", ".join(map(str, draw(rows, options.plots))))


if __name__ == "__main__":
    main()

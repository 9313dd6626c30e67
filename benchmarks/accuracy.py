"""Dice of the default method on cases with truth and strokes: a table on the screen, all runs in a CSV file.

    python benchmarks/accuracy.py FOLDER [--prior true] [--csv accuracy.csv]

FOLDER holds cases, or is one: `images/`, `truth/` (non-zero = object), `strokes/` (codes 0, 1 positive, 2 negative;
`<stem>_seed<k>`), optionally `valid/` (1 = pixel is scored). Of a stack, the plane with the strokes is used.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_pu_segment import io
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.pipeline import segment
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, UNLABELED, Sample

MODES = ("positive", "both")


@dataclass(frozen=True)
class Case:
    """One stroke file with its image (C, Y, X), truth (Y, X) and scored pixels (Y, X)."""

    case: str
    stem: str
    seed: int
    image: np.ndarray
    strokes: np.ndarray
    truth: np.ndarray
    valid: np.ndarray


def find_cases(folder: Path) -> Iterator[Case]:
    """Every stroke file below a folder of cases."""
    for stroke_file in sorted(folder.glob("strokes/*")) or sorted(folder.glob("*/strokes/*")):
        home = stroke_file.parent.parent
        stem, _, seed = stroke_file.stem.rpartition("_seed")
        image = io.read_image(_same_stem(home / "images", stem)).image
        truth = io.read_mask(_same_stem(home / "truth", stem))
        strokes = io.read_labels(stroke_file)
        valid_file = _same_stem(home / "valid", stem)
        valid = io.read_mask(valid_file) if valid_file else np.ones(truth.shape, bool)
        if truth.ndim == 3:
            z = int((strokes > 0).sum((1, 2)).argmax())
            image, truth, strokes, valid = image[:, z], truth[z], strokes[z], valid[z]
        yield Case(home.name, stem, int(seed), image, strokes, truth, valid)


def _same_stem(folder: Path, stem: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"{stem}.*"))), None)


def evaluate(case: Case, mode: str, prior: str, values: dict[str, str], save: Path | None) -> dict[str, object]:
    """One training and its scores."""
    labels = case.strokes.copy()
    if mode == "positive":
        labels[labels == NEGATIVE] = UNLABELED
    true_prior = float(case.truth[case.valid].mean())
    settings = METHODS["pu"].settings().changed(values)
    if prior == "true":
        settings = settings.changed({"prior": "fixed", "class_prior": true_prior})
    begin = time.perf_counter()
    model = run(METHODS["pu"].train([Sample(case.image, labels)], settings))
    trained = time.perf_counter()
    result = run(segment(model, case.image, labels=labels, crf=CrfSettings()))
    if save is not None:
        np.savez(
            save / f"{case.case}-{case.stem}-{case.seed}-{mode}.npz",
            probability=result.probability,
            threshold=result.threshold,
            image=case.image,
            labels=labels,
            truth=case.truth,
            valid=case.valid,
        )
    return {
        "case": case.case,
        "image": case.stem,
        "seed": case.seed,
        "strokes": mode,
        "dice": scores(result.mask, case.truth, case.valid)["dice"],
        "dice_at_half": scores(result.probability >= 0.5, case.truth, case.valid)["dice"],
        "dice_refined": scores(result.refined, case.truth, case.valid)["dice"],
        "true_prior": true_prior,
        "prior": model.card.class_prior,
        "train_s": trained - begin,
        "predict_and_refine_s": time.perf_counter() - trained,
    }


def table(rows: list[dict[str, object]]) -> str:
    """Mean Dice for each case and kind of strokes, and the mean over cases."""
    columns = ("dice_at_half", "dice", "dice_refined")
    cells: dict[tuple[str, str], dict[str, float]] = {}
    grouped = defaultdict(list)
    for row in rows:
        grouped[row["case"], row["strokes"]].append(row)
    for key, group in grouped.items():
        cells[key] = {column: float(np.mean([row[column] for row in group])) for column in columns}
    names = sorted({case for case, _ in cells})
    for mode in MODES:
        present = [cells[name, mode] for name in names if (name, mode) in cells]
        cells["mean over cases", mode] = {c: float(np.mean([cell[c] for cell in present])) for c in columns}
    lines = ["| case | " + " | ".join(f"{m}: {c}" for m in MODES for c in columns) + " |", "|---" * 7 + "|"]
    for name in [*names, "mean over cases"]:
        numbers = [f"{cells[name, mode][c]:.3f}" if (name, mode) in cells else "" for mode in MODES for c in columns]
        lines.append(f"| {name} | " + " | ".join(numbers) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prior", choices=["true", "auto"], default="true", help="true: the fraction of the truth")
    parser.add_argument("--strokes", choices=[*MODES, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=1000, help="use stroke seeds below this")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the method")
    parser.add_argument("--csv", type=Path, default=Path("accuracy.csv"))
    parser.add_argument("--save", type=Path, help="folder for probabilities, for tuning what comes after")
    arguments = parser.parse_args()
    if arguments.save:
        arguments.save.mkdir(parents=True, exist_ok=True)
    values = dict(pair.split("=", 1) for pair in arguments.set)
    modes = MODES if arguments.strokes == "all" else (arguments.strokes,)
    rows = [
        evaluate(case, mode, arguments.prior, values, arguments.save)
        for case in find_cases(arguments.folder)
        if case.seed < arguments.seeds
        for mode in modes
    ]
    if not rows:
        parser.error(f"no stroke files below {arguments.folder}")
    with arguments.csv.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(table(rows))
    print(f"\n{len(rows)} runs, prior: {arguments.prior}; all of them in {arguments.csv}")


if __name__ == "__main__":
    main()

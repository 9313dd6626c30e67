"""How far the estimated sensitivity and purity are from the true ones.

    python benchmarks/curves.py FOLDER [--seeds 3] [--out FILE.csv]

FOLDER holds cases with images/, truth/ and strokes/, see `accuracy.py`. The method `pu` is trained with its defaults on
the strokes, `cluster` on three cases without any; each predicts the image that it was trained on. At the thresholds
0.05, 0.1, ... 0.95, sensitivity and purity by pixels are compared with what `estimated_curve` says, which is what the
window shows, with the probabilities as they are, and, for the sensitivity, with the share of the positive strokes'
pixels. `own` is the model's own threshold alone.
"""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.cases import MODES, Plan, find_cases
from benchmarks.detections import SETTINGS as OF_SOURCES
from benchmarks.zero_strokes import images_of
from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.clustering.settings import ClusterSettings
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.coverage import measure_coverage
from napari_pu_segment.core.curve import estimated_curve
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, POSITIVE, Sample

WITHOUT_STROKES = ("nuclei_fluo", "phase_t98g", "astro_kids")
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)
FIGURES = ("truth", "plain", "shifted", "strokes")
COLUMNS = ("way", "case", "image", "seed", "own", "threshold", *(f"{one}_{k}" for one in FIGURES for k in "sp"))
Row = tuple[str, str, str, int, bool, float, *tuple[float, ...]]
Found = tuple[str, str, str, int, Sample, np.ndarray, np.ndarray, Model]


def trained(folder: Path, seeds: int) -> Iterator[Found]:
    """Way, case, image, seed, sample, truth, scored pixels, model."""
    for case in find_cases(folder, Plan(seeds)):
        for mode in MODES:
            sample = Sample(case.image, case.labels(mode))
            model = run(METHODS["pu"].train([sample], METHODS["pu"].settings(threads=1, seed=case.seed)))
            yield f"pu, {mode}", case.case, case.stem, case.seed, sample, case.truth, case.valid, model
    for name in WITHOUT_STROKES:
        settings = OF_SOURCES if name == "astro_kids" else ClusterSettings(threads=1)
        for stem, image, truth in images_of(folder / name, 0):
            for seed in range(seeds):
                model = run(METHODS["cluster"].train([Sample(image)], settings.changed({"seed": seed})))
                yield "cluster", name, stem, seed, Sample(image), truth, np.ones(truth.shape, bool), model


def compared(found: Found) -> Iterator[Row]:
    """The true and the estimated figures at each threshold."""
    way, case, stem, seed, sample, truth, valid, model = found
    labels = np.where(valid, np.uint8(0), np.uint8(IGNORE)) if sample.labels is None else sample.labels.copy()
    labels[~valid] = IGNORE
    valid, probability, own = labels != IGNORE, predict(model, sample.image), float(np.ravel(model.threshold)[0])
    mask = threshold_mask(probability, own, labels)
    curve = estimated_curve(run(measure_coverage(probability, mask, labels)), own)
    p = probability[valid].astype(np.float64)
    for threshold, is_own in [*((float(t), False) for t in THRESHOLDS), (own, True)]:
        over = probability >= np.float32(threshold)
        true = scores(over, truth, valid)
        plain = p[p >= threshold].sum() / p.sum(), p[p >= threshold].mean() if over[valid].any() else np.nan
        purity = true["precision"] if over[valid].any() else np.nan
        painted = labels == POSITIVE
        strokes = over[painted].mean() if painted.any() else np.nan
        figures = (true["recall"], purity, *plain, *curve.at(threshold), strokes, np.nan)
        yield way, case, stem, seed, is_own, threshold, *(round(float(figure), 4) for figure in figures)


def show(rows: list[Row]) -> None:
    """Mean absolute errors of sensitivity and purity: of images, then cases, then methods."""
    for way in dict.fromkeys(row[0] for row in rows):
        means = []
        for case in dict.fromkeys(row[1] for row in rows if row[0] == way):
            part = [row for row in rows if row[:2] == (way, case)]
            means.append(np.concatenate([_errors(part, own) for own in (False, True)]))
            print(f"{way:13s} {case:16s} " + "  ".join(f"{value:.3f}" for value in means[-1]))
        print(f"{way:13s} {'mean':16s} " + "  ".join(f"{value:.3f}" for value in np.mean(means, 0)), flush=True)


def _errors(rows: list[Row], own: bool) -> np.ndarray:
    """Mean absolute errors (6,), of all but the truth, of sensitivity and purity."""
    values = np.array([row[6:] for row in rows if row[4] == own])
    return np.asarray(np.nanmean(np.abs(values[:, 2:] - np.tile(values[:, :2], 3)), 0))


def main() -> None:
    """Measure, print the mean errors, and write all rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/curves.csv"))
    given = parser.parse_args()
    set_threads(1)
    warnings.filterwarnings("ignore", "Mean of empty slice")  # there are no strokes, or nothing is found
    rows = [row for found in trained(given.folder, given.seeds) for row in compared(found)]
    with open(given.out, "w", newline="") as handle:
        csv.writer(handle).writerows([COLUMNS, *rows])
    print("sensitivity and purity: plain, shifted, strokes; the same at the own threshold")
    show(rows)


if __name__ == "__main__":
    main()

"""Learning from rough masks: leave one image out, one image clean, triangles for masks on all others.

    python benchmarks/noisy_masks.py FOLDER [--seeds 3] [--cases NAME ...] [--published] [--out FILE.csv]

FOLDER holds cases with images/ and truth/. For every test image and seed, each row of `LEARNERS` is trained on the same
data, and judged by the Dice of its mask at a probability of one half. `auc` is how well the label trust of the
re-weighted model ranks the pixels of the rough masks: the chance that a wrong label is trusted less than a right one.
`trusted` is the Dice with all masks true: re-weighted, and plain training on all of them. `seconds` are those of one
core. `--published` takes the settings of the original, with a U-Net, for all learners; without the trusted masks, as a
training takes minutes.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from napari_pu_segment.core.corrupt import CorruptSettings, corrupt
from napari_pu_segment.core.methods.reweight import AS_PUBLISHED, LEARNERS, ReweightSettings, train
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.training.fit import FeatureCache
from napari_pu_segment.core.training.trust import label_trust
from napari_pu_segment.io import read_image

CASES = ("skin_lesion", "nuclei_fluo")
COLUMNS = ("case", "image", "seed", "learner", "dice", "auc", "seconds")


def codes(mask: np.ndarray) -> np.ndarray:
    """Label codes of a mask that says something everywhere."""
    return np.where(mask, POSITIVE, NEGATIVE).astype(np.uint8)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Overlap of two masks."""
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))


def read_case(folder: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, image (C, Y, X) and truth (Y, X), of numbered objects or 0 and 1, of every image."""
    found = []
    for path in sorted((folder / "images").iterdir()):
        truth = next((folder / "truth").glob(path.stem + ".*"))
        found.append((path.stem, np.asarray(read_image(path).image), np.asarray(read_image(truth).image[0])))
    return found


def samples_of(case: list[tuple[str, np.ndarray, np.ndarray]], test: int, seed: int, rough: bool) -> list[Sample]:
    """The training images, one of them with its true mask."""
    others = [i for i in range(len(case)) if i != test]
    clean = others[seed % len(others)]
    found = []
    for i in others:
        name, image, truth = case[i]
        if i == clean:
            found.append(Sample(image, codes(truth > 0), "clean", name))
        else:
            mask = corrupt(truth, CorruptSettings(vertices=3, seed=100 * seed + i)) if rough else truth > 0
            found.append(Sample(image, codes(mask), "noisy", name))
    return found


def auc_of(model: Model, samples: list[Sample], truths: dict[str, np.ndarray]) -> float:
    """How well low trust finds wrong labels, over all rough masks."""
    doubt, wrong = [], []
    for sample in samples:
        if sample.trust == "noisy":
            doubt.append(1 - label_trust(predict(model, sample.image), sample.labels).ravel())
            wrong.append((sample.labels == POSITIVE).ravel() != truths[sample.name].ravel())
    return float(roc_auc_score(np.concatenate(wrong), np.concatenate(doubt)))


def rows_of(name: str, folder: Path, seeds: int, published: bool) -> list[tuple[object, ...]]:
    """One row for each test image, seed and learner."""
    case, cache, rows = read_case(folder / name), FeatureCache(2**32), []
    truths = {image: truth > 0 for image, _, truth in case}
    base = AS_PUBLISHED if published else ReweightSettings()
    for seed in range(seeds):
        for test, (image_name, image, truth) in enumerate(case):
            rough, true = samples_of(case, test, seed, True), samples_of(case, test, seed, False)
            plans = [(learner, learner, rough) for learner in LEARNERS]
            if not published:
                plans += [("trusted reweight", "reweight", true), ("trusted plain", "mixture", true)]
            for title, learner, samples in plans:
                settings = base.changed({"learner": learner, "seed": seed, "threads": 1})
                began = time.process_time()  # of one core, whatever else runs
                model = run(train(samples, settings, cache=cache))
                seconds = time.process_time() - began
                score = dice(predict(model, image) >= 0.5, truth > 0)
                auc = auc_of(model, samples, truths) if title == "reweight" else float("nan")
                rows.append((name, image_name, seed, title, round(score, 4), round(auc, 4), round(seconds, 2)))
    return rows


def main() -> None:
    """Measure, print the means and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--cases", nargs="*", default=CASES)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/noisy_masks.csv"))
    given = parser.parse_args()
    rows = [row for name in given.cases for row in rows_of(name, given.folder, given.seeds, given.published)]
    for name in given.cases:
        for learner in dict.fromkeys(row[3] for row in rows):
            part = [row for row in rows if row[0] == name and row[3] == learner]
            by_seed = [np.mean([row[4] for row in part if row[2] == seed]) for seed in range(given.seeds)]
            auc = np.nanmean([row[5] for row in part]) if learner == "reweight" else float("nan")
            print(
                f"{name:12s} {learner:16s} Dice {np.mean(by_seed):.3f} ({min(by_seed):.3f} to {max(by_seed):.3f}), "
                f"AUC {auc:.3f}, {np.median([row[6] for row in part]):.2f} s"
            )
    with open(given.out, "w", newline="") as handle:
        csv.writer(handle).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()

"""A time series from strokes on some of its frames, scored on the others.

    python benchmarks/series.py FOLDER [--frames 0 2] [--prior auto true] [--csv FILE]

FOLDER is a case as in `accuracy.py` whose images, in the order of their names, are the frames of one series. `series`
trains on all frames at once, with strokes on those given; `frames` trains on these frames alone.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.pipeline import segment, train
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.io import read_image, read_labels, read_mask


def runs(folder: Path, frames: list[int], priors: list[str]) -> Iterator[dict[str, Any]]:
    """One row for every seed of strokes, prior and way of training."""
    paths = sorted((folder / "images").iterdir())
    image = np.stack([read_image(path).image for path in paths], axis=1)  # (C, T, Y, X)
    truths = [next((folder / "truth").glob(f"{path.stem}.*")) for path in paths]
    truth = np.stack([read_mask(path) for path in truths])
    others = np.ones(truth.shape, bool)
    others[frames] = False
    for seed in range(3):
        labels = np.zeros(truth.shape, np.uint8)
        for t in frames:
            labels[t] = read_labels(next((folder / "strokes").glob(f"{paths[t].stem}_seed{seed}.*")))
        whole = [Sample(image, labels, axes="CTYX")]
        apart = [Sample(image[:, t], labels[t]) for t in frames]
        for told in priors:
            prior = {} if told == "auto" else {"prior": "fixed", "class_prior": float(truth.mean())}
            for kind, samples in {"series": whole, "frames": apart}.items():
                model = train(samples, PuSettings(threads=1, **prior))
                found = run(segment(model, image, axes="CTYX"))
                yield {
                    "kind": kind,
                    "told_prior": told,
                    "seed": seed,
                    "dice_others": scores(found.mask, truth, others)["dice"],
                    "dice_painted": scores(found.mask, truth, ~others)["dice"],
                    "worst_frame": min(
                        scores(found.mask[t], truth[t])["dice"] for t in range(len(truth)) if t not in frames
                    ),
                    "prior": model.card.class_prior,
                    "true_prior": float(truth.mean()),
                }


def main() -> None:
    """Run, print, and write a CSV file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", nargs="+", type=int, default=[0, 2])
    parser.add_argument("--prior", nargs="+", default=["auto", "true"])
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    rows = []
    for row in runs(given.folder, given.frames, given.prior):
        rows.append(row)
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
    for told in given.prior:
        for kind in ("series", "frames"):
            part = [row for row in rows if (row["kind"], row["told_prior"]) == (kind, told)]
            means = {key: round(float(np.mean([row[key] for row in part])), 3) for key in part[0] if "dice" in key}
            print(told, kind, means)
    if given.csv:
        with given.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

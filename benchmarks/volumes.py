"""A volume from strokes on one plane: filters on planes against filters in 3-D, isotropic or heeding the voxels' size.

    python benchmarks/volumes.py FOLDER [--prior auto true] [--only planes volume isotropic] [--csv FILE]

FOLDER is a case as in `accuracy.py` whose images are stacks. Planes whose truth is empty are not scored: in the stack
that the documentation quotes nobody drew them. Every stored stroke file is one run. `volume` divides sigmas through
planes by their distance, `isotropic` takes planes for as far apart as pixels are; `half` and `double` are told half and
twice the distance.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.pipeline import predict, train
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.io import read_image, read_labels, read_mask

KINDS: dict[str, dict[str, Any]] = {
    "planes": {"dimensions": "planes"},
    "volume": {"dimensions": "volume", "plane_px": 1.0},
    "isotropic": {"dimensions": "volume", "plane_px": 1.0},
    "half": {"dimensions": "volume", "plane_px": 0.5},
    "double": {"dimensions": "volume", "plane_px": 2.0},
    "unet": {"dimensions": "planes", "network": "unet"},
    "unet 3-D": {"dimensions": "volume", "network": "unet", "plane_px": 1.0},
}


def settings_of(kind: str, plane_px: float, prior: float | None, extra: dict[str, Any]) -> PuSettings:
    """Settings of a run; all kinds but `isotropic` have their distance of planes multiplied by the stack's."""
    values = {"threads": 1, **KINDS[kind], **extra}
    if "plane_px" in values and kind != "isotropic":
        values["plane_px"] *= plane_px
    if prior is not None:
        values |= {"prior": "fixed", "class_prior": prior}
    return PuSettings(**values)


def runs(
    folder: Path, kinds: list[str], priors: list[str], plane_px: float, extra: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """One row for every image, stroke file, kind and prior."""
    for path in sorted((folder / "images").iterdir()):
        image, truth = read_image(path).image, read_mask(folder / "truth" / path.name)
        drawn = np.zeros_like(truth)
        drawn[truth.any((1, 2))] = True
        for strokes in sorted((folder / "strokes").glob(f"{path.stem}_seed*")):
            sample = Sample(image, read_labels(strokes))
            for told in priors:
                for kind in kinds:
                    prior = None if told == "auto" else float(truth[drawn].mean())
                    yield _run(sample, truth, drawn, settings_of(kind, plane_px, prior, extra)) | {
                        "kind": kind,
                        "told_prior": told,
                        "strokes": strokes.stem,
                    }


def _run(sample: Sample, truth: np.ndarray, drawn: np.ndarray, settings: PuSettings) -> dict[str, Any]:
    start = time.perf_counter()
    model = train([sample], settings)
    trained = time.perf_counter()
    probability = predict(model, sample.image)
    done = time.perf_counter()
    mask = threshold_mask(probability, model.card.threshold, sample.labels)
    painted = (sample.labels != 0).any((1, 2))
    others = drawn & ~painted[:, None, None]
    least = np.quantile(probability[drawn], 1 - truth[drawn].mean())
    return {
        "dice": scores(mask, truth, drawn)["dice"],
        "dice_others": scores(mask, truth, others)["dice"],
        "dice_at_coverage": scores(probability >= least, truth, drawn)["dice"],
        "prior": model.card.class_prior,
        "train_s": trained - start,
        "predict_s": done - trained,
        "plane_px": model.card.network.plane_px,
    }


def main() -> None:
    """Run, print, and write a CSV file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prior", nargs="+", default=["auto", "true"])
    parser.add_argument("--only", nargs="+", default=["planes", "volume", "isotropic"], choices=KINDS)
    parser.add_argument("--plane-px", type=float, default=45 / 4.6, help="distance of the stack's planes in pixels")
    parser.add_argument("--set", nargs="*", default=[], help="further settings, name=value")
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    extra = PuSettings().changed(dict(part.split("=", 1) for part in given.set)).to_dict()
    extra = {name: extra[name] for name in (part.split("=", 1)[0] for part in given.set)}
    rows = []
    for row in runs(given.folder, given.only, given.prior, given.plane_px, extra):
        rows.append(row)
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    for told in given.prior:
        for kind in given.only:
            part = [row for row in rows if (row["kind"], row["told_prior"]) == (kind, told)]
            means = {
                k: round(float(np.mean([row[k] for row in part])), 3)
                for k in part[0]
                if not isinstance(part[0][k], str)
            }
            print(told, kind, means)
    if given.csv:
        with given.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

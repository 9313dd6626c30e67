"""Sources found without strokes, against SExtractor's algorithms (the package sep).

    python benchmarks/detections.py FOLDER/astro_kids [--seeds 5] [--out FILE.csv]

FOLDER/astro_kids holds images/ and truth/, numbered sources that were found in other, deeper bands. A source counts as
found if the middle of a detection lies on it, or one pixel beside it; a detection that finds no source, or one that was
found already, is false. Completeness is the share of sources found, purity that of detections that are true. Both
change with a threshold: of probability for the method `cluster` and `find_objects`, of the noise for sep. What is
compared is completeness at equal purity. One model is trained on all images, without any stroke.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import sep

from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.clustering.settings import ClusterSettings
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.objects import ObjectSettings, find_objects
from napari_pu_segment.core.objects.detections import around, matches, middles
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.io import read_image

SETTINGS = ClusterSettings(intensity="asinh", sigmas_px=(1.6, 3.5), one_sided=True, threads=1)
OBJECTS = ObjectSettings(splitter="probability", min_size_px=5)
PROBABILITIES = (0.3, 0.32, 0.34, 0.36, 0.38, 0.4, 0.42, 0.46, 0.5, 0.6, 0.7)
NOISES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0)
PURITIES = (0.75, 0.8, 0.85, 0.87, 0.9)
COLUMNS = ("way", "seed", "threshold", "completeness", "purity", "n_detections")
Places = Callable[[int, float], np.ndarray]  # (n, 2), of an image's number and a threshold


def kernel(fwhm_px: float) -> np.ndarray:
    """A Gaussian to filter with, as SExtractor's own files hold."""
    y, x = np.mgrid[-3:4, -3:4]
    return np.asarray(np.exp(-4 * np.log(2) * (x**2 + y**2) / fwhm_px**2))


SEP: dict[str, dict[str, object]] = {
    "sep": {},
    "sep, nothing parted": {"deblend_cont": 1.0},
    "sep, wide filter": {"filter_kernel": kernel(4.0)},
    "sep, wide filter, nothing parted": {"filter_kernel": kernel(4.0), "deblend_cont": 1.0},
}


def of_sep(images: Sequence[np.ndarray], options: dict[str, object]) -> Places:
    """Detections of sep with its background, on an image (1, Y, X)."""

    def places(number: int, threshold: float) -> np.ndarray:
        image = images[number][0].astype(np.float64)
        image = image / np.median(np.abs(image))  # it fails on units as small as these
        background = sep.Background(np.ascontiguousarray(image))
        found = sep.extract(image - background, threshold, err=background.globalrms, minarea=5, **options)
        return np.stack([found["y"], found["x"]], 1)

    return places


def of_clusters(images: Sequence[np.ndarray], seed: int) -> Places:
    """Detections of the method `cluster`, one model for all images."""
    settings = SETTINGS.changed({"seed": seed})
    model = run(METHODS["cluster"].train([Sample(image) for image in images], settings))
    probabilities = [predict(model, image) for image in images]

    def places(number: int, threshold: float) -> np.ndarray:
        probability = probabilities[number]
        objects = run(find_objects(threshold_mask(probability, threshold), OBJECTS, probability=probability))
        return middles(objects, probability)

    return places


def judge(places: Places, threshold: float, truths: Sequence[np.ndarray]) -> tuple[float, float, int]:
    """Completeness, purity and number of detections, over all images."""
    n_found = n_detections = 0
    for number, truth in enumerate(truths):
        found = places(number, threshold)
        n_found += matches(found, around(truth))
        n_detections += len(found)
    n_sources = sum(len(np.unique(truth)) - 1 for truth in truths)
    return n_found / n_sources, n_found / max(n_detections, 1), n_detections


def at_purity(rows: Sequence[tuple[float, float]], purity: float) -> float:
    """The largest completeness at that purity, between measured points of (completeness, purity); NaN beyond them."""
    found = [
        a[0] + (b[0] - a[0]) * (purity - a[1]) / (b[1] - a[1])
        for a, b in pairwise(rows)
        if min(a[1], b[1]) <= purity <= max(a[1], b[1]) and a[1] != b[1]
    ]
    return max(found, default=float("nan"))


def main() -> None:
    """Measure, print completeness at some purities, and write all rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/detections.csv"))
    given = parser.parse_args()
    paths = sorted((given.folder / "images").iterdir())
    images = [np.asarray(read_image(path).image) for path in paths]
    truths = [np.asarray(read_image(next((given.folder / "truth").glob(p.stem + ".*"))).image[0]) for p in paths]
    ways = [(name, 0, of_sep(images, options), NOISES) for name, options in SEP.items()]
    ways += [("cluster", seed, of_clusters(images, seed), PROBABILITIES) for seed in range(given.seeds)]
    rows = []
    for name, seed, places, thresholds in ways:
        curve = [judge(places, threshold, truths) for threshold in thresholds]
        rows += [(name, seed, at, round(c, 4), round(p, 4), n) for at, (c, p, n) in zip(thresholds, curve, strict=True)]
        points = [(c, p) for c, p, _ in curve]
        print(f"{name:34s} {seed} " + " ".join(f"{p}: {at_purity(points, p):.3f}" for p in PURITIES), flush=True)
    with open(given.out, "w", newline="") as handle:
        csv.writer(handle).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()

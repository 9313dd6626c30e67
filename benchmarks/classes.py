"""Dice of several classes of objects: the plugin and a random forest, on the same strokes.

    python benchmarks/classes.py FOLDER [--truth truth_classes] [--seeds 3] [--methods ours forest search]

FOLDER holds `images/` and `truth_classes/` (same names; 0 background, 1, 2, 3 ... classes). `--truth truth truth_cell`
instead makes the classes of masks, the first where they overlap. Six strokes are simulated on each class and on the
background, in the order of the classes, with a generator of the given seed: the same strokes for every method. Of a
stack, the plane with most of the first class is used.

The forest is scikit-learn's default of 100 trees on scikit-image's multi-scale features, as in `peers.py`. `search`
looks for a pixel classifier for 20 s. Dice is that of the masks that a user gets, before and after the dense CRF over
all classes, which all get with its defaults.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.cases import same_stem
from benchmarks.peers import Stopwatch, features, forest
from benchmarks.strokes import SIMULATORS, paint
from napari_pu_segment import io
from napari_pu_segment.core.classes import threshold_mask, unnamed
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.metrics import scores_of_classes
from napari_pu_segment.core.pipeline import refine, segment
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, Sample, classes_of, code_of

Outcome = tuple[np.ndarray, float]
"""Probabilities (K, Y, X) and seconds."""


def found(folder: Path, truths: list[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Every image of a folder: its stem, the image (C, Y, X), and the numbers of classes (Y, X)."""
    for file in io.list_images(folder / "images"):
        files = [same_stem(folder / name, file.stem) for name in truths]
        if not all(files):
            continue
        image = io.read_image(file).image
        if len(files) == 1:
            numbers = np.asarray(io.read_numbers(files[0]))
        else:
            masks = [np.asarray(io.read_mask(one)) for one in files]
            numbers = np.select(masks, range(1, len(masks) + 1), 0).astype(np.uint8)
        if numbers.ndim == 3:
            plane = int((numbers == 1).sum((1, 2)).argmax())
            image, numbers = image[:, plane], numbers[plane]
        yield file.stem, np.asarray(image), numbers


def strokes(numbers: np.ndarray, seed: int, n: int) -> np.ndarray:
    """Label codes (Y, X): `n` strokes along the centre lines of each class, then of the background."""
    line, on_objects_px, on_background_px = SIMULATORS["centre_line"]
    rng, codes = np.random.default_rng(seed), np.zeros(numbers.shape, np.uint8)
    for number in range(1, int(numbers.max()) + 1):
        codes[paint(numbers == number, n, rng, line, on_objects_px)] = code_of(number - 1)
    codes[paint(numbers == 0, n, rng, line, on_background_px)] = NEGATIVE
    return codes


def trained(method: str, **settings: float) -> Callable[[np.ndarray, np.ndarray, int], Outcome]:
    """A method of the plugin."""

    def outcome(image: np.ndarray, codes: np.ndarray, n_classes: int) -> Outcome:
        watch, row = Stopwatch(), METHODS[method]
        model = run(row.train([Sample(image, codes, classes=unnamed(n_classes))], row.settings(**settings)))
        return run(segment(model, image)).probability, watch.lap()

    return outcome


def of_forest(image: np.ndarray, codes: np.ndarray, n_classes: int) -> Outcome:
    """The random forest."""
    watch, rows, flat = Stopwatch(), features(image), codes.ravel()
    numbers, painted = classes_of(flat), np.flatnonzero(flat)
    model = forest(1).fit(rows[painted], numbers[painted])
    chances = model.predict_proba(rows).T.reshape(-1, *codes.shape).astype(np.float32)
    return chances[1 : n_classes + 1], watch.lap()


METHODS_COMPARED = {"ours": trained("pu"), "forest": of_forest, "search": trained("pixel_search", seconds=20)}


def measured(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, str | float]]:
    """One row for each image, seed and method."""
    for stem, image, numbers in found(folder, options.truth):
        n_classes = int(numbers.max())
        for seed in range(options.seeds):
            codes = strokes(numbers, seed, options.n_strokes)
            for name in options.methods:
                probability, seconds = METHODS_COMPARED[name](image, codes, n_classes)
                half = (0.5,) * n_classes
                refined = refine(image, probability, CrfSettings(), labels=codes, threshold=half).mask
                row: dict[str, str | float] = {"image": stem, "seed": seed, "method": name, "seconds": seconds}
                for kind, mask in (("mask", threshold_mask(probability, half)), ("refined", refined)):
                    told = scores_of_classes(mask, numbers)
                    row |= {f"{kind}_{number}": value for number, value in told["dice"].items()}
                    row |= {f"{kind}_mean": told["mean_dice"], f"{kind}_objects": told["mean_dice_objects"]}
                print(
                    f"{stem} seed {seed} {name}: {row['mask_mean']:.3f}, refined {row['refined_mean']:.3f}", flush=True
                )
                yield row


def main() -> None:
    """Read the command line, run, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--truth", nargs="+", default=["truth_classes"], help="folders of the truth")
    parser.add_argument("--seeds", type=int, default=3, help="use stroke seeds below this")
    parser.add_argument("--n-strokes", type=int, default=6, help="on each class and on the background")
    parser.add_argument("--methods", nargs="+", choices=METHODS_COMPARED, default=["ours", "forest"])
    parser.add_argument("--csv", type=Path, default=Path("classes.csv"))
    options = parser.parse_args()
    set_threads(1)
    with threadpool_limits(1):
        rows = list(measured(options.folder, options))
    if not rows:
        sys.exit(f"There are no images with {' and '.join(options.truth)} in {options.folder}.")
    with options.csv.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for name in options.methods:
        own = [row for row in rows if row["method"] == name]
        means = {
            key: float(np.mean([float(row[key]) for row in own])) for key in own[0] if key not in ("image", "method")
        }
        print(f"{name:8}" + "".join(f" {key} {value:.3f}" for key, value in means.items() if key != "seed"))


if __name__ == "__main__":
    main()

"""What pretraining is worth: Dice after few strokes, with and without an encoder of the other images.

    python benchmarks/pretraining.py FOLDER [--cases ...] [--seeds 5] [--first-seed 0] [--ways cold simclr]
                                     [--set KEY=VALUE] [--weights FILE] [--csv FILE]

FOLDER holds cases with images/ and truth/. The images of a case are dealt to two halves by turns; the encoder of one
half serves the images of the other, so that none is segmented by an encoder that saw it. A model is trained on one
image, with two strokes on objects and two on background. `own` is Dice of that image, `other` that of the next one of
its half, without a stroke on it. Of large images, the upper left 384 x 384 px are used. All ways of a run see the same
strokes; `untrained` is an encoder after one step, `published` one with the weights of --weights as they are,
`unpublished` the same network without them, after one step.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.cases import same_stem
from benchmarks.strokes import simulate
from napari_pu_segment import io
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.pretraining.weights import read_weights
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, Sample
from napari_pu_segment.core.training.pu_settings import PuSettings

CASES = ("cervical_herlev", "skin_lesion", "phase_t98g", "nuclei_fluo", "aurora")
COLUMNS = ("case", "image", "seed", "way", "own", "other", "pretrain_s", "train_s")
SIDE_PX = 384

# The encoder's settings, and those of the training that looks through it; None: no encoder.
WAYS: dict[str, tuple[dict[str, object] | None, dict[str, object]]] = {
    "cold": (None, {}),
    "untrained": ({"n_steps": 1}, {}),
    "simclr": ({}, {}),
    "dino": ({"objective": "dino"}, {}),
    "swav": ({"objective": "swav"}, {}),
    "unpublished": ({"network": "tf_efficientnet_lite0", "n_steps": 1}, {}),
    "published": ({"network": "tf_efficientnet_lite0", "n_steps": 0}, {}),
    "unet cold": (None, {"network": "unet", "width": 16}),
    "unet simclr": ({"network": "unet", "width": 16}, {"network": "unet"}),
    "unet dino": ({"network": "unet", "width": 16, "objective": "dino"}, {"network": "unet"}),
    "unet swav": ({"network": "unet", "width": 16, "objective": "swav"}, {"network": "unet"}),
}


@dataclass(frozen=True, eq=False)
class One:
    """An image (C, Y, X) with its truth and its scored pixels (Y, X)."""

    name: str
    image: np.ndarray
    truth: np.ndarray
    valid: np.ndarray


def images_of(home: Path) -> list[One]:
    """The images of a case."""
    found = []
    for path in io.list_images(home / "images"):
        truth_file, valid_file = same_stem(home / "truth", path.stem), same_stem(home / "valid", path.stem)
        if truth_file is None:
            continue
        window = np.s_[:SIDE_PX, :SIDE_PX]
        image, truth = np.asarray(io.read_image(path).image), io.read_mask(truth_file)
        valid = io.read_mask(valid_file) if valid_file else np.ones(truth.shape, bool)
        found.append(One(path.stem, image[(slice(None), *window)], truth[window], valid[window]))
    return found


def encoders_of(images: list[One], settings: PretrainSettings, file: Path | None) -> list[tuple[Model, float]]:
    """For each half the encoder of the other one, and the processor seconds it took."""
    found, weights = [], read_weights(file, settings.network) if file else None
    for half in (1, 0):
        began = time.process_time()
        model = run(
            METHODS["pretrain"].train([Sample(one.image) for one in images[half::2]], settings, weights=weights)
        )
        found.append((model, time.process_time() - began))
    return found


def measured(home: Path, options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Rows of one case, way by way."""
    images = images_of(home)
    changes = dict(pair.split("=", 1) for pair in options.set)
    for way in options.ways:
        encode, more = WAYS[way]
        pair: list[tuple[Model | None, float]] = [(None, 0.0)] * 2
        if encode is not None:
            file = options.weights if way == "published" else None
            pair = list(encoders_of(images, PretrainSettings(threads=1).changed({**changes, **encode}), file))
        for number, one in enumerate(images[: options.images]):
            encoder, pretrain_s = pair[number % 2]
            half = images[number % 2 :: 2]
            other = half[(number // 2 + 1) % len(half)]
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                codes = simulate(one.truth, one.valid, n=2, seed=seed)
                codes[~one.valid] = IGNORE
                settings = PuSettings(threads=1, seed=seed).changed(more)
                began = time.process_time()
                model = run(METHODS["pu"].train([Sample(one.image, codes)], settings, start=encoder))
                train_s = time.process_time() - began
                own, its = (scores(predict(model, it.image) >= 0.5, it.truth, it.valid)["dice"] for it in (one, other))
                yield home.name, one.name, seed, way, round(own, 4), round(its, 4), *map(_short, (pretrain_s, train_s))


def _short(seconds: float) -> float:
    return round(seconds, 1)


def told(rows: list[tuple[object, ...]], case: str, way: str) -> str:
    """Mean Dice of a way, its spread over seeds, and its gain over the first way of the run."""
    part = [row for row in rows if row[0] == case and row[3] == way]
    cold = {(row[1], row[2]): row for row in rows if row[0] == case and row[3] == rows[0][3]}
    words = []
    for column in (4, 5):
        seeds = sorted({int(str(row[2])) for row in part})
        means = [np.mean([float(str(row[column])) for row in part if row[2] == seed]) for seed in seeds]
        gains = [float(str(row[column])) - float(str(cold[row[1], row[2]][column])) for row in part]
        words.append(
            f"{COLUMNS[column]} {np.mean(means):.3f} ({min(means):.3f} to {max(means):.3f}) {np.mean(gains):+.3f}"
        )
    seconds = [np.mean([float(str(row[column])) for row in part]) for column in (6, 7)]
    return f"{case:16s} {way:12s} {', '.join(words)}; pretraining {seconds[0]:.0f} s, training {seconds[1]:.1f} s"


def main() -> None:
    """Measure, write all rows, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", nargs="*", default=CASES)
    parser.add_argument("--ways", nargs="*", default=["cold", "untrained", "simclr"], choices=list(WAYS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=4, help="train on so many of a case")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the encoder")
    parser.add_argument("--weights", type=Path, help="published weights of tf_efficientnet_lite0")
    parser.add_argument("--csv", type=Path, default=Path("benchmarks/results/pretraining.csv"))
    options = parser.parse_args()
    rows: list[tuple[object, ...]] = []
    for case in options.cases:
        for row in measured(options.folder / case, options):
            rows.append(row)
            with open(options.csv, "w", newline="") as handle:
                csv.writer(handle).writerows([COLUMNS, *rows])
        for way in options.ways:
            print(told(rows, case, way), flush=True)


if __name__ == "__main__":
    main()

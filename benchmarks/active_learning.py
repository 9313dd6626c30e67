"""How many images must be annotated where the program chooses them, against images by chance.

    python benchmarks/active_learning.py FOLDER [--seeds 5] [--cases nuclei_fluo cervical_herlev] [--out FILE.csv]

FOLDER holds cases with images/ and truth/. In each round one more image gets simulated strokes, a model learns from
all images that have some, and segments every image of the case; the figure is the mean Dice over them. Orders other
than `random` ask that model how unsure it is, by the same ranking as the window and the command line, from the second
image on. A row named `random` is a mean over `N_RANDOM` orders. A seed is that of strokes, training and chance.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.cases import same_stem
from benchmarks.strokes import simulate
from napari_pu_segment.core.curation import ORDERS, CurateSettings
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.training.fit import FeatureCache
from napari_pu_segment.core.training.pu_settings import PuSettings
from napari_pu_segment.image_set import ScanSettings, SetReport, curating, ranking
from napari_pu_segment.io import read_image, read_mask

CASES = ("nuclei_fluo", "cervical_herlev")
COLUMNS = ("case", "order", "seed", "n_annotated", "share", "dice")
N_RANDOM = 4
N_STROKES = 3

Row = tuple[str, str, int, int, float, float]


class Campaign:
    """A folder that is annotated image by image, with one seed.

    Parameters
    ----------
    home : Path
        Of a case.
    seed : int
    """

    def __init__(self, home: Path, seed: int) -> None:
        self.seed = seed
        self.report: SetReport = run(curating(ScanSettings(home / "images"), CurateSettings(seed=seed)))
        self.images, self.truths = [], []
        for name in self.report.names:
            truth = same_stem(home / "truth", Path(name).stem)
            assert truth is not None
            self.images.append(np.asarray(read_image(home / "images" / name).image))
            self.truths.append(read_mask(truth))
        self._cache = FeatureCache()
        self._known: dict[frozenset[int], tuple[Model, float]] = {}

    def learnt(self, annotated: Sequence[int]) -> tuple[Model, float]:
        """The model that learnt from these images, and its mean Dice over all of them."""
        key = frozenset(annotated)
        if key not in self._known:
            samples = [Sample(self.images[i], self._strokes(i)) for i in sorted(key)]
            settings = PuSettings(threads=1, seed=self.seed)
            model = run(METHODS["pu"].train(samples, settings, cache=self._cache))
            found = [predict(model, image) >= model.card.threshold for image in self.images]
            dices = [scores(mask, truth)["dice"] for mask, truth in zip(found, self.truths, strict=True)]
            self._known[key] = model, float(np.mean(dices))
        return self._known[key]

    def ranked(self, order: str, n: int) -> Iterator[float]:
        """Mean Dice with one, two ... images, in an order that asks the model."""
        annotated: list[int] = []
        model: Model | None = None
        for _ in range(n):
            coming = run(ranking(self.report, annotated, model, order)).curation.next
            if not coming:  # all others are copies, or not worth annotating
                return
            annotated.append(coming[0])
            model, dice = self.learnt(annotated)
            yield dice

    def random(self, n: int) -> Iterator[float]:
        """The same by chance, a mean over some orders."""
        rng = np.random.default_rng(self.seed)
        orders = [rng.permutation(len(self.images)).tolist() for _ in range(N_RANDOM)]
        for k in range(1, n + 1):
            yield float(np.mean([self.learnt(order[:k])[1] for order in orders]))

    def _strokes(self, i: int) -> np.ndarray:
        return simulate(self.truths[i], n=N_STROKES, seed=1000 * self.seed + i)


def measure(folder: Path, cases: Sequence[str], n_seeds: int) -> Iterator[Row]:
    """All rows, seed by seed."""
    for seed in range(n_seeds):
        for case in cases:
            campaign = Campaign(folder / case, seed)
            n = len(campaign.images)
            for order in ORDERS:
                half = -(-n // 2)
                curve = campaign.random(half) if order == "random" else campaign.ranked(order, half)
                for k, dice in enumerate(curve, 1):
                    yield case, order, seed, k, round(k / n, 3), round(dice, 4)


def needed(curve: Sequence[float], goal: float) -> int | None:
    """With how many images a curve first reaches a goal; None: with none of them."""
    return next((k for k, dice in enumerate(curve, 1) if dice >= goal), None)


def summary(rows: Sequence[Row]) -> str:
    """What each order needs for the Dice of random choice with half of the folder: of the mean curve, and by seed."""
    lines = []
    for case in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == case]
        seeds, n = sorted({row[2] for row in mine}), max(row[3] for row in mine)
        curves = {
            order: np.array([[r[5] for r in mine if (r[1], r[2]) == (order, seed)] for seed in seeds])
            for order in dict.fromkeys(row[1] for row in mine)
        }
        goals = curves["random"][:, -1]
        for order, curve in curves.items():
            k = needed(curve.mean(0).tolist(), float(goals.mean()))
            each = [needed(c.tolist(), float(goal)) for c, goal in zip(curve, goals, strict=True)]
            told = "not reached" if k is None else f"{k} of {n} ({100 * k / n:.0f} %)"
            means = ", ".join(f"{m:.3f} ± {s:.3f}" for m, s in zip(curve.mean(0), curve.std(0), strict=True))
            lines.append(f"{case:16s} {order:8s} {told}; by seed {each}; {means}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, write the rows, and print what was needed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cases", nargs="*", default=CASES)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/active_learning.csv"))
    given = parser.parse_args(words)
    rows: list[Row] = []
    for row in measure(given.folder, given.cases, given.seeds):
        rows.append(row)
        print(*row, flush=True)
        with open(given.out, "w", newline="") as handle:
            csv.writer(handle).writerows([COLUMNS, *rows])
    print(summary(rows))


if __name__ == "__main__":
    main()

"""Do suggestions pay? Dice after answers at suggested places, against as many answers at random places.

    python benchmarks/suggestions.py FOLDER [--arms mixed uncertain random random_half] [--seeds 1] [--images 1]

Every arm starts from the first two strokes of each kind of the stored strokes, and then gives ten answers: the true
class of the pixel at a place, as a dab of the brush there, a hundredth of the image wide, less where that would cross
the predicted outline (`core.places.dab_radii_px`), as the answer key paints it. It is not cut to the true class, so
that near the rim of an object a part of it may be wrong, by the same rule in every arm. After each answer the model is
trained on from where it is and a new result is made, as in live mode; after the last one it is also trained anew
("cold"), as the Train button does.

An arm is a row of `core.suggest.ACQUISITIONS`, or a control: `random`, uniform over the image; `random_half`, half of
the places in predicted objects and half in predicted background; or `mistakes`, which knows the truth: the middle of a
region that the mask has wrong, larger ones likelier. FOLDER and its cases are those of accuracy.py.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy import ndimage
from skimage.measure import label
from threadpoolctl import threadpool_limits

from benchmarks.cases import Case, Plan, find_cases, synthetic_cases
from benchmarks.rows import Row
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.methods.pu import PuSettings, train
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, UNLABELED, Sample, codes_from_masks
from napari_pu_segment.core.suggest import ACQUISITIONS, SuggestSettings, default_brush_px, suggest
from napari_pu_segment.core.suggest.places import dab_radii_px
from napari_pu_segment.core.training.fit import FeatureCache

CONTROLS = ("random", "random_half", "mistakes")
N_START, N_ANSWERS = 2, 10
SETTINGS = PuSettings(threads=1)
COLUMNS = ("case", "image", "seed", "arm", "retrain", "answers", "dice", "n_positive", "class_prior", "true_prior")


def first_strokes(case: Case, n: int = N_START) -> np.ndarray:
    """Label codes (Y, X) of the first `n` strokes of each kind, in reading order; what is not scored is ignored."""
    codes = np.full(case.strokes.shape, UNLABELED, np.uint8)
    for code in (POSITIVE, NEGATIVE):
        parts = label(case.strokes == code, connectivity=2)
        codes[(parts > 0) & (parts <= n)] = code
    codes[~case.valid] = IGNORE
    return codes


def answered(codes: np.ndarray, truth: np.ndarray, place: Sequence[int], radius_px: float) -> np.ndarray:
    """The codes with a whole dab of the class that the truth has at its centre, as brush layers would have it."""
    rows, columns = np.ogrid[: codes.shape[0], : codes.shape[1]]
    dab = (rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= max(radius_px, 0.5) ** 2
    masks = {code: codes == code for code in (POSITIVE, NEGATIVE)}
    masks[POSITIVE if truth[tuple(place)] else NEGATIVE] |= dab
    return codes_from_masks(masks[POSITIVE], masks[NEGATIVE], codes == IGNORE)


def place_of(
    arm: str,
    sample: Sample,
    truth: np.ndarray,
    probability: np.ndarray,
    previous: np.ndarray | None,
    model: Model,
    seed: int,
    step: int,
) -> tuple[int, ...] | None:
    """Where an arm asks next."""
    threshold = model.card.threshold
    if arm in ACQUISITIONS:
        settings = SuggestSettings(acquisition=arm, seed=seed)
        found = run(suggest(sample, probability, threshold, model, settings, previous=previous))
        return found[0].centre if found else None
    assert sample.labels is not None
    free, rng = sample.labels == UNLABELED, np.random.default_rng([seed, step])
    if arm == "mistakes":
        return mistake(free & (truth != (probability >= threshold)), rng)
    if arm == "random_half":
        side = (probability >= threshold) == (step % 2 == 0)
        free = free & side if (free & side).any() else free
    return tuple(map(int, rng.choice(np.argwhere(free))))


def mistake(wrong: np.ndarray, rng: np.random.Generator) -> tuple[int, ...] | None:
    """The middle of a wrong region (Y, X), drawn with its area as weight; None where nothing is wrong."""
    regions = label(wrong, connectivity=1)
    if not wrong.any():
        return None
    depth = ndimage.distance_transform_edt(wrong) * (regions == rng.choice(regions[wrong]))
    return tuple(map(int, np.unravel_index(depth.argmax(), depth.shape)))


def episode(case: Case, arm: str, seed: int, cache: FeatureCache, first: Model) -> Iterator[Row]:
    """The rows of one arm on one image, after each answer."""
    codes, model, previous = first_strokes(case), first, None
    radius_px = default_brush_px(codes.shape) / 2
    told = {"case": case.case, "image": case.stem, "seed": seed, "arm": arm, "true_prior": case.class_prior}
    n_positive = 0
    for step in range(N_ANSWERS + 1):
        sample = Sample(case.image, codes)
        probability = run(map_tiles(model, case.image))[0]
        found = {"answers": step, "n_positive": n_positive}
        yield {**told, **found, "retrain": "warm", **_scored(case, probability, model)}
        if step == N_ANSWERS:
            break
        place = place_of(arm, sample, case.truth, probability, previous, model, seed, step)
        if place is not None:
            (dab_px,) = dab_radii_px(probability, model.card.threshold, np.array([place]), radius_px)
            codes, n_positive = answered(codes, case.truth, place, dab_px), n_positive + int(case.truth[place])
        previous = probability
        model = run(train([Sample(case.image, codes)], SETTINGS, start=model, cache=cache))
    model = run(train([Sample(case.image, codes)], SETTINGS, cache=cache))
    anew = _scored(case, run(map_tiles(model, case.image))[0], model)
    yield {**told, "answers": N_ANSWERS, "n_positive": n_positive, "retrain": "cold", **anew}


def _scored(case: Case, probability: np.ndarray, model: Model) -> Row:
    dice = scores(probability >= np.float32(model.card.threshold), case.truth, case.valid)["dice"]
    return {"dice": dice, "class_prior": model.card.class_prior}


def measure(cases: Sequence[Case], arms: Sequence[str]) -> Iterator[Row]:
    """All rows; every arm of an image begins with the same strokes and the same model."""
    for case in cases:
        cache = FeatureCache()
        first = run(train([Sample(case.image, first_strokes(case))], SETTINGS, cache=cache))
        for arm in arms:
            yield from episode(case, arm, case.seed, cache, first)


def some_images(cases: Iterator[Case], n_images: int) -> list[Case]:
    """Of every folder, the first images with all their strokes; all where `n_images` is 0."""
    kept: list[Case] = []
    for _, group in groupby(cases, key=lambda case: case.case):
        members = list(group)
        stems = list(dict.fromkeys(case.stem for case in members))[: n_images or None]
        kept += [replace(case) for case in members if case.stem in stems]
    return kept


def summary(rows: Sequence[Row]) -> str:
    """Mean Dice over cases (each case counts once) before and after the answers, for each arm."""
    arms = list(dict.fromkeys(str(row["arm"]) for row in rows))
    lines = [f"{'arm':<14}{'start':>8}{'warm':>8}{'cold':>8}{'objects':>9}   mean Dice over cases; answers: object"]
    for arm in arms:
        mine = [row for row in rows if row["arm"] == arm]
        figures = [
            over_cases(mine, "dice", answers=0),
            *(over_cases(mine, "dice", answers=N_ANSWERS, retrain=how) for how in ("warm", "cold")),
            over_cases(mine, "n_positive", answers=N_ANSWERS),
        ]
        lines.append(f"{arm:<14}" + "".join(f"{x:8.3f}" for x in figures[:3]) + f"{figures[3]:9.1f}")
    return "\n".join(lines)


def over_cases(rows: Sequence[Row], column: str, **wanted: object) -> float:
    """Mean over cases of the mean of a column over a case's rows that have the wanted values."""
    kept = [row for row in rows if all(str(row[key]) == str(value) for key, value in wanted.items())]
    names = sorted({str(row["case"]) for row in kept})
    return float(np.mean([np.mean([float(row[column]) for row in kept if row["case"] == name]) for name in names]))


def draw(rows: Sequence[Row], path: Path) -> None:
    """Mean Dice over cases against the number of answers, a line for each arm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for arm in dict.fromkeys(str(row["arm"]) for row in rows):
        mine = [row for row in rows if row["arm"] == arm and row["retrain"] == "warm"]
        dice = [over_cases(mine, "dice", answers=k) for k in range(N_ANSWERS + 1)]
        style = "--" if arm in CONTROLS else "-o"
        axes.plot(range(N_ANSWERS + 1), dice, style, markersize=3, label=arm.replace("_", ", "))
    axes.set_xlabel("answers after 2 + 2 strokes")
    axes.set_ylabel("mean Dice over cases")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=80)


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, run, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="default: synthetic frames")
    parser.add_argument("--arms", nargs="+", default=["mixed", *CONTROLS[:2]], choices=[*ACQUISITIONS, *CONTROLS])
    parser.add_argument("--seeds", type=int, default=1, help="stroke seeds below this")
    parser.add_argument("--images", type=int, default=1, help="images of each case; 0: all")
    parser.add_argument("--cases", nargs="+", default=[], help="names of cases; default: all")
    parser.add_argument("--csv", type=Path, default=Path("suggestions.csv"))
    parser.add_argument("--plot", type=Path, help="file for the plot")
    options = parser.parse_args(words)
    plan = Plan(options.seeds, names=tuple(options.cases))
    set_threads(1)
    with threadpool_limits(1), options.csv.open("w", newline="", encoding="utf-8") as file:
        found = find_cases(options.folder, plan) if options.folder else synthetic_cases(plan, options.images or 2)
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        rows = []
        for row in measure(some_images(found, options.images), options.arms):
            rows.append({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
            writer.writerow(rows[-1])
            file.flush()
    print(summary(rows))
    if options.plot:
        draw(rows, options.plot)


if __name__ == "__main__":
    main()

"""Cells told apart without labels, images by what is in them, and nuclei found without strokes.

    python benchmarks/cells.py FOLDER [--seeds 5] [--tasks smears herlev nuclei] [--out FILE.csv]

`smears`: synthetic smears (see `smears.py`), 12 of each diagnosis for every seed. Cells get one of three classes, from
the exact nuclei, from discs that the method `nuclei` proposes, and from the outlines of a model that learnt from these;
then images into two, without labels, and from three labelled ones of each. The true kinds tell how far that can go.
`herlev`: the twelve real cells of FOLDER/cervical_herlev, normal against dysplastic, from their true nuclei.
`nuclei`: Dice of proposals on FOLDER/cervical_herlev and FOLDER/nuclei_fluo.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


import napari_pu_segment as pu
from benchmarks.smears import Smear, smear
from benchmarks.zero_strokes import clustered, dice, images_of, k_means, otsu
from napari_pu_segment.core.clustering.clusters import CLUSTERERS
from napari_pu_segment.core.clustering.proposal import sure_strokes
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.objects import ObjectSettings, find_objects
from napari_pu_segment.core.objects.class_scores import class_scores
from napari_pu_segment.core.objects.classify import ClassifySettings, Scene, classify, true_classes
from napari_pu_segment.core.objects.image_classes import group_images, learn_images
from napari_pu_segment.core.objects.measure import measure_objects
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.training.pu_settings import PuSettings

N_IMAGES, N_FEW = 12, 3  # of each diagnosis; labelled ones
FIND = METHODS["nuclei"].settings(smallest_px=8, largest_px=24)
DESCRIBED = (("profiles",), ("shapes",), ("intensities",), ("shapes", "intensities"), ("encoder",))
BEST = ("shapes", "intensities")  # what the other ways to find clusters look at, of exact objects
Row = dict[str, object]


def scene(image: np.ndarray, objects: np.ndarray) -> Scene:
    """Objects, measured."""
    return Scene(image, objects, run(measure_objects(objects, image)))


def encoder_of(images: list[np.ndarray], seed: int) -> Model:
    """An encoder made of the images alone."""
    settings = PretrainSettings(n_steps=300, threads=1, seed=seed)
    return run(METHODS["pretrain"].train([pu.Sample(image) for image in images], settings))


def proposals(smears: list[Smear], seed: int) -> list[np.ndarray]:
    """The discs that the method `nuclei` proposes, as objects."""
    masks = [pu.from_strokes(pu.Sample(one.image), FIND).mask != 0 for one in smears]
    return [run(find_objects(mask, ObjectSettings())) for mask in masks]


def outlines(smears: list[Smear], seed: int) -> list[np.ndarray]:
    """Nuclei as a model finds them that learnt from the surest of what is proposed in two images, one of each."""
    samples = []
    for one in (smears[0], smears[-1]):
        found = pu.from_strokes(pu.Sample(one.image), FIND)
        samples.append(pu.Sample(one.image, sure_strokes(found.probability, 0.5)))
    model = run(METHODS["pu"].train(samples, PuSettings(threads=1, seed=seed)))
    masks = [pu.predict(model, one.image) >= 0.5 for one in smears]
    return [run(find_objects(mask, ObjectSettings())) for mask in masks]


FINDS: dict[str, Callable[[list[Smear], int], list[np.ndarray]]] = {
    "exact": lambda smears, seed: [one.nuclei for one in smears],
    "proposed": proposals,
    "trained": outlines,
}


def of_smears(folder: Path, seed: int) -> Iterator[Row]:
    """Cells and images of synthetic smears."""
    smears = [smear(1000 * seed + i, name) for name in ("well", "ill") for i in range(N_IMAGES)]
    encoder = encoder_of([one.image for one in smears], seed)
    diagnoses = [one.diagnosis for one in smears]
    kinds = [
        np.array([np.unique(one.kinds[one.nuclei == k])[0] for k in range(1, one.nuclei.max() + 1)]) for one in smears
    ]
    shares = np.array([np.bincount(part, minlength=4)[1:] / len(part) for part in kinds])
    n = sum(map(len, kinds))
    yield {
        "task": "smears",
        "way": "the true kinds of cells",
        "n": n,
        "n_known": n,
        **of_images(shares, diagnoses, seed),
    }
    for objects, find in FINDS.items():
        scenes = [scene(one.image, found) for one, found in zip(smears, find(smears, seed), strict=True)]
        true = np.concatenate([true_classes(*pair) for pair in zip(scenes, [one.kinds for one in smears], strict=True)])
        ways = {" + ".join(describe): {"describe": describe} for describe in DESCRIBED}
        if objects == "exact":
            names = [name for name in CLUSTERERS if name != ClassifySettings().clusterer]
            ways |= {f"{' + '.join(BEST)}, {name}": {"describe": BEST, "clusterer": name} for name in names}
        for told, changes in ways.items():
            settings = ClassifySettings(n_classes=3, seed=seed).changed(changes)
            classes = run(classify(scenes, settings, encoder if "encoder" in settings.describe else None))
            known = true > 0
            scores = class_scores(classes.numbers[known], classes.chances[known], true[known])
            images = of_images(classes.proportions(), diagnoses, seed)
            way = f"{objects}: {told}"
            yield {"task": "smears", "way": way, "n": len(true), "n_known": int(known.sum()), **scores, **images}


def of_images(shares: np.ndarray, diagnoses: list[str], seed: int) -> dict[str, float]:
    """How often images are told rightly: without labels, with all labels but the fold's own, with a few."""
    ill = np.array(diagnoses) == "ill"
    first = run(group_images(shares, 2, seed)) == 1
    few = np.concatenate(
        [np.random.default_rng(seed).choice(np.flatnonzero(ill == one), N_FEW, False) for one in (0, 1)]
    )
    some = [name if i in few else "" for i, name in enumerate(diagnoses)]
    rest = np.setdiff1d(np.arange(len(ill)), few)
    told = run(learn_images(shares, some, seed)).names
    return {
        "images_unlabelled": float(max((first == ill).mean(), (first != ill).mean())),
        "images_folds": run(learn_images(shares, diagnoses, seed)).accuracy,
        "images_few": float(np.mean(told[rest] == np.array(diagnoses)[rest])),
    }


def of_herlev(folder: Path, seed: int) -> Iterator[Row]:
    """Twelve real cells: eight dysplastic or worse, four normal."""
    cases = list(images_of(folder / "cervical_herlev", 0))
    true = np.array([1 if name.startswith("normal") else 2 for name, _, _ in cases])
    scenes = [scene(image, truth.astype(np.int32)) for _, image, truth in cases]
    encoder = encoder_of([image for _, image, _ in cases], seed)
    for describe in DESCRIBED:
        classes = run(classify(scenes, ClassifySettings(describe=describe, seed=seed), encoder))
        scores = class_scores(classes.numbers, classes.chances, true)
        yield {"task": "herlev", "way": " + ".join(describe), "n": len(true), "n_known": len(true), **scores}


def proposed(image: np.ndarray, seed: int, **settings: object) -> np.ndarray:
    """The discs that the method `nuclei` proposes."""
    looks = "bright" if len(image) == 1 else "haematoxylin"
    return pu.from_strokes(pu.Sample(image), METHODS["nuclei"].settings(looks=looks, **settings)).mask != 0


def accepted(image: np.ndarray, seed: int, **settings: object) -> np.ndarray:
    """Strokes made of the surest parts of the discs, and a PU training on them."""
    looks = "bright" if len(image) == 1 else "haematoxylin"
    found = pu.from_strokes(pu.Sample(image), METHODS["nuclei"].settings(looks=looks, **settings))
    if not found.mask.any():
        return found.mask != 0
    codes = sure_strokes(found.probability, 0.5)
    model = run(METHODS["pu"].train([pu.Sample(image, codes)], PuSettings(threads=1, seed=seed)))
    return pu.predict(model, image) >= 0.5


SIZES = {"cervical_herlev": {"smallest_px": 16, "largest_px": 80}, "nuclei_fluo": {"smallest_px": 10, "largest_px": 50}}
PROPOSALS: dict[str, Callable[..., np.ndarray]] = {
    "otsu": lambda image, seed, **_: otsu(image.mean(0, keepdims=True), seed),
    "k_means": lambda image, seed, **_: k_means(image, seed),
    "cluster": lambda image, seed, **_: clustered(image, seed) >= 0.5,
    "nuclei": lambda image, seed, **_: proposed(image, seed),
    "nuclei, told their sizes": proposed,
    "nuclei, told their sizes, accepted": accepted,
}


NO_SEED = ("otsu", "nuclei", "nuclei, told their sizes")  # the same with any


def of_nuclei(folder: Path, seed: int) -> Iterator[Row]:
    """Nuclei found without strokes: mean Dice over images."""
    for case, sizes in SIZES.items():
        for way, find in PROPOSALS.items():
            if way not in NO_SEED or seed == 1:
                scores = [dice(find(image, seed, **sizes), truth) for _, image, truth in images_of(folder / case, 0)]
                yield {"task": case, "way": way, "n": len(scores), "dice": float(np.mean(scores))}


TASKS = {"smears": of_smears, "herlev": of_herlev, "nuclei": of_nuclei}
FIGURES = ("purity", "entropy", "f_score", "auc", "images_unlabelled", "images_folds", "images_few", "dice")


def main() -> None:
    """Measure, print the means with the least and the most, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/cells.csv"))
    given = parser.parse_args()
    columns = ("task", "way", "seed", "n", "n_known", *FIGURES)
    rows: list[Row] = []
    for task in given.tasks:
        for seed in range(given.first, given.first + given.seeds):
            for row in TASKS[task](given.folder, seed):
                numbers = {name: round(float(row[name]), 4) for name in FIGURES if name in row}  # type: ignore[arg-type]
                rows.append({"seed": seed, **row, **numbers})
                with open(given.out, "w", newline="") as handle:
                    writer = csv.DictWriter(handle, columns)
                    writer.writeheader()
                    writer.writerows(rows)
    for task, way in dict.fromkeys((row["task"], row["way"]) for row in rows):
        mine = [row for row in rows if (row["task"], row["way"]) == (task, way)]
        told = []
        for name in FIGURES:
            values = [float(row[name]) for row in mine if name in row]  # type: ignore[arg-type]
            if values:
                told.append(f"{name} {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        print(f"{task:16s} {way:36s} {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()

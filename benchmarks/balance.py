"""Whether a balanced sample makes a better model than as many images by chance, where one kind of image is rare.

    python benchmarks/balance.py FOLDER [--seeds 10]

FOLDER holds the cases nuclei_fluo and phase_t98g, of which tiles of 128 px are cut. 45 tiles of one and 3 of the other
are looked through; a model of the default method learns from the masks of 12 of them, drawn in balance of the groups
that were found, or by chance. Dice, the mean over tiles of each kind that were in neither.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.curation_tiles import Tile, real_tiles
from benchmarks.noisy_masks import codes
from napari_pu_segment import METHODS, Sample, predict, train
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.curation import CurateSettings, curate, looking
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.progress import run

KINDS = ("nuclei_fluo", "phase_t98g")
N_COMMON, N_RARE, N_DRAWN, N_TESTED = 45, 3, 12, 16


def tiles(folder: Path) -> dict[str, list[Tile]]:
    """Tiles of both kinds with 3 to 97 % objects, brought to one range and type."""
    found = defaultdict(list)
    for one in real_tiles(folder):
        if one.case in KINDS and one.truth is not None and 0.03 <= one.truth.mean() <= 0.97:
            low, high = np.percentile(one.image, (1, 99.5))
            image = np.clip(255 * (one.image - low) / max(high - low, 1e-9), 0, 255).astype(np.uint8)
            found[one.case].append(Tile(one.case, one.name, image, one.truth > 0))
    return found


def dice_of(drawn: Sequence[Tile], tested: Sequence[Tile], seed: int) -> dict[str, float]:
    """Mean Dice over the tiles of each kind, of a model that learnt from the masks of some tiles."""
    samples = [Sample(one.image, codes(np.asarray(one.truth)), "clean", one.name) for one in drawn]
    model, found = train(samples, METHODS["pu"].settings(threads=1, seed=seed)), defaultdict(list)
    for one in tested:
        mask = predict(model, one.image) >= model.card.threshold
        found[one.case].append(scores(mask, np.asarray(one.truth))["dice"])
    return {case: float(np.mean(values)) for case, values in found.items()}


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    set_threads(1)
    cut = tiles(options.folder)
    for common, rare in (KINDS, KINDS[::-1]):
        figures = defaultdict(list)
        for seed in range(options.seeds):
            rng = np.random.default_rng(seed)
            many, few = ([cut[kind][i] for i in rng.permutation(len(cut[kind]))] for kind in (common, rare))
            pool = many[:N_COMMON] + few[:N_RARE]
            tested = many[N_COMMON:][:N_TESTED] + few[N_RARE:][:N_TESTED]
            looks = [run(looking(one.image, "CYX", str(i))) for i, one in enumerate(pool)]
            balanced = run(curate(looks, CurateSettings(n_balanced=N_DRAWN, seed=seed))).balanced()
            for name, drawn in (("balanced", balanced), ("by chance", rng.permutation(len(pool))[:N_DRAWN])):
                dice = dice_of([pool[i] for i in drawn], tested, seed)
                figures[name].append([dice[common], dice[rare], sum(i >= N_COMMON for i in drawn)])
        for name, rows in figures.items():
            means, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
            told = f"Dice {means[0]:.3f} ± {spread[0]:.3f}, rare {rare} {means[1]:.3f} ± {spread[1]:.3f}"
            print(f"{name}: common {common} {told}; {means[2]:.1f} of {N_DRAWN} drawn are rare")
        gain = np.diff([figures["by chance"], figures["balanced"]], axis=0)[0][:, 1]
        print(f"balance is better for the rare kind in {(gain > 0).sum()} of {len(gain)} seeds")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

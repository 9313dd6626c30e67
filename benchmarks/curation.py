"""How well curation finds what was planted: copies, odd images, wrong masks.

    python benchmarks/curation.py FOLDER [--parts duplicates outliers masks] [--seeds 5] [--csv FILE]

FOLDER holds cases with images/ and truth/, of which tiles of 128 px are cut that do not overlap; more are generated.

duplicates: a folder of 2,000 tiles is written, 400 of them copies of others: cropped by 5 %, as JPEG of quality 60,
10 % brighter or darker, flipped; and 100 more, turned by a quarter, or all of this at once. Found pairs are compared
with planted ones; seconds are those of looking at all files and comparing them.

outliers: up to 56 tiles of one case or generator, and two of each kind: blurred (sigma 2 to 4 px), empty (the darkest
tenth's level with the tile's noise), saturated (20 to 40 % of the pixels at the end of the range), and of another case,
brought to the same range, type and channels. The area under the ROC curve (AUC) of the oddity of odd ones against the
tiles. Blurred tiles with their noise put back are counted on their own. And which share of each is called blurred.

masks: tiles of one case with 3 to 97 % objects; one in twenty has a wrong mask: that of another tile, shifted by an
eighth, 60 % of its objects missing, dilated by 6 px, inverted, or empty; a mask that is as good as before (Dice over
0.8) is made wrong in another way. AUC of the suspicion; the share of wrong masks that is named, and of right ones, with
wrong ones among them and without.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from benchmarks.curation_tiles import (
    GENERATORS,
    Tile,
    brighter,
    cropped,
    flipped,
    generated_tiles,
    real_tiles,
    write_jpeg,
    write_tile,
)
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.corrupt import CorruptSettings, corrupt
from napari_pu_segment.core.curation import CurateSettings, curate, looking, looking_at_mask
from napari_pu_segment.core.curation.quality import findings, oddity
from napari_pu_segment.core.curation.suspects import standing_out, suspects
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.progress import run
from napari_pu_segment.image_set import ScanSettings, scanning

Row = dict[str, str | float | int]
COLUMNS = ("part", "case", "kind", "seed", "n", "figure", "value")
COPIES = {"crop": 100, "jpeg": 100, "brightness": 100, "flip": 100, "turn": 50, "all": 50}
N_TILES, N_LIKE = 2000, 56
ODD = ("blurred", "empty", "saturated", "other")
WRONG = ("swap", "shift", "missing", "dilate", "invert", "empty")


def write_copy(folder: Path, tile: Tile, kind: str, rng: np.random.Generator) -> str:
    """Write a copy of a tile; its file name."""
    name, image = f"copy_{kind}_of_{tile.name}", tile.image
    if kind == "turn":
        return write_tile(folder, name, np.rot90(image, int(rng.choice([1, 3])), axes=(1, 2)))
    for change, made in (("crop", cropped), ("brightness", brighter), ("flip", flipped)):
        image = made(image, rng) if kind in (change, "all") else image
    return write_jpeg(folder, name, image) if kind in ("jpeg", "all") else write_tile(folder, name, image)


def plant_copies(folder: Path, tiles: list[Tile], seed: int) -> dict[tuple[str, str], str]:
    """Write originals and copies; the pairs of file names that are the same, with the kind of the copy."""
    rng, pairs = np.random.default_rng(seed), {}
    files = [write_tile(folder, tile.name, tile.image) for tile in tiles]
    chosen = iter(rng.permutation(len(tiles)))
    for kind, n in COPIES.items():
        for _ in range(n):
            i = int(next(chosen))
            copy = write_copy(folder, tiles[i], kind, rng)
            pairs[min(files[i], copy), max(files[i], copy)] = kind
    return pairs


def duplicates(cases: Path, seed: int) -> Iterator[Row]:
    """Recall of each kind of copy, precision of all found pairs, and seconds."""
    real = list(real_tiles(cases))
    tiles = real + list(generated_tiles(N_TILES - sum(COPIES.values()) - len(real), seed))
    with tempfile.TemporaryDirectory() as name:
        planted = plant_copies(Path(name), tiles, seed)
        wall, cpu = time.perf_counter(), time.process_time()
        scan = run(scanning(ScanSettings(Path(name)), CurateSettings()))
        found = run(curate(scan.looks))
        seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    names = [look.name for look in scan.looks]
    pairs = {(names[i], names[j]) for group in found.near for i in group for j in group if i < j}
    told = {"part": "duplicates", "case": "all", "seed": seed, "n": len(names)}
    for kind in COPIES:
        mine = [pair for pair, its in planted.items() if its == kind]
        yield {**told, "kind": kind, "figure": "recall", "value": sum(pair in pairs for pair in mine) / len(mine)}
    yield {**told, "kind": "found", "figure": "precision", "value": len(pairs & planted.keys()) / len(pairs)}
    for figure, value in seconds.items():
        yield {**told, "kind": "found", "figure": figure, "value": value}


def noise_of(image: np.ndarray) -> float:
    """The noise of an image, from what a Gaussian of 1 px takes away (of white noise, 0.95 of its deviation)."""
    fine = image - ndimage.gaussian_filter(image, (0, 1, 1))
    return float(1.4826 * np.median(np.abs(fine - np.median(fine))) / 0.95)


def as_type(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Values in the type of another image."""
    if like.dtype.kind == "f":
        return values.astype(like.dtype)
    return np.clip(np.round(values), 0, np.iinfo(like.dtype).max).astype(like.dtype)


def odd_one(tile: Tile, kind: str, others: Sequence[Tile], rng: np.random.Generator) -> np.ndarray:
    """An odd picture (C, Y, X) in place of a tile."""
    image = tile.image.astype(np.float64)
    if kind in ("blurred", "blurred_with_noise"):
        sigma = rng.uniform(2, 4)
        noise = noise_of(image) if kind == "blurred_with_noise" else 0.0
        made = ndimage.gaussian_filter(image, (0, sigma, sigma)) + noise * rng.normal(size=image.shape)
    elif kind == "empty":
        level = np.percentile(image, 10, axis=(1, 2), keepdims=True)
        made = level + noise_of(image) * rng.normal(size=image.shape)
    elif kind == "saturated":
        top = image.max() if tile.image.dtype.kind == "f" else np.iinfo(tile.image.dtype).max
        made = np.minimum(image * max(top / np.percentile(image, rng.uniform(60, 80)), 1), top)
    else:
        other = others[int(rng.integers(len(others)))].image.astype(np.float64)
        other = other if len(other) == len(image) else np.repeat(other.mean(0, keepdims=True), len(image), 0)
        low, high = np.percentile(other, (0.5, 99.5))
        to_low, to_high = np.percentile(image, (0.5, 99.5))
        made = to_low + (other - low) * (to_high - to_low) / max(high - low, np.finfo(np.float32).tiny)
    return as_type(made, tile.image)


def outliers(cases: Path, n_seeds: int) -> Iterator[Row]:
    """AUC of the oddity, for each case and kind."""
    by_case = defaultdict(list)
    for tile in [*real_tiles(cases), *generated_tiles(N_LIKE * len(GENERATORS), 1000)]:
        by_case[tile.case].append(tile)
    by_case = defaultdict(list, {case: tiles for case, tiles in by_case.items() if len(tiles) >= 30})
    for number, (case, tiles) in enumerate(by_case.items()):
        others = [tile for other, theirs in by_case.items() if other != case for tile in theirs]
        for seed in range(n_seeds):
            rng = np.random.default_rng([seed, number])
            kept = [tiles[i] for i in rng.permutation(len(tiles))[:N_LIKE]]
            kinds = [kind for kind in (*ODD, "blurred_with_noise") for _ in range(2)]
            odd = [odd_one(kept[int(rng.integers(len(kept)))], kind, others, rng) for kind in kinds]
            images = [tile.image for tile in kept] + odd
            looks = [run(looking(image, "CYX", str(i))) for i, image in enumerate(images)]
            strange = oddity(looks, seed)
            good, bad = strange[: len(kept)], strange[len(kept) :]
            for kind in ("all", *ODD, "blurred_with_noise"):
                mine = [s for s, k in zip(bad, kinds, strict=True) if k == kind or (kind == "all" and k in ODD)]
                yield _auc("outliers", case, kind, seed, good, mine)
            words = findings(looks, [range(len(looks))], CurateSettings().odd_from)
            for kind in ("right", *dict.fromkeys(kinds)):
                told = ["blurred" in w for w, k in zip(words, ["right"] * len(kept) + kinds, strict=True) if k == kind]
                row = {"part": "outliers", "case": case, "kind": kind, "seed": seed, "n": len(told)}
                yield {**row, "figure": "called blurred", "value": sum(told) / len(told)}


def wrong_mask(kind: str, truth: np.ndarray, others: Sequence[Tile], rng: np.random.Generator) -> np.ndarray:
    """A wrong mask (Y, X) in place of the true one."""
    if kind == "swap":
        other = others[int(rng.integers(len(others)))].truth
        assert other is not None
        return np.resize(other, truth.shape)
    if kind == "shift":
        rows, columns = (int(rng.choice([-1, 1]) * n // 8) for n in truth.shape)
        return np.roll(truth, (rows, columns), (0, 1))
    if kind == "missing":
        return corrupt(truth, CorruptSettings(kind="missing", fraction=0.6, seed=int(rng.integers(2**31))))
    if kind == "dilate":
        return corrupt(truth, CorruptSettings(kind="dilate", amount_px=6))
    return ~truth if kind == "invert" else np.zeros_like(truth)


def masks(cases: Path, n_seeds: int) -> Iterator[Row]:
    """AUC of the suspicion, for each case and kind."""
    by_case = defaultdict(list)
    for tile in real_tiles(cases):
        if tile.truth is not None and 0.03 <= tile.truth.mean() <= 0.97:
            by_case[tile.case].append(tile)
    for number, (case, tiles) in enumerate(by_case.items()):
        if len(tiles) < 15:
            continue
        for seed in range(n_seeds):
            rng = np.random.default_rng([seed, number])
            given, kinds = [np.asarray(tile.truth) for tile in tiles], dict[int, str]()
            yield from _named(case, seed, _suspicion(tiles, given, seed), kinds)
            for i in map(int, rng.permutation(len(tiles))[: max(1, round(len(tiles) / 20))]):
                for kind in rng.permutation(WRONG):
                    made = wrong_mask(kind, given[i], tiles, rng)
                    if scores(made, given[i])["dice"] <= 0.8:
                        given[i], kinds[i] = made, str(kind)
                        break
            found = _suspicion(tiles, given, seed)
            good = [found[i] for i in range(len(tiles)) if i not in kinds]
            for kind in ("all", *sorted(set(kinds.values()))):
                yield _auc("masks", case, kind, seed, good, [found[i] for i, k in kinds.items() if kind in ("all", k)])
            yield from _named(case, seed, found, kinds)


def _suspicion(tiles: Sequence[Tile], given: Sequence[np.ndarray], seed: int) -> np.ndarray:
    pairs = zip(tiles, given, strict=True)
    seen = [looking_at_mask(tile.image, mask, seed=i) for i, (tile, mask) in enumerate(pairs)]
    return run(suspects(seen, [], seed))


def _named(case: str, seed: int, found: np.ndarray, wrong: Collection[int]) -> Iterator[Row]:
    """Which shares of wrong and of right masks are named."""
    named, right = set(standing_out(found, CurateSettings().odd_from)), set(range(len(found))) - set(wrong)
    told = {"part": "masks", "case": case, "seed": seed, "figure": "named"}
    for kind, mine in {"wrong": set(wrong), "right" if wrong else "right, none wrong": right}.items():
        if mine:
            yield {**told, "kind": kind, "n": len(mine), "value": len(named & mine) / len(mine)}


def _auc(part: str, case: str, kind: str, seed: int, good: Sequence[float], bad: Sequence[float]) -> Row:
    truth = np.repeat([0, 1], [len(good), len(bad)])
    value = float(roc_auc_score(truth, np.concatenate([good, bad])))
    return {"part": part, "case": case, "kind": kind, "seed": seed, "n": len(truth), "figure": "auc", "value": value}


def summary(rows: Sequence[Row]) -> str:
    """Means over seeds of each figure; of AUCs each case, and their mean over cases."""
    lines = []
    for part in dict.fromkeys(row["part"] for row in rows):
        mine = [row for row in rows if row["part"] == part]
        for kind, figure in dict.fromkeys((row["kind"], row["figure"]) for row in mine):
            values = defaultdict(list)
            for row in mine:
                if (row["kind"], row["figure"]) == (kind, figure):
                    values[row["case"]].append(float(row["value"]))
            means = {case: float(np.mean(value)) for case, value in values.items()}
            each = "" if len(means) == 1 else "; " + ", ".join(f"{case} {mean:.3f}" for case, mean in means.items())
            spread = np.std([v for value in values.values() for v in value])
            lines.append(f"{part} {kind} {figure}: {np.mean(list(means.values())):.3f} (spread {spread:.3f}){each}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, run, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", nargs="+", default=["duplicates", "outliers", "masks"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=Path("curation.csv"))
    options = parser.parse_args(words)
    set_threads(1)
    rows: list[Row] = []
    with threadpool_limits(1), options.csv.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for part in options.parts:
            if part == "duplicates":
                work = (row for seed in range(options.seeds) for row in duplicates(options.folder, seed))
            else:
                work = {"outliers": outliers, "masks": masks}[part](options.folder, options.seeds)
            for row in work:
                rows.append({**row, "value": round(float(row["value"]), 4)})
                writer.writerow(rows[-1])
                file.flush()
    print(summary(rows))


if __name__ == "__main__":
    main()

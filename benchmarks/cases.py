"""Cases to measure on: folders of images with truth, or the built-in synthetic frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.strokes import simulate
from napari_pu_segment import io
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, UNLABELED
from napari_pu_segment.synthetic import aurora_frame

MODES = ("positive", "both")
STORED = "stored"


@dataclass(frozen=True, eq=False)
class Case:
    """One image with one set of strokes.

    Parameters
    ----------
    case, stem : str
        Name of the folder and of the image.
    seed : int
        Of the strokes.
    image : ndarray, (C, Y, X)
    strokes : ndarray of uint8, (Y, X)
        Label codes.
    truth, valid : ndarray of bool, (Y, X)
        Objects, and the pixels that are scored.
    n_strokes : int
        Simulated strokes of each kind; 0 where they were stored.
    simulator : str
    """

    case: str
    stem: str
    seed: int
    image: np.ndarray
    strokes: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    n_strokes: int = 0
    simulator: str = STORED

    @property
    def class_prior(self) -> float:
        """True fraction of objects among the scored pixels."""
        return float(self.truth[self.valid].mean())

    def labels(self, mode: str) -> np.ndarray:
        """The strokes (Y, X), without the negative ones where `mode` is "positive"."""
        codes = self.strokes.copy()
        if mode == "positive":
            codes[codes == NEGATIVE] = UNLABELED
        return codes


@dataclass(frozen=True)
class Plan:
    """Which strokes to take.

    Parameters
    ----------
    seeds : int
        Stroke seeds below this.
    n_strokes : tuple of int
        Simulate these numbers of strokes of each kind; empty: as stored, and 6 where none are stored.
    simulator : str
        Row of `strokes.SIMULATORS`.
    names : tuple of str
        Only these cases; empty: all.
    """

    seeds: int = 3
    n_strokes: tuple[int, ...] = ()
    simulator: str = "centre_line"
    names: tuple[str, ...] = ()


def find_cases(folder: Path, plan: Plan) -> Iterator[Case]:
    """Every image with every set of strokes, of a folder that is a case or holds cases."""
    homes = [folder] if (folder / "truth").is_dir() else sorted(path.parent for path in folder.glob("*/truth"))
    for home in homes:
        if not plan.names or home.name in plan.names:
            yield from _case(home, plan)


def synthetic_cases(plan: Plan, frames: int = 2, side_px: int = 384) -> Iterator[Case]:
    """Synthetic all-sky frames with exact truth; beyond the rim of the sky everything is painted `IGNORE`."""
    for k in range(frames):
        frame = aurora_frame(k, side_px)
        bare = Case("aurora_frame", f"frame{k}", 0, frame.image, np.zeros(0), frame.truth, frame.valid)
        for case in _simulated(bare, plan):
            case.strokes[~case.valid] = IGNORE
            yield case


def _case(home: Path, plan: Plan) -> Iterator[Case]:
    stored = sorted((home / "strokes").glob("*_seed*"))
    painted = sorted({file.stem.rpartition("_seed")[0] for file in stored})
    for image_file in io.list_images(home / "images"):
        stem = image_file.stem
        truth_file = same_stem(home / "truth", stem)
        if truth_file is None or (painted and stem not in painted):
            continue
        image, truth = io.read_image(image_file).image, io.read_mask(truth_file)
        valid_file = same_stem(home / "valid", stem)
        valid = io.read_mask(valid_file) if valid_file else np.ones(truth.shape, bool)
        bare = Case(home.name, stem, 0, image, np.zeros(0), truth, valid)
        if painted and not plan.n_strokes:
            yield from _stored(bare, [file for file in stored if file.stem.rpartition("_seed")[0] == stem], plan)
        else:
            yield from _simulated(bare, plan)


def _stored(bare: Case, files: list[Path], plan: Plan) -> Iterator[Case]:
    for file in files:
        seed, strokes = int(file.stem.rpartition("_seed")[2]), io.read_labels(file)
        if seed < plan.seeds:
            plane = int((strokes > 0).sum((1, 2)).argmax()) if strokes.ndim == 3 else None
            yield replace(one_plane(replace(bare, strokes=strokes), plane), seed=seed)


def _simulated(bare: Case, plan: Plan) -> Iterator[Case]:
    plane = int(bare.truth.sum((1, 2)).argmax()) if bare.truth.ndim == 3 else None
    bare = one_plane(bare, plane)
    for n in plan.n_strokes or (6,):
        for seed in range(plan.seeds):
            strokes = simulate(bare.truth, bare.valid, n=n, seed=seed, simulator=plan.simulator)
            yield replace(bare, seed=seed, strokes=strokes, n_strokes=n, simulator=plan.simulator)


def one_plane(case: Case, plane: int | None) -> Case:
    """A case of one plane (Y, X) of a stack; None leaves it as it is."""
    if plane is None:
        return case
    strokes = case.strokes[plane] if case.strokes.ndim == 3 else case.strokes
    return replace(case, image=case.image[:, plane], strokes=strokes, truth=case.truth[plane], valid=case.valid[plane])


def same_stem(folder: Path, stem: str) -> Path | None:
    """The file of a folder with that name, whatever its type."""
    return next(iter(sorted(folder.glob(f"{stem}.*"))), None)

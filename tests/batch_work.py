"""A small model and folders of small images, shared by the tests of batches."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import tifffile

from napari_pu_segment import METHODS
from napari_pu_segment.core.model import save_model
from napari_pu_segment.core.progress import run
from tests.helpers import disk_sample, disks

REPORTS = {"report.json", "report.html"}  # they tell the seconds, and which files were done before
QUICK = {"n_steps": 20, "threads": 1, "prior": "fixed", "class_prior": 0.2}


def write_model(path: Path, seed: int = 0) -> Path:
    """A model of one channel, trained for a moment."""
    settings = METHODS["pu"].settings().changed({**QUICK, "seed": seed})
    save_model(run(METHODS["pu"].train([disk_sample(seed=seed)[0]], settings)), path)
    return path


def write_images(folder: Path, n: int = 3) -> Path:
    """A folder of so many images: image0.tif, image1.tif, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        tifffile.imwrite(folder / f"image{i}.tif", disks(seed=i)[0][0].clip(0, 255).astype(np.uint8))
    return folder


def digests(out: Path) -> dict[str, str]:
    """sha256 of every file of a folder by its path, but for the reports."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name not in REPORTS]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

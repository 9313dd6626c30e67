"""Small images with known objects, shared by tests."""

from __future__ import annotations

import json

import numpy as np

from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.seeded.compute import compute


def disks(shape=(96, 80), n_channels=1, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy bright disks: image (C, Y, X) float32 and truth (Y, X) bool."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    truth = np.zeros(shape, bool)
    for cy, cx in ((20, 20), (20, 60), (50, 40), (78, 20), (76, 62)):
        truth |= (y - cy) ** 2 + (x - cx) ** 2 < 81
    image = np.stack([truth * 100.0 + rng.normal(50, 15, shape) for _ in range(n_channels)])
    return image.astype(np.float32), truth


def strokes(shape=(96, 80), negative=True) -> np.ndarray:
    """Label codes (Y, X): a short stroke on three disks of `disks`, and three on the background."""
    codes = np.zeros(shape, np.uint8)
    for cy, cx in ((20, 20), (50, 40), (76, 62)):
        codes[cy - 1 : cy + 2, cx - 4 : cx + 5] = POSITIVE
    if negative:
        for cy, cx in ((5, 40), (50, 5), (90, 40)):
            codes[cy - 1 : cy + 2, cx - 4 : cx + 5] = NEGATIVE
    return codes


def disk_sample(n_channels=1, negative=True, seed=0) -> tuple[Sample, np.ndarray]:
    """A sample of disks with strokes, and its truth (Y, X) bool."""
    image, truth = disks(n_channels=n_channels, seed=seed)
    return Sample(image, strokes(negative=negative)), truth


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|)."""
    mask = np.asarray(mask, bool)
    return 2 * float((mask & truth).sum()) / float(mask.sum() + truth.sum())


class SeededHere:
    """In place of the child process of methods that grow from seeds: the same answers, without a second to start."""

    def __init__(self, module):
        assert module == "napari_pu_segment.core.seeded.compute"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, arrays, parameters):
        return compute(arrays, json.loads(json.dumps(parameters)))


def patchwork(side=64, seed=0) -> tuple[Sample, np.ndarray]:
    """Background and three classes in stripes, with strokes on each; and the truth (Y, X), 0 to 3."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((side, side), np.uint8)
    truth[4:20, 4:-4], truth[24:40, 4:-4], truth[46:58, 6:30] = 1, 2, 3
    image = 50 + rng.normal(0, 6, (1, side, side)) + np.choose(truth, [0, -30, 30, 75])
    codes = np.zeros((side, side), np.uint8)
    for number, code in ((1, POSITIVE), (2, 4), (3, 5)):
        for x in (8, 22):
            codes[:, x : x + 3][truth[:, x : x + 3] == number] = code
    codes[:, 33:35][truth[:, 33:35] == 0] = NEGATIVE
    return Sample(image.astype(np.float32), codes, classes=("dark", "bright", "fine")), truth

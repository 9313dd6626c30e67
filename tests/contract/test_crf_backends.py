"""The two dense CRF backends are one method: they agree on nearly all labels, in 2-D and 3-D, grey and colour.

Both approximate the same kernel on a lattice. Where the noise of single pixels exceeds the intensity width, few pixels
share a lattice cell, both lose weight between cells, and they may differ more than here.
"""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.crf import BACKENDS, CRF_PRESETS, CrfSettings, available_backend, refine
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE

pytestmark = pytest.mark.skipif(
    available_backend() != "pydensecrf", reason='pydensecrf is not installed: pip install "napari-pu-segment[crf]"'
)
AGREEMENT = 0.985

DEFAULT = CRF_PRESETS["default"]
ORIGINAL = CRF_PRESETS["aurora original"]
WIDE = CrfSettings(
    bilateral_width_px=12, bilateral_intensity_width=8, gaussian_width_px=3, gaussian_weight=3, unary_confidence=0.95
)


def noisy(truth, rng, spread=0.25):
    return np.clip(np.where(truth, 0.65, 0.35) + rng.normal(0, spread, truth.shape), 0, 1)


def blobs(rng, shape):
    grid = np.indices(shape, dtype=float)
    truth = np.zeros(shape, bool)
    for _ in range(12):
        centre = [rng.uniform(0, n) for n in shape]
        squared = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True))
        truth |= squared < rng.uniform(4, 14) ** 2
    return truth


def grey_blobs():
    rng = np.random.default_rng(1)
    truth = blobs(rng, (128, 150))
    return (truth * 90 + rng.normal(100, 15, truth.shape)).astype(np.uint8)[None], noisy(truth, rng), truth


def colour_blobs():
    rng = np.random.default_rng(2)
    truth = blobs(rng, (120, 120))
    colours = np.where(truth, np.array([180, 90, 160])[:, None, None], np.array([230, 200, 220])[:, None, None])
    return colours + rng.normal(0, 4, colours.shape), noisy(truth, rng), truth


def thin_lines():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:140, :140]
    truth = (x + 8 * np.sin(y / 15)) % 24 < 4
    return (truth * 1.0 + rng.normal(0, 0.3, truth.shape))[None], noisy(truth, rng), truth


def two_classes_on_a_ramp():
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:128, :128]
    truth = (y - 64) ** 2 + (x - 64) ** 2 < 40**2
    return (x * 1.0 + 60 * truth + rng.normal(0, 5, truth.shape))[None], noisy(truth, rng), truth


def five_channels():
    rng = np.random.default_rng(5)
    truth = blobs(rng, (100, 110))
    weights = np.array([1, 0.5, 0.8, -0.4, -0.7])[:, None, None]
    return 1000 + 300 * weights * truth + rng.normal(0, 20, (5, *truth.shape)), noisy(truth, rng), truth


def volume():
    rng = np.random.default_rng(6)
    truth = blobs(rng, (20, 60, 64))
    return (truth * 80 + rng.normal(100, 20, truth.shape))[None], noisy(truth, rng), truth


IMAGES = [grey_blobs, colour_blobs, thin_lines, two_classes_on_a_ramp, five_channels, volume]


def both(image, probability, settings, **more):
    results = {name: run(refine(image, probability, settings.changed({"backend": name}), **more)) for name in BACKENDS}
    assert {name: result.backend for name, result in results.items()} == {name: name for name in BACKENDS}
    return results["pydensecrf"], results["grid"]


@pytest.mark.parametrize("settings", [DEFAULT, WIDE, ORIGINAL], ids=["default", "wide", "aurora original"])
@pytest.mark.parametrize("make", IMAGES)
def test_the_backends_agree(make, settings):
    image, probability, _ = make()
    reference, ours = both(image, probability, settings.changed({"planewise": False}))
    assert np.mean(reference.mask == ours.mask) >= AGREEMENT
    assert np.mean(reference.mask != (probability > 0.5)) > 0.05  # and that is not because neither did anything


@pytest.mark.parametrize("make", [grey_blobs, colour_blobs, volume])
def test_they_agree_plane_by_plane_with_strokes_and_another_threshold(make):
    image, probability, truth = make()
    labels = np.zeros(truth.shape, np.uint8)
    labels[..., 10:13, 5:30], labels[..., 60:62, 20:50] = POSITIVE, NEGATIVE
    reference, ours = both(image, probability, DEFAULT, labels=labels, threshold=0.4)
    assert np.mean(reference.mask == ours.mask) >= AGREEMENT
    for result in (reference, ours):
        assert result.mask[labels == POSITIVE].min() == 1
        assert not result.mask[labels == NEGATIVE].any()


@pytest.mark.parametrize("make", IMAGES)
def test_the_default_improves_the_mask_with_either_backend(make):
    image, probability, truth = make()
    before = np.mean((probability > 0.5) == truth)
    for result in both(image, probability, DEFAULT):
        assert np.mean((result.mask == 1) == truth) > before + 0.05


def test_auto_takes_pydensecrf():
    image, probability, _ = grey_blobs()
    assert run(refine(image, probability, DEFAULT)).backend == "pydensecrf"

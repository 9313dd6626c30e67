"""The synthetic aurora frame: reproducible, with exact truth, and not to be had by a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.synthetic import AuroraFrame, aurora_frame


@pytest.fixture(scope="module")
def frame() -> AuroraFrame:
    return aurora_frame()


def test_shapes_and_types(frame):
    assert frame.image.shape == (3, 512, 512)
    assert frame.image.dtype == np.uint8
    for mask in (frame.truth, frame.valid, frame.positive, frame.negative):
        assert mask.shape == (512, 512)
        assert mask.dtype == bool


def test_same_seed_same_frame_other_seed_other_frame():
    first, again, other = aurora_frame(3, 96), aurora_frame(3, 96), aurora_frame(4, 96)
    for name in ("image", "truth", "valid", "positive", "negative"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    assert not np.array_equal(first.image, other.image)


def test_the_outside_of_the_rim_is_dark_and_has_no_truth(frame):
    assert 0.6 < frame.valid.mean() < 0.75  # a circle in a square
    assert not (frame.truth & ~frame.valid).any()
    assert frame.image[:, ~frame.valid].mean() < 12 < frame.image[:, frame.valid].mean()


def test_aurora_is_green_and_bright_and_moon_cloud_and_stars_are_bright_too(frame):
    green, red = frame.image[1].astype(float), frame.image[0].astype(float)
    sky = frame.valid & ~frame.truth
    assert (green - red)[frame.truth].mean() > 5 * (green - red)[sky].mean()
    assert (green[sky] > np.median(green[frame.truth])).sum() > 500
    assert 0.1 < frame.class_prior < 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_no_threshold_finds_the_aurora(seed):
    frame = aurora_frame(seed)
    best = max(scores(frame.image[1] > t, frame.truth, frame.valid)["dice"] for t in range(10, 250, 6))
    assert 0.5 < best < 0.86


@pytest.mark.parametrize("seed", range(6))
def test_strokes_are_few_thin_and_right(seed):
    frame = aurora_frame(seed, 256)
    assert not (frame.positive & ~frame.truth).any()
    assert not (frame.negative & (frame.truth | ~frame.valid)).any()
    for strokes in (frame.positive, frame.negative):
        assert 4 <= ndimage.label(strokes, np.ones((3, 3)))[1] <= 12
        assert 0.002 < strokes.mean() < 0.03
        assert ndimage.distance_transform_edt(np.pad(strokes, 1)).max() <= 6


@pytest.mark.parametrize("side_px", [0, -5, 63, 5000])
def test_a_side_out_of_range_is_refused(side_px):
    assert aurora_frame(0, 64).image.shape == (3, 64, 64)
    with pytest.raises(InputError, match="64 to 4096"):
        aurora_frame(0, side_px)

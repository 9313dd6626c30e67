"""Area and threshold follow from one another, and the typical size of an object is one that the user would name."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.coverage import (
    HIGHEST,
    LOWEST,
    N_BINS,
    bins_of,
    measure_coverage,
    probability_of,
    score_of,
    threshold_of,
    typical_size,
)
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE


def measured(probability, labels=None, threshold=0.5):
    return run(measure_coverage(probability, threshold_mask(probability, threshold, labels), labels))


@pytest.fixture(scope="module")
def smooth():
    """Probabilities of all sizes, many of them near 0 and some very near 1, (300, 200) float32."""
    score = np.random.default_rng(0).normal(-3, 4, (300, 200))
    return (1 / (1 + np.exp(-score))).astype(np.float32)


@pytest.mark.parametrize("threshold", [1e-6, 0.01, 0.3, 0.5, 0.9, 0.9996, 0.999999])
def test_the_area_at_a_threshold_is_that_of_its_mask(smooth, threshold):
    exact = float(threshold_mask(smooth, threshold).mean())
    assert 0 < exact < 1
    assert measured(smooth).coverage_at(threshold) == pytest.approx(exact, abs=3e-4)


@pytest.mark.parametrize("coverage", [0.001, 0.03, 0.06, 0.12, 0.5, 0.9])
def test_the_threshold_of_an_area_gives_that_area(smooth, coverage):
    table = measured(smooth)
    threshold = table.threshold_at(coverage)
    assert float(threshold_mask(smooth, threshold).mean()) == pytest.approx(coverage, abs=3e-4)
    assert table.coverage_at(threshold) == pytest.approx(coverage, abs=3e-4)


def test_nothing_and_everything_can_be_asked_for(smooth):
    table = measured(smooth)
    assert threshold_mask(smooth, table.threshold_at(0.0)).sum() <= 1
    assert threshold_mask(smooth, table.threshold_at(1.0)).all()
    assert table.coverage_at(0.0) == 1.0
    assert table.coverage_at(1.0) < 0.001


def test_where_probabilities_are_few_the_nearest_area_is_taken_amid_the_gap():
    probability = np.full((10, 10), 0.1, np.float32)
    probability[:3] = 0.9
    table = measured(probability)
    assert table.coverage_at(0.5) == 0.3
    for asked, given in ((0.3, 0.3), (0.25, 0.3), (0.1, 0.0), (0.6, 0.3), (0.7, 1.0)):
        assert threshold_mask(probability, table.threshold_at(asked)).mean() == given
    assert table.threshold_at(0.3) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_probabilities_are_counted_where_they_are(value):
    table = measured(np.full((7, 5), value, np.float32))
    assert table.n_pixels == 35
    assert table.coverage_at(max(0.0, value - 1e-3)) == 1.0
    assert table.coverage_at(min(1.0, value + 1e-3)) == float(value == 1)
    assert table.pixels[bins_of(np.array([value], np.float32))[0]] == 35


def test_a_network_that_is_very_sure_still_gives_every_area():
    score = np.random.default_rng(2).normal(-30, 20, (200, 200)).clip(-75, 15)
    probability = (1 / (1 + np.exp(-score))).astype(np.float32)
    table = measured(probability)
    for coverage in (0.05, 0.3, 0.6, 0.95):
        assert threshold_mask(probability, table.threshold_at(coverage)).mean() == pytest.approx(coverage, abs=1e-3)


def test_ignored_pixels_do_not_count_and_strokes_are_told_apart():
    probability = np.full((20, 30), 0.2, np.float32)
    probability[:10] = 0.8
    labels = np.zeros((20, 30), np.uint8)
    labels[:5] = IGNORE
    labels[7, :4] = POSITIVE
    labels[15, :6] = NEGATIVE
    before, table = measured(probability), measured(probability, labels)
    assert (before.n_pixels, before.positive.sum(), before.negative.sum()) == (600, 0, 0)
    assert before.coverage_at(0.5) == 0.5
    assert (table.n_pixels, table.positive.sum(), table.negative.sum()) == (450, 4, 6)
    assert table.coverage_at(0.5) == pytest.approx(150 / 450)
    pixels, positive, negative = table.shown(10)
    assert pixels.sum() == 450
    assert positive.argmax() >= 5 > negative.argmax()


def test_what_is_drawn_leaves_out_next_to_nothing(smooth):
    table = measured(smooth)
    low, high = table.score_range
    assert -14 <= low < -13
    assert 7 < high < 12
    pixels, *_ = table.shown(50)
    assert pixels.sum() == smooth.size
    assert pixels.argmax() == pytest.approx((-3 - low) / (high - low) * 50, abs=6)
    assert measured(np.full((5, 5), 0.5, np.float32)).score_range == (-2, 2)


def test_objects_of_typical_size():
    probability = np.zeros((100, 120), np.float32)
    for column in (10, 40, 70):
        probability[20:30, column : column + 10] = 1
    labels = np.zeros(probability.shape, np.uint8)
    table = measured(probability)
    assert table.object_px == 100
    assert table.objects_at(0.025) == pytest.approx(3)
    assert table.coverage_of(3) == pytest.approx(0.025)
    assert table.coverage_of(1e9) == 1.0
    probability[60:80, 10:30] = 1
    labels[70, 15] = POSITIVE
    assert measured(probability, labels).object_px == 400, "the part with a stroke is an object for sure"
    nothing = measured(np.zeros((5, 5), np.float32))
    assert (nothing.object_px, nothing.objects_at(0.5)) == (0, 0)


def test_specks_are_not_typical():
    assert typical_size(np.array([]), np.array([1] * 900 + [300, 310, 320])) == 300
    assert typical_size(np.array([280]), np.array([1] * 900 + [300, 310, 320])) == 280
    assert typical_size(np.array([]), np.array([])) == 0


def test_the_band_is_half_as_much_and_twice_the_area(smooth):
    table = measured(smooth)
    areas = [float(threshold_mask(smooth, threshold).mean()) for threshold in table.band(0.06)]
    assert areas == pytest.approx([0.12, 0.06, 0.03], abs=3e-4)
    assert threshold_mask(smooth, table.band(0.8)[0]).all(), "never more than everything"


def test_large_images_and_stacks_are_measured_block_by_block():
    stack = np.random.default_rng(1).random((3, 1500, 1100)).astype(np.float32)
    table = measured(stack)
    assert table.n_pixels == stack.size
    assert table.coverage_at(0.25) == pytest.approx(0.75, abs=1e-3)


def test_shapes_must_agree():
    work = measure_coverage(np.zeros((3, 4), np.float32), np.zeros((4, 3), np.uint8))
    with pytest.raises(InputError, match="differ in shape"):
        run(work)


def test_scores_and_probabilities():
    for probability in (0.001, 0.5, 0.97):
        assert probability_of(score_of(probability)) == pytest.approx(probability)
    assert (score_of(0.0), score_of(1.0)) == (LOWEST, HIGHEST)
    assert threshold_of(0) == 0
    assert threshold_of(N_BINS - 1) == pytest.approx(1)

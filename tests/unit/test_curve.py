"""Sensitivity and purity against the threshold, against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.coverage import measure_coverage
from napari_pu_segment.core.curve import Curve, curve_table, estimated_curve, pixel_curve
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.objects.detections import around, matches, middles, object_curve
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE

BIN = 2e-3  # a probability is known to the width of a bin of scores


def coverage_of(probability, labels=None, axes=""):
    return run(measure_coverage(probability, threshold_mask(probability, 0.5, labels), labels, axes=axes))


@pytest.fixture
def halves():
    """Five pixels of probability 0.8 and five of 0.2, (1, 10)."""
    return np.array([[0.8] * 5 + [0.2] * 5], np.float32)


def test_what_right_probabilities_promise(halves):
    curve = estimated_curve(coverage_of(halves), 0.5)
    assert curve.source == "estimated"
    assert curve.at(0.5) == pytest.approx((0.8, 0.8), abs=BIN)  # 5 x 0.8 of 5; the mean of 0.8
    assert curve.at(0.15) == pytest.approx((1.0, 0.5), abs=BIN)
    assert curve.sensitivity[0] == 1
    assert np.isnan(curve.at(0.85)[1])
    assert curve.at(0.85)[0] == 0


def test_a_common_shift_of_the_scores_is_taken_back(halves):
    odds = halves / (1 - halves) / 4  # of 0.5 and 1/17; the mean 0.28 is not the 0.5 that the mask covers
    shifted = (odds / (1 + odds)).astype(np.float32)
    shifted[shifted > 0.4] = 0.501  # surely in the mask
    curve = estimated_curve(coverage_of(shifted), 0.5)
    assert curve.at(0.3) == pytest.approx((0.8, 0.8), abs=2 * BIN)
    kept = estimated_curve(coverage_of(shifted), 0.9)  # the mask covers nothing there: the probabilities as they are
    assert kept.at(0.3) == pytest.approx((0.501 / (0.501 + 1 / 17), 0.501), abs=BIN)


def test_pixels_against_a_truth(halves):
    truth = np.array([[1, 1, 1, 1, 0, 1, 1, 0, 0, 0]])
    curve = run(pixel_curve(halves, truth, coverage_of(halves)))
    assert curve.at(0.5) == pytest.approx((4 / 6, 4 / 5))
    assert curve.at(0.15) == pytest.approx((1.0, 6 / 10))
    labels = np.zeros((1, 10), np.uint8)
    labels[0, :2] = IGNORE
    left = run(pixel_curve(halves, truth, coverage_of(halves, labels), labels))
    assert left.at(0.5) == pytest.approx((2 / 4, 2 / 3))


def test_pixels_agree_with_recall_and_precision_of_the_mask():
    rng = np.random.default_rng(0)
    truth = rng.random((60, 70)) < 0.3
    probability = (1 / (1 + np.exp(-rng.normal(3 * truth - 2, 2)))).astype(np.float32)
    curve = run(pixel_curve(probability, truth, coverage_of(probability)))
    for threshold in (0.1, 0.5, 0.9):
        told = scores(threshold_mask(probability, threshold), truth)
        assert curve.at(threshold) == pytest.approx((told["recall"], told["precision"]), abs=0.01)


@pytest.fixture
def sources():
    """Three objects, 1, 2 and 7: 1 is found in two parts, 2 in one, 7 is faint; something else is false."""
    truth, probability = np.zeros((30, 40), np.int32), np.full((30, 40), 0.01, np.float32)
    truth[2:8, 2:12], truth[15:20, 5:10], truth[22:26, 30:34] = 1, 2, 7
    probability[3:7, 2:6] = probability[3:7, 8:12] = probability[15:20, 5:10] = 0.9
    probability[2:6, 30:34], probability[22:26, 30:34] = 0.9, 0.3
    return truth, probability


def test_objects_against_a_truth(sources):
    truth, probability = sources
    curve = run(object_curve(probability, truth, coverage_of(probability), ObjectSettings()))
    assert curve.source == "objects"
    assert curve.at(0.6) == pytest.approx((2 / 3, 2 / 4))  # one was found twice, and one is false
    assert curve.at(0.15) == pytest.approx((3 / 3, 3 / 5))
    assert np.isnan(curve.at(0.99)[1])
    strict = run(object_curve(probability, truth, coverage_of(probability), ObjectSettings(min_size_px=20)))
    assert strict.at(0.6) == pytest.approx((1 / 3, 1 / 1))


def test_a_truth_of_one_number_is_parted_and_what_is_ignored_is_no_object(sources):
    truth, probability = sources
    labels = np.zeros(truth.shape, np.uint8)
    labels[:, 25:] = IGNORE
    coverage = coverage_of(probability, labels)
    curve = run(object_curve(probability, truth > 0, coverage, ObjectSettings(), labels=labels))
    assert curve.at(0.6) == pytest.approx((2 / 2, 2 / 3))


def test_objects_of_each_frame_are_their_own(sources):
    truth, probability = sources
    series, chances = np.stack([truth, np.zeros_like(truth), truth]), np.stack([probability] * 3)
    curve = run(object_curve(chances, series, coverage_of(chances, axes="CTYX"), ObjectSettings(), axes="CTYX"))
    assert curve.at(0.6) == pytest.approx((4 / 6, 4 / 12))


def test_objects_of_each_plane_are_their_own_unless_they_go_through(sources):
    truth, probability = np.zeros((3, 12, 12), np.int32), np.full((3, 12, 12), 0.01, np.float32)
    truth[:, 4:7, 4:7] = [[[1]], [[1]], [[2]]]
    probability[:, 4:7, 7:8] = 0.9  # in each plane a middle one pixel beside the object
    probability[1, 9, 9] = 0.9  # nothing is near it
    coverage, settings = coverage_of(probability), ObjectSettings(min_size_px=1)
    assert run(object_curve(probability, truth, coverage, settings)).at(0.6) == pytest.approx((3 / 3, 3 / 4))
    through = settings.changed({"planewise": False})
    found = run(object_curve(probability, truth, coverage, through)).at(0.6)
    assert found == pytest.approx((1 / 2, 1 / 2))  # one object through all planes, and the speck


def test_at_the_ends_everything_is_found_and_what_is_sure():
    probability = np.full((100, 100), 1e-12, np.float32)  # far below what is drawn
    probability[:10], probability[10:20] = 0.9, 1
    truth = np.zeros((100, 100), np.uint8)
    truth[10:30] = 1
    curve = run(pixel_curve(probability, truth, coverage_of(probability)))
    assert curve.at(0.5) == (1 / 2, 1 / 2)
    assert curve.at(0) == (1, 1 / 5)
    assert curve.at(1) == (1 / 2, 1)


def test_a_truth_without_background():
    probability = np.array([[0.9, 0.9, 0.1, 0.1]] * 2, np.float32)
    whole = run(object_curve(probability, np.ones((2, 4)), coverage_of(probability), ObjectSettings(min_size_px=1)))
    assert whole.at(0.5) == (1, 1)
    halves = np.array([[5, 5, 9, 9]] * 2)
    found = run(object_curve(probability, halves, coverage_of(probability), ObjectSettings(min_size_px=1)))
    assert found.at(0.5) == (1 / 2, 1)
    assert run(pixel_curve(probability, np.ones((2, 4)), coverage_of(probability))).at(0.5) == (1 / 2, 1)


def test_pixels_of_just_the_threshold_are_in_the_mask():
    probability = np.array([[0.5, 0.5, 0.1, 0.1]], np.float32)  # as votes of trees are
    coverage = coverage_of(probability)
    assert coverage.coverage_at(0.5) == threshold_mask(probability, 0.5).mean() == 0.5
    curve = estimated_curve(coverage, 0.5)  # odds of 1 and 1/9 come to 3 and 1/3, so that half of all are objects
    assert curve.at(0.3) == pytest.approx((0.75, 0.75), abs=BIN)


def test_a_middle_one_pixel_beside_finds():
    truth = np.zeros((9, 9), np.int32)
    truth[4, 4] = 3
    near = around(truth)
    assert matches(np.array([[4.0, 5.4], [5.0, 5.0], [2.0, 4.0]]), near) == 1
    assert matches(np.array([[2.4, 4.0]]), near) == 0
    weights = np.array([[0.0, 1.0, 3.0]])
    assert middles(np.array([[0, 1, 1]]), weights).tolist() == [[0.0, 1.75]]
    assert matches(middles(np.zeros((9, 9), int), np.ones((9, 9))), near) == 0


def test_a_truth_must_fit_and_hold_something(halves):
    coverage = coverage_of(halves)
    with pytest.raises(InputError, match="differ in shape"):
        run(pixel_curve(halves, np.ones((2, 10)), coverage))
    with pytest.raises(InputError, match="no object"):
        run(pixel_curve(halves, np.zeros((1, 10)), coverage))
    with pytest.raises(InputError, match="no object"):
        run(object_curve(halves, np.zeros((1, 10)), coverage, ObjectSettings()))


def test_between_points_a_line_over_the_score_is_read():
    middle = 1 / (1 + np.exp(-1.0))  # of scores 0 and 2
    curve = Curve(np.array([0.5, 1 / (1 + np.exp(-2.0))]), np.array([1.0, 0.4]), np.array([0.2, 0.6]), "pixels")
    assert curve.at(middle) == pytest.approx((0.7, 0.4))
    assert curve.at(0.1) == pytest.approx((1.0, 0.2))
    assert curve.at(0.99) == pytest.approx((0.4, 0.6))


def test_the_table_has_curves_one_below_the_other(tmp_path):
    one = Curve(np.array([0.25, 0.5]), np.array([1.0, 0.5]), np.array([0.125, np.nan]), "pixels")
    curve_table([one]).write_csv(tmp_path / "one.csv")
    lines = (tmp_path / "one.csv").read_text().split()
    assert lines == ["threshold,sensitivity,purity,source", "0.25,1,0.125,pixels", "0.5,0.5,,pixels"]
    curve_table([one, one], ["a", "b"]).write_csv(tmp_path / "two.csv")
    lines = (tmp_path / "two.csv").read_text().split()
    assert lines[0] == "class,threshold,sensitivity,purity,source"
    assert [line[:6] for line in lines[1:]] == ["a,0.25", "a,0.5,", "b,0.25", "b,0.5,"]

"""Uncertainty: against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.suggest.uncertainty import shifted_scores, uncertainty


def test_it_is_the_binary_entropy_where_the_threshold_is_one_half():
    p = np.array([[0.0, 0.25, 0.5], [0.75, 0.89, 1.0]], np.float32)
    bits = uncertainty(p, 0.5)
    assert bits.dtype == np.float32
    assert bits.shape == p.shape
    assert bits[0, 1] == pytest.approx(0.8112781, abs=1e-5)  # -(1/4 log2 1/4 + 3/4 log2 3/4)
    assert bits[1, 0] == pytest.approx(0.8112781, abs=1e-5)
    assert bits[1, 1] == pytest.approx(0.4999158, abs=1e-4)
    assert bits[0, 0] < 1e-4
    assert bits[1, 2] < 1e-4


@pytest.mark.parametrize("threshold", [0.02, 0.3, 0.5, 0.97])
def test_it_is_one_at_the_threshold_and_falls_to_both_sides(threshold):
    below, at, above = (np.full((2, 3, 4), threshold * f, np.float32) for f in (0.5, 1, 1.02))
    assert uncertainty(at, threshold) == pytest.approx(1, abs=1e-5)
    assert (uncertainty(below, threshold) < 0.99).all()
    assert (uncertainty(above, threshold) < 1).all()


def test_scores_are_shifted_by_the_logit_of_the_threshold():
    assert shifted_scores(np.array([0.8]), 0.2) == pytest.approx(np.log(16), rel=1e-5)  # log 4 - log 1/4
    assert shifted_scores(np.array([0.3]), 0.3) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_and_values_at_the_ends_stay_within_bounds(threshold):
    bits = uncertainty(np.array([0, 1e-9, 0.5, 1, np.nan]), threshold)
    assert np.isfinite(bits).all()
    assert bits.min() >= 0
    assert bits.max() <= 1
    assert bits[-1] == 0
    assert bits[2] < 0.001


def test_blocks_make_no_difference(monkeypatch):
    p = np.random.default_rng(0).random((7, 11))
    whole = uncertainty(p, 0.3)
    monkeypatch.setattr("napari_pu_segment.core.suggest.uncertainty._BLOCK", 10)
    assert np.array_equal(uncertainty(p, 0.3), whole)
    assert np.array_equal(uncertainty(p.T, 0.3), whole.T)

"""Agreement with the truth, against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.metrics import average_precision, scores

TRUTH = np.array([[1, 1, 1, 0, 0, 0]])
PREDICTION = np.array([[1, 1, 0, 1, 0, 0]])  # TP 2, FP 1, FN 1


def test_hand_computed_scores():
    got = scores(PREDICTION, TRUTH)
    ratios = {"dice": 4 / 6, "iou": 2 / 4, "precision": 2 / 3, "recall": 2 / 3, "specificity": 2 / 3, "accuracy": 4 / 6}
    assert got == pytest.approx(ratios)


def test_perfect_and_opposite():
    assert set(scores(TRUTH, TRUTH).values()) == {1.0}
    assert set(scores(1 - TRUTH, TRUTH).values()) == {0.0}


def test_any_nonzero_value_is_positive():
    assert scores(PREDICTION * 255, TRUTH * 7) == scores(PREDICTION, TRUTH)
    assert scores(PREDICTION.astype(bool), TRUTH.astype(np.float32)) == scores(PREDICTION, TRUTH)


def test_valid_restricts_the_score():
    valid = np.array([[1, 1, 0, 0, 1, 1]])  # leaves only agreement
    assert scores(PREDICTION, TRUTH)["dice"] < 1
    assert scores(PREDICTION, TRUTH, valid)["dice"] == 1.0


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        ([0, 0], [0, 0], (1.0, 1.0, 1.0, 1.0)),  # nothing to find, nothing found
        ([0, 0], [1, 0], (0.0, 0.0, 0.0, 0.0)),
        ([1, 0], [0, 0], (0.0, 0.0, 0.0, 0.0)),
        ([1, 1], [1, 0], (2 / 3, 1 / 2, 1 / 2, 1.0)),
    ],
)
def test_defined_values_at_the_edges(prediction, truth, expected):
    got = scores(np.array(prediction), np.array(truth))
    assert (got["dice"], got["iou"], got["precision"], got["recall"]) == pytest.approx(expected)


def test_large_counts_do_not_overflow():
    ones = np.ones((300, 300), np.uint8)
    assert scores(ones, ones)["dice"] == 1.0


def test_average_precision_by_hand():
    # ranked: + - + -  ->  precision 1 at recall 1/2, 2/3 at recall 1
    got = average_precision(np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 1, 0]))
    assert got == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_average_precision_shares_ties():
    # the two 0.5 are one threshold: recall 1 at precision 2/3
    assert average_precision(np.array([0.9, 0.5, 0.5]), np.array([1, 1, 0])) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert average_precision(np.array([0.9, 0.5, 0.5]), np.array([1, 0, 1])) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_average_precision_of_a_constant_is_the_prior_and_of_no_positives_zero():
    assert average_precision(np.full(8, 0.5), np.array([1, 0, 0, 0, 0, 0, 0, 1])) == pytest.approx(0.25)
    assert average_precision(np.array([0.1, 0.9]), np.zeros(2)) == 0.0


def test_average_precision_agrees_with_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth = rng.random((40, 50)) < 0.2
    probability = np.round(0.3 * truth + rng.random((40, 50)), 2)  # rounded: many ties
    valid = rng.random((40, 50)) < 0.7
    expected = sklearn.average_precision_score(truth[valid], probability[valid])
    assert average_precision(probability, truth, valid) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("score", [scores, average_precision])
def test_what_cannot_be_scored_is_refused(score):
    assert score(TRUTH, TRUTH) is not None
    with pytest.raises(InputError, match="one shape"):
        score(TRUTH, TRUTH[:, :3])
    with pytest.raises(InputError, match="one shape"):
        score(TRUTH, TRUTH, np.ones(6))
    with pytest.raises(InputError, match="no valid pixel"):
        score(TRUTH, TRUTH, np.zeros_like(TRUTH))


def test_average_precision_refuses_nan():
    with pytest.raises(InputError, match="not finite"):
        average_precision(np.array([0.1, np.nan]), np.array([0, 1]))

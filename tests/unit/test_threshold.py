import numpy as np
import pytest

from napari_pu_segment.core.training.threshold import THRESHOLDS, ThresholdEvidence, covering, plateau

NO = np.empty(0)


def two_humps(objects=200, background=800, gap=10.0):
    """Scores evenly spread over 0..1 (background) and over gap..gap + 1 (objects)."""
    return np.concatenate([np.linspace(0, 1, background), gap + np.linspace(0, 1, objects)])


def test_covering_is_a_quantile():
    scores = np.arange(101, dtype=np.float32)  # 0..100
    assert covering(ThresholdEvidence(scores, NO, NO), 0.25) == pytest.approx(75)
    assert (scores > covering(ThresholdEvidence(scores, NO, NO), 0.25)).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("wrong", [0.75, 1.0, 1.4])
def test_plateau_finds_the_gap_from_a_wrong_prior(wrong):
    scores = two_humps()
    evidence = ThresholdEvidence(scores, NO, NO)
    error = abs((scores >= plateau(evidence, 0.2 * wrong)).mean() - 0.2)
    assert error < 0.03
    if wrong != 1:
        assert error < abs((scores >= covering(evidence, 0.2 * wrong)).mean() - 0.2) / 2


def test_plateau_keeps_to_the_prior_where_there_is_no_gap():
    scores = np.random.default_rng(0).exponential(size=20_000)  # -dt / d log a is 1 everywhere
    assert (scores >= plateau(ThresholdEvidence(scores, NO, NO), 0.2)).mean() == pytest.approx(0.2, rel=0.15)


def test_plateau_does_not_jump_to_a_gap_far_away():
    scores = two_humps(objects=800, background=200)
    assert (scores >= plateau(ThresholdEvidence(scores, NO, NO), 0.1)).mean() < 0.3, (
        "a prior of a tenth is not taken for eight tenths"
    )


def test_strokes_on_the_wrong_side_move_the_plateau():
    scores = np.random.default_rng(0).exponential(size=20_000)
    alone = plateau(ThresholdEvidence(scores, NO, NO), 0.2)
    with_background = plateau(ThresholdEvidence(scores, NO, np.full(50, alone + 0.3)), 0.2)
    assert alone + 0.3 < with_background < alone + 1, "it rises above the negative strokes, no further than it must"
    with_objects = plateau(ThresholdEvidence(scores, np.full(50, alone - 0.3), NO), 0.2)
    assert alone - 1 < with_objects <= alone - 0.3


@pytest.mark.parametrize("rule", THRESHOLDS)
@pytest.mark.parametrize("scores", [np.zeros(10), np.full(10, 7.0), np.linspace(-5, 5, 33, dtype=np.float32)])
@pytest.mark.parametrize("class_prior", [0.002, 0.3, 0.99])
def test_every_rule_gives_a_finite_score(rule, scores, class_prior):
    threshold = THRESHOLDS[rule].choose(ThresholdEvidence(scores, scores[:3], scores[:0]), class_prior)
    assert isinstance(threshold, float)
    assert np.isfinite(threshold)
    assert THRESHOLDS[rule].title
    assert THRESHOLDS[rule].reference

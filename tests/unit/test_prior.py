from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.progress import Progress, run
from napari_pu_segment.core.training.prior import HIGHEST, LOWEST, PRIORS, Evidence, Fold, best_bin, find_humps

RNG = np.random.default_rng(0)


def evidence(prior=0.2, gap=6.0, stroke_level=None, negative_level=None, folds=None, n_channels=2, tails=False):
    """Pixels of two classes `gap` standard deviations apart in the first channel."""
    inside = RNG.random(20_000) < prior
    unlabelled = RNG.normal(0, 1, (20_000, n_channels))
    unlabelled[:, 0] += gap * inside
    if tails:
        unlabelled = RNG.standard_t(2, unlabelled.shape)
    positive = RNG.normal(0, 0.3, (300, n_channels))
    positive[:, 0] += gap if stroke_level is None else stroke_level
    negative = np.empty((0, n_channels))
    if negative_level is not None:
        negative = RNG.normal(0, 0.3, (300, n_channels))
        negative[:, 0] += negative_level

    def made():
        yield Progress(0, 1, "scoring")
        return folds or [Fold([RNG.normal(5, 1, 500)], RNG.normal(0, 1, 20_000) + 5 * inside)]

    return Evidence(np.split(positive, 3), negative, unlabelled, made)


@pytest.mark.parametrize("prior", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_two_clear_humps(prior, n_channels):
    given = evidence(prior, n_channels=n_channels)
    humps = find_humps(given)
    assert humps.trust == 1
    assert humps.fraction == pytest.approx(prior, rel=0.1)
    estimate = run(PRIORS["auto"].estimate(given))
    assert estimate.prior == humps.fraction
    assert "humps" in estimate.source


@pytest.mark.parametrize(
    "given",
    [
        evidence(gap=0.0, stroke_level=3.0, tails=True),  # one hump, and the strokes are in its tail
        evidence(0.02, stroke_level=1.5),  # two humps, but the strokes are on neither
        evidence(0.5, negative_level=6.0),  # negative strokes on the same side
    ],
)
def test_humps_that_are_not_believed(given):
    assert find_humps(given).trust == 0
    assert "best bin" in run(PRIORS["auto"].estimate(given)).source


def test_strokes_that_agree_halfway_blend_the_two():
    given = evidence(0.2, negative_level=0.0)
    negative = given.negative.copy()
    negative[: len(negative) * 3 // 8, 0] += 6  # specificity 5/8, halfway between 1/2 and 3/4
    given = Evidence(given.positive, negative, given.unlabelled, given.folds)
    assert find_humps(given).trust == pytest.approx(0.5, abs=0.02)
    humps, bins, both = (run(PRIORS[name].estimate(given)).prior for name in ("humps", "best_bin", "auto"))
    assert both == pytest.approx((humps * bins) ** 0.5, rel=0.02)


def test_constant_image_has_no_humps():
    given = Evidence([np.ones((5, 1))], np.empty((0, 1)), np.ones((9, 1)), evidence().folds)
    assert find_humps(given).trust == 0


def test_best_bin_by_hand():
    # every positive scores 1; of four unlabelled pixels one does: q_u / q_p = 1/4 at the only threshold
    assert best_bin(Fold([np.ones(1000)], np.array([0.0, 0, 0, 1]))) == pytest.approx(0.25)


@pytest.mark.parametrize("prior", [0.1, 0.3, 0.6])
def test_best_bin_of_fair_strokes(prior):
    inside = RNG.random(20_000) < prior
    fold = Fold([RNG.normal(5, 1, 2000)], RNG.normal(0, 1, 20_000) + 5 * inside)
    assert best_bin(fold) == pytest.approx(prior, rel=0.15)


@pytest.mark.parametrize("prior", [0.1, 0.3])
def test_strokes_that_correct_a_result_do_not_mislead_the_best_bin(prior):
    inside = RNG.random(20_000) < prior
    scores = RNG.normal(0, 1, 20_000) + 5 * inside
    strokes = [RNG.normal(5, 1, 400) for _ in range(4)]
    corrections = [RNG.normal(0.5, 1, 400) for _ in range(4)]  # on objects that look like background
    assert best_bin(Fold(strokes, scores)) == pytest.approx(prior, rel=0.15)
    assert best_bin(Fold(corrections, scores)) > 1.5 * prior
    assert best_bin(Fold([*corrections, *strokes], scores)) == pytest.approx(prior, rel=0.15)


def test_strokes_that_correct_a_result_do_not_hide_the_humps():
    given = evidence(0.2)
    strokes = [*given.positive, *given.positive]
    corrections = [stroke - [6.0, 0.0] for stroke in given.positive]  # in the background's hump
    more = [*corrections, *corrections, *strokes]  # too many of them
    assert find_humps(Evidence(more, given.negative, given.unlabelled, given.folds)).trust == 0
    humps = find_humps(Evidence([*corrections, *strokes], given.negative, given.unlabelled, given.folds))
    assert humps.trust == 1
    assert humps.fraction == pytest.approx(0.2, rel=0.1)


def test_folds_are_averaged_and_corrected_for_the_brush():
    def fold(fraction):
        return Fold([np.ones(1000)], (np.arange(1000) < 1000 * fraction).astype(float))

    estimate = run(PRIORS["best_bin"].estimate(evidence(folds=[fold(0.1), fold(0.4)])))
    assert estimate.prior == pytest.approx(1.2 * 0.2)  # the geometric mean of the two is 0.2
    assert estimate.interval[0] < 1.2 * 0.1 < 1.2 * 0.4 < estimate.interval[1], "it spans what both halves say"


@pytest.mark.parametrize("name", list(PRIORS))
@pytest.mark.parametrize("scores", [0.0, 1.0])
def test_estimates_are_bounded(name, scores):
    fold = Fold([np.ones(50)], np.full(50, scores))
    estimate = run(PRIORS[name].estimate(evidence(0.001, folds=[fold])))
    low, high = estimate.interval
    assert LOWEST <= low <= estimate.prior <= high <= HIGHEST
    assert low < high
    assert estimate.source

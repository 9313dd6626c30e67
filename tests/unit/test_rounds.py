"""Rounds: the formulas by hand, held-out judging on known objects, and what a wrong stroke does to the verdict."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import Progress, run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, Sample, codes_from_masks
from napari_pu_segment.core.training.fit import FeatureCache
from napari_pu_segment.core.training.judge import N_FOLDS, judge
from napari_pu_segment.core.training.patches import find_strokes
from napari_pu_segment.core.training.rounds import (
    STOP_BELOW,
    HeldStroke,
    Judgement,
    Round,
    Verdict,
    compare,
    kappa,
    mask_change,
    may_stop,
    pu_precision,
)
from napari_pu_segment.synthetic import aurora_frame
from tests.helpers import disk_sample

SETTINGS = METHODS["pu"].settings(n_steps=60, prior="fixed", class_prior=0.15, threads=1)


def judgement(positive=(), negative=(), steadiness=(), coverage=0.2, class_prior=0.1):
    strokes = [HeldStroke(0, "positive", np.array([i]), value) for i, value in enumerate(positive)]
    strokes += [HeldStroke(0, "negative", np.array([i]), value) for i, value in enumerate(negative)]
    return Judgement(strokes, steadiness, coverage, class_prior)


def test_precision_by_bayes_rule():
    assert pu_precision(0.8, 0.1, 0.2) == pytest.approx(0.4)
    assert pu_precision(0.8, 0.2, 0.2) == pytest.approx(0.8), "at the coverage of the prior it is the recall"
    assert pu_precision(0.9, 0.5, 0.2) == 1.0, "never more than 1"
    assert pu_precision(0.0, 0.5, 0.0) == 0.0


def test_what_a_judgement_tells():
    one = judgement([1.0, 0.6], [0.9, 0.7, 0.8], [0.5, 0.7])
    assert one.recall == pytest.approx(0.8)
    assert one.specificity == pytest.approx(0.8)
    assert one.agreement == pytest.approx(0.8)
    assert one.steadiness == pytest.approx(0.6)
    assert one.precision == pytest.approx(0.8 * 0.1 / 0.2)
    assert judgement([1.0, 0.6]).agreement == pytest.approx(0.8), "the kind that is known"
    empty = judgement()
    assert (empty.recall, empty.specificity, empty.agreement, empty.steadiness, empty.precision) == (None,) * 5


def test_strokes_that_the_others_do_not_bear_out():
    assert judgement([0.5, 0.9], [0.8]).loners == []
    assert [one.agreement for one in judgement([0.9, 0.3], [0.1]).loners] == [0.1, 0.3]


def test_change_is_relative_to_the_objects():
    old, new = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    assert mask_change(old, new) == 0
    old[0, :4] = 1
    new[0, 2:5] = 1
    assert mask_change(old, new) == pytest.approx(3 / 5)
    assert mask_change(new, old) == pytest.approx(3 / 5)
    assert mask_change(old, old) == 0
    assert mask_change(old, np.zeros_like(old)) == 1


def test_comparison_by_hand():
    old = judgement([1.0, 0.8], [1.0, 1.0], [0.9, 0.7])
    new = judgement([0.9, 0.9, 0.0], [1.0, 1.0, 1.0], [0.6, 0.6])
    verdict = compare(old, new)
    assert verdict.agreement == pytest.approx(((0.6 - 0.9) + 0.0) / 2)
    # standard errors: old positives 0.1; new positives std 0.5196 / sqrt(3) = 0.3; negatives and new folds 0
    assert verdict.agreement_spread == pytest.approx(math.hypot(0.1, 0.3) / 2)
    assert verdict.steadiness == pytest.approx(-0.2)
    assert verdict.steadiness_spread == pytest.approx(0.1)
    assert not verdict.keep
    assert compare(new, old).keep


def test_only_kinds_that_both_rounds_know_are_compared():
    verdict = compare(judgement([0.5, 0.5], (), [0.5]), judgement([0.7, 0.7], [0.1, 0.1], [0.5]))
    assert verdict.agreement == pytest.approx(0.2)
    unknown = compare(judgement(), judgement([0.1, 0.1], (), [0.1]))
    assert not unknown.known
    assert unknown.keep, "nothing speaks against it"
    assert unknown.fell, "but it is no reason to stop either"


@pytest.mark.parametrize(
    ("agreement", "steadiness", "keep"),
    [
        (-0.01, -0.2, False),  # both fell
        (-0.01, -0.05, True),
        (0.0, -0.2, True),
        (-0.06, 0.0, True),
        (-0.065, 0.2, False),  # a fall of agreement that is hardly chance
        (0.1, 0.1, True),
    ],
)
def test_what_speaks_against_a_new_model(agreement, steadiness, keep):
    assert Verdict(agreement, 0.05, steadiness, 0.1).keep is keep


def test_one_stroke_without_support_is_not_enough_alone():
    old = judgement([1.0] * 4, [1.0] * 3, [0.9, 0.9, 0.9])
    lonely = judgement([1.0] * 4 + [0.0], [1.0] * 3, [0.9, 0.9, 0.9])
    verdict = compare(old, lonely)
    assert verdict.agreement == pytest.approx(-verdict.agreement_spread)
    assert verdict.keep
    assert not compare(old, replace(lonely, steadiness_of_folds=(0.8, 0.8, 0.8))).keep


def test_agreement_beyond_chance():
    one, other = np.array([1, 1, 0, 0], bool), np.array([1, 0, 0, 0], bool)
    assert kappa(one, other) == pytest.approx((0.75 - 0.5) / 0.5)
    assert kappa(one, one) == 1
    assert kappa(one, ~one) == -1
    assert kappa(one, np.array([1, 0, 1, 0], bool)) == 0
    assert kappa(np.zeros(4, bool), np.zeros(4, bool)) == 1


GOOD = Round(3, 4, 4, 1.0, True, STOP_BELOW / 2, None, Verdict(0.0, 0.01, 0.0, 0.01))


def test_stop_signal_needs_two_calm_rounds_with_new_strokes():
    assert may_stop([GOOD, GOOD])
    assert not may_stop([GOOD])
    assert not may_stop([])
    for spoilt in (
        replace(GOOD, new_strokes=False),
        replace(GOOD, change=None),
        replace(GOOD, change=STOP_BELOW),
        replace(GOOD, verdict=None),
        replace(GOOD, verdict=Verdict(-0.1, 0.05, 0.0, 0.01)),
        replace(GOOD, verdict=Verdict(math.nan, math.nan, 0.0, 0.01)),
    ):
        assert not may_stop([spoilt, GOOD])
        assert not may_stop([GOOD, spoilt])
        assert may_stop([spoilt, GOOD, GOOD])


def judged(sample, settings=SETTINGS, cache=None, **kwargs):
    model = run(METHODS["pu"].train([sample], settings, cache=cache))
    return model, run(judge([sample], model, cache=cache, **kwargs))


def test_every_stroke_is_held_out_once():
    sample, _ = disk_sample()
    before = sample.labels.copy()
    model, found = judged(sample)
    strokes = find_strokes([sample])
    for kind, part in strokes.items():
        held = [one for one in found.strokes if one.kind == kind]
        assert len(held) == len(part) == 3
        assert {int(one.pixels[0]) for one in held} == {int(one.pixels[0]) for one in part}
    assert len(found.steadiness_of_folds) == N_FOLDS
    assert found.recall > 0.9
    assert found.specificity > 0.9
    assert found.steadiness > 0.7
    assert found.class_prior == model.card.class_prior
    assert np.array_equal(sample.labels, before)


def test_folds_do_not_see_the_strokes_they_judge(monkeypatch):
    sample, _ = disk_sample()
    model, seen = run(METHODS["pu"].train([sample], SETTINGS)), []

    def train(samples, settings, *, start=None, cache=None):
        seen.append(samples[0].labels)
        assert start is None
        assert (settings.prior, settings.class_prior) == ("fixed", model.card.class_prior)
        assert settings.n_steps == SETTINGS.n_steps // 3
        assert settings.statistics == "training"  # what was found for all strokes holds for every fold
        yield Progress(0, 1, "x")
        return model

    monkeypatch.setitem(METHODS, "pu", replace(METHODS["pu"], train=train))
    found = run(judge([sample], model))
    assert len(seen) == N_FOLDS
    for number, labels in enumerate(seen):
        held = [one for one in found.strokes if not labels.ravel()[one.pixels].any()]
        assert [one.kind for one in held] == ["positive", "negative"], f"fold {number}"
        left = {kind: len(part) for kind, part in find_strokes([replace(sample, labels=labels)]).items()}
        assert left == {"positive": 2, "negative": 2}


def test_strokes_beside_a_rough_mask_are_judged_and_the_mask_is_learnt_from(monkeypatch):
    sample, truth = disk_sample()
    rough = replace(sample, labels=np.where(truth, POSITIVE, NEGATIVE).astype(np.uint8), trust="noisy")
    row = METHODS["reweight"]
    model, seen = run(row.train([sample, rough], row.settings(n_steps=30, threads=1))), []

    def train(samples, settings, *, start=None, cache=None):
        seen.append(samples)
        assert settings.n_steps == 10
        return row.train(samples, settings, start=start, cache=cache)

    monkeypatch.setitem(METHODS, "reweight", replace(row, train=train))
    found = run(judge([sample, rough], model))
    assert len(found.strokes) == 6, "the parts of the mask are no strokes"
    assert found.agreement > 0.7
    assert [len(samples) for samples in seen] == [2] * N_FOLDS
    assert all(samples[1] is rough for samples in seen)


def test_the_same_seed_gives_the_same_judgement_with_or_without_a_cache():
    sample, _ = disk_sample()
    (_, first), (_, second) = judged(sample), judged(sample, cache=FeatureCache())
    assert [one.agreement for one in first.strokes] == [one.agreement for one in second.strokes]
    assert first.steadiness_of_folds == second.steadiness_of_folds


def test_too_few_strokes_are_not_judged():
    sample, _ = disk_sample(negative=False)
    labels = sample.labels.copy()
    labels[40:] = 0
    assert (labels == POSITIVE).any()
    _, found = judged(replace(sample, labels=labels))
    assert found.agreement is None
    assert found.steadiness is None
    assert 0 < found.coverage < 1


def test_the_threshold_of_the_user_is_judged():
    sample, _ = disk_sample()
    model = run(METHODS["pu"].train([sample], SETTINGS))
    low, high, none = (run(judge([sample], model, threshold=value)) for value in (0.01, 0.6, 1.0))
    assert low.coverage > high.coverage > none.coverage
    assert low.precision == pytest.approx(low.recall * 0.15 / low.coverage)
    assert low.precision < 0.9
    assert high.precision == 1
    assert high.recall > 0.9 > 0.5 > none.recall


def test_several_images_ignored_pixels_stacks_and_patch_networks_are_judged():
    first, _ = disk_sample(seed=0)
    second, _ = disk_sample(seed=1)
    labels = second.labels.copy()
    labels[:10] = IGNORE
    samples = [first, replace(second, labels=labels)]
    model = run(METHODS["pu"].train(samples, SETTINGS))
    found = run(judge(samples, model))
    assert {one.sample for one in found.strokes} == {0, 1}
    assert found.recall > 0.8
    stack = Sample(np.stack([first.image] * 2, axis=1), np.stack([first.labels, 0 * first.labels]))  # (C, Z, Y, X)
    _, found = judged(stack)
    assert found.recall > 0.8
    unet = SETTINGS.changed({"network": "cnn", "n_steps": 6})
    _, found = judged(first, unet)
    assert len(found.strokes) == 6
    assert 0 <= found.agreement <= 1


def wrong_stroke(frame, side_px=8):
    """A square of plain sky, away from the aurora and from all strokes, (Y, X) bool."""
    free = frame.valid & ~frame.truth & ~frame.positive & ~frame.negative
    painted = np.zeros(frame.truth.shape, bool)
    for y in range(side_px, len(free) - 2 * side_px, 4):
        for x in range(side_px, len(free) - 2 * side_px, 4):
            if free[y - side_px : y + 2 * side_px, x - side_px : x + 2 * side_px].all():
                painted[y : y + side_px, x : x + side_px] = True
                return painted
    raise AssertionError("no room for a wrong stroke")


def test_a_wrong_stroke_turns_the_verdict_against_the_new_model():
    # on some other frames the training puts up with the wrong stroke, and so does the verdict
    frame, cache = aurora_frame(1, 192), FeatureCache()
    settings = METHODS["pu"].settings(threads=1)
    right = codes_from_masks(frame.positive, frame.negative)
    spoilt = right.copy()
    spoilt[wrong_stroke(frame)] = POSITIVE
    assert not (frame.truth & (spoilt != right)).any()
    _, old = judged(Sample(frame.image, right), settings, cache)
    _, new = judged(Sample(frame.image, spoilt), settings, cache)
    assert compare(old, old).keep
    assert not compare(old, new).keep
    assert compare(new, old).keep, "taking it back is welcome"
    worst = new.loners[0]
    assert worst.kind == "positive"
    assert (spoilt.ravel()[worst.pixels] != right.ravel()[worst.pixels]).all(), "the wrong stroke is named"
    assert NEGATIVE in right

"""Values and gradients of every risk against numbers worked out by hand.

Scores: two positives (1, -1), two unlabelled (0, 2), two negatives (-1, 0.5); prior 0.4. With s = sigmoid and the
sigmoid surrogate l(z) = s(-z): s(1) = .731059, s(-1) = .268941, s(0) = .5, s(2) = .880797, s(.5) = .622459.
"""

from __future__ import annotations

import math

import pytest
import torch

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.losses.pu import RISKS, SURROGATES, Group, RiskOptions, Scores
from napari_pu_segment.core.training.patches import Batch

PRIOR = 0.4
RP_PLUS = (0.268941 + 0.731059) / 2  # l(f) = s(-f) of 1 and -1
RP_MINUS = (0.731059 + 0.268941) / 2  # l(-f) = s(f)
RU_MINUS = (0.5 + 0.880797) / 2
RU_PLUS = (0.5 + 0.119203) / 2
RN_MINUS = (0.268941 + 0.622459) / 2
RN_PLUS = (0.731059 + 0.377541) / 2


def make_scores(unlabelled=(0.0, 2.0)):
    leaves = [torch.tensor(v, requires_grad=True) for v in ((1.0, -1.0), unlabelled, (-1.0, 0.5))]
    return Scores(Group(leaves[0]), Group(leaves[1]), Group(leaves[2])), leaves


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("upu", {}, PRIOR * RP_PLUS + RU_MINUS - PRIOR * RP_MINUS),
        ("nnpu", {}, PRIOR * RP_PLUS + RU_MINUS - PRIOR * RP_MINUS),
        ("nnpu", {"target_prior": 0.5}, 0.5 * RP_PLUS + 0.5 / 0.6 * (RU_MINUS - PRIOR * RP_MINUS)),
        ("pn", {}, PRIOR * RP_PLUS + 0.6 * RN_MINUS),
        ("pn", {"target_prior": 0.5}, 0.5 * RP_PLUS + 0.5 * RN_MINUS),
        ("pu_naive", {}, 0.5 * RP_PLUS + 0.5 * RU_MINUS),
        (
            "pnu",
            {"eta": 0.3},
            0.7 * (PRIOR * RP_PLUS + 0.6 * RN_MINUS) + 0.3 * (PRIOR * RP_PLUS + RU_MINUS - PRIOR * RP_MINUS),
        ),
        (
            "pnu",
            {"eta": -0.3},  # RU_PLUS - .6 RN_PLUS = -.023 would be clipped, so let it pass
            None,
        ),
        ("pnu", {"eta": 0.0}, PRIOR * RP_PLUS + 0.6 * RN_MINUS),
    ],
)
def test_value(name, options, expected):
    scores, _ = make_scores()
    if expected is None:
        options = {**options, "beta": 0.1}
        expected = 0.7 * (PRIOR * RP_PLUS + 0.6 * RN_MINUS) + 0.3 * (0.6 * RN_MINUS + RU_PLUS - 0.6 * RN_PLUS)
    risk = RISKS[name].compute(scores, RiskOptions(PRIOR, **options))
    assert float(risk.value) == pytest.approx(expected, abs=1e-5)
    assert float(risk.surrogate) == pytest.approx(expected, abs=1e-5)


def test_logistic_surrogate_is_softplus():
    margin = torch.tensor([0.0, 3.0, -3.0])
    expected = [math.log(2), math.log1p(math.exp(-3)), 3 + math.log1p(math.exp(-3))]
    assert SURROGATES["logistic"](margin).tolist() == pytest.approx(expected, abs=1e-6)


def test_gradient_of_nnpu():
    scores, (positive, unlabelled, negative) = make_scores()
    RISKS["nnpu"].compute(scores, RiskOptions(PRIOR)).surrogate.backward()
    slope = 0.731059 * 0.268941  # s'(1) = s'(-1)
    # d/df of pi l(f) / 2 is -pi s'(f) / 2, and of -pi l(-f) / 2 the same again
    assert positive.grad.tolist() == pytest.approx([-PRIOR * slope] * 2, abs=1e-5)
    assert unlabelled.grad.tolist() == pytest.approx([0.25 / 2, 0.880797 * 0.119203 / 2], abs=1e-5)
    assert negative.grad is None


def test_clipped_nnpu_reports_one_thing_and_goes_back_along_another():
    scores, (positive, unlabelled, _) = make_scores(unlabelled=(-3.0, -3.0))
    below = 0.0474259 - PRIOR * RP_MINUS  # s(-3) = .0474259
    assert below < 0
    risk = RISKS["nnpu"].compute(scores, RiskOptions(PRIOR, beta=0.05, gamma=0.5))
    assert float(risk.value) == pytest.approx(PRIOR * RP_PLUS - 0.05, abs=1e-5)
    assert float(risk.surrogate) == pytest.approx(-0.5 * below, abs=1e-5)
    risk.surrogate.backward()
    slope = 0.0474259 * (1 - 0.0474259)
    assert unlabelled.grad.tolist() == pytest.approx([-0.5 * slope / 2] * 2, abs=1e-5)
    assert positive.grad.tolist() == pytest.approx([0.5 * PRIOR * 0.731059 * 0.268941 / 2] * 2, abs=1e-5)


def test_upu_is_not_clipped():
    scores, _ = make_scores(unlabelled=(-3.0, -3.0))
    options = RiskOptions(PRIOR)
    unclipped = RISKS["upu"].compute(scores, options)
    assert float(unclipped.value) < float(RISKS["nnpu"].compute(scores, options).value)


def test_pnnu_is_clipped_too():
    scores, _ = make_scores()
    assert RU_PLUS - 0.6 * RN_PLUS < 0
    risk = RISKS["pnu"].compute(scores, RiskOptions(PRIOR, eta=-1.0))
    assert float(risk.value) == pytest.approx(0.6 * RN_MINUS, abs=1e-5)


@pytest.mark.parametrize("eta", [-1.0, 1.0])
def test_pnu_at_its_ends(eta):
    scores, _ = make_scores()
    options = RiskOptions(PRIOR, eta=eta, beta=1.0)
    other = {
        1.0: PRIOR * RP_PLUS + RU_MINUS - PRIOR * RP_MINUS,
        -1.0: 0.6 * RN_MINUS + RU_PLUS - 0.6 * RN_PLUS,
    }[eta]
    assert float(RISKS["pnu"].compute(scores, options).value) == pytest.approx(other, abs=1e-5)


def test_weights_make_a_weighted_mean():
    group = Group(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0]))
    assert float(group.mean(group.scores)) == pytest.approx(1.5)


def test_what_is_masked_out_contributes_nothing():
    scores = torch.tensor([[[[2.0, 100.0]]], [[[0.0, -100.0]]]], requires_grad=True)  # (2, 1, 1, 2)
    weights = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    batch = Batch(torch.zeros(2, 1, 1, 2), {"positive": slice(0, 1), "unlabelled": slice(1, 2)}, weights)
    risk = RISKS["nnpu"].compute(batch.scores(scores), RiskOptions(PRIOR))
    expected = PRIOR * 0.119203 + 0.5 - PRIOR * 0.880797
    assert float(risk.value) == pytest.approx(expected, abs=1e-5)  # not sigmoid(0) = .5 for each masked pixel
    risk.surrogate.backward()
    assert scores.grad[..., 1].abs().max() == 0
    assert scores.grad[..., 0].abs().min() > 0


@pytest.mark.parametrize(("name", "missing"), [("pn", "negative"), ("pnu", "negative"), ("nnpu", "unlabelled")])
def test_missing_group_is_named(name, missing):
    groups = {"positive": Group(torch.ones(2)), "unlabelled": Group(torch.ones(2)), "negative": Group(torch.ones(2))}
    groups[missing] = None
    with pytest.raises(InputError, match=missing):
        RISKS[name].compute(Scores(**groups), RiskOptions(PRIOR))


@pytest.mark.parametrize("name", list(RISKS))
@pytest.mark.parametrize("surrogate", list(SURROGATES))
def test_every_risk_prefers_right_scores_to_wrong_ones(name, surrogate):
    def risk(sign):
        p, n = torch.full((50,), 2.0 * sign), torch.full((50,), -2.0 * sign)
        scores = Scores(Group(p), Group(torch.cat([p[:20], n[:30]])), Group(n))
        return float(RISKS[name].compute(scores, RiskOptions(PRIOR, surrogate)).value)

    assert risk(1) < risk(-1)
